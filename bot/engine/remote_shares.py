"""How one engine's room is divided among the fronts that use it, by how many guilds wait there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Front:
    demand: int
    heard: float


class Shares:
    """Credit of the fronts of one engine. Reads no clock; times are seconds of any steady one.

    `rows` are given out in all, in proportion to the guilds that wait at each front, so that a
    guild gets the same whichever front it belongs to. Every front gets at least one row, so the
    sum can exceed `rows` by one for each front. Whoever was silent for `forget_seconds` no longer
    counts.
    """

    def __init__(self, rows: int, *, forget_seconds: float = 10.0) -> None:
        self.rows = rows
        self.forget_seconds = forget_seconds
        self._fronts: dict[str, _Front] = {}

    def hear(self, front: str, demand: int, now: float) -> int:
        """Note how many guilds wait at `front`; return the UNet rows it may have here."""
        self._fronts[front] = _Front(demand, now)
        self._forget(now)
        # Who asks is about to have work; counting it as one guild lets it begin at once.
        mine = max(1, demand)
        others = sum(each.demand for name, each in self._fronts.items() if name != front)
        return max(1, round(self.rows * mine / (mine + others)))

    def leave(self, front: str) -> None:
        """Forget a front that says goodbye."""
        self._fronts.pop(front, None)

    def alone(self, now: float) -> bool:
        """Whether no front has been heard lately."""
        self._forget(now)
        return not self._fronts

    def _forget(self, now: float) -> None:
        for name in [n for n, f in self._fronts.items() if now - f.heard > self.forget_seconds]:
            del self._fronts[name]
