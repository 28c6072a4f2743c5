"""The wire on record: every gateway event, REST call and CDN fetch, newest last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bot.sandbox.clock import Clock

HIDDEN: Final = "…"


@dataclass
class Entry:
    """One thing that crossed the wire.

    `kind` is rest, gateway or cdn; `direction` is in (from the bot) or out. Secrets are cut from
    paths and bodies; file bytes are not kept, only their names, types and sizes in `parts`.
    """

    id: int
    time: float
    kind: str
    direction: str
    name: str
    method: str = ""
    route: str = ""
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    parts: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    response: Any = None
    ms: float | None = None
    rule: str | None = None
    fault: str | None = None
    shard: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a mapping."""
        return asdict(self)


class Traffic:
    """A bounded log of entries; listeners hear of each when it is complete."""

    def __init__(self, clock: Clock, *, keep: int) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._last = 0
        self.listeners: list[Callable[[Entry], None]] = []

    def new(self, kind: str, direction: str, name: str) -> Entry:
        """Start an entry; call `add` when it is complete."""
        self._last += 1
        return Entry(self._last, self._clock.now(), kind, direction, name)

    def add(self, entry: Entry) -> None:
        """Keep a complete entry."""
        self._entries.append(entry)
        for listener in self.listeners:
            listener(entry)

    def after(
        self, last_id: int = 0, *, kind: str | None = None, broken_only: bool = False
    ) -> list[Entry]:
        """Return the entries newer than an id, of one kind or those that broke a rule."""
        return [
            entry
            for entry in self._entries
            if entry.id > last_id
            and (kind is None or entry.kind == kind)
            and (not broken_only or entry.rule is not None)
        ]

    def clear(self) -> None:
        """Forget everything so far."""
        self._entries.clear()


def redact(value: Any) -> Any:
    """Return a copy of a body with tokens and CDN signatures cut out."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if key == "token" and isinstance(item, str) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, str) and "attachments/" in value and "hm=" in value:
        return value.split("?", 1)[0]
    return value
