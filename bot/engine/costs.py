"""What a device's calls take, and how much of one kind fits between two of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 4
"""Pictures started or decoded in one call while others are running."""


@dataclass(slots=True)
class Costs:
    """Running averages of what each kind of call takes, in seconds; 0 while unknown."""

    step: float = 0.0
    start_each: float = 0.0
    decode_each: float = 0.0
    picture: float = 0.0
    """Device time per finished picture."""

    def chunk(self, each: float, most: int, *, running: bool) -> int:
        """Return how many pictures, of `each` seconds, one call may take.

        While a batch is running that is as many as fit into one step's time, and at least one.
        """
        if not running:
            return most
        if each <= 0 or self.step <= 0:
            return 1
        return min(most, AT_ONCE, max(1, int(self.step / each)))


def running_average(old: float, new: float, share: float = 0.3) -> float:
    """Return `old` moved towards `new` by `share` of the way; `new` where nothing was known."""
    return new if old == 0 else old + share * (new - old)
