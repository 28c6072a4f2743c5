"""Moving windows over several keys at once, in this process or on Redis.

Both storages extend those of `limits` and keep its layout: per key a list of the times at which
images were admitted, newest first. They add what `limits` has no call for: charging several windows
together or not at all, giving a charge back, and keeping time in one place. A charge's images all
carry its time; images of the same time are interchangeable, so removing as many of them as were
charged restores exactly the window there would have been without it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from limits.aio.storage import MemoryStorage
from limits.aio.storage.memory import Entry

SWEEP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` images in any `seconds` seconds under `key`; `scope` says whose it is.

    Windows that are charged together and share a key follow one another. What is counted there is
    remembered for `kept_seconds`: the longest of theirs, and of others that may look at it later.
    """

    key: str
    limit: int
    seconds: int
    scope: str = "member"
    longest: int = 0

    @property
    def kept_seconds(self) -> int:
        """How long an image under this key is remembered."""
        return max(self.seconds, self.longest)


def keys_of(windows: Sequence[Window]) -> dict[str, int]:
    """Return each key once, with how long it is kept."""
    kept: dict[str, int] = {}
    for window in windows:
        kept[window.key] = max(kept.get(window.key, 0), window.kept_seconds)
    return kept


@dataclass(frozen=True, slots=True)
class Charged:
    """The images are in every window; `stamp` is the storage's time, by which they come back."""

    stamp: float


@dataclass(frozen=True, slots=True)
class Full:
    """Nothing was charged: window `index` has no room for another `wait` seconds, others less."""

    index: int
    wait: float


@dataclass(frozen=True, slots=True)
class Usage:
    """How many images a window holds, and seconds until the last of them has left it."""

    used: int
    resets_in: float


class WindowStorage(Protocol):
    """Where windows live."""

    async def charge(self, windows: Sequence[Window], amount: int) -> Charged | Full:
        """Put `amount` images into every window, or into none."""

    async def release(self, windows: Sequence[Window], amount: int, stamp: float) -> None:
        """Take the images of one charge out again."""

    async def usage(self, windows: Sequence[Window]) -> list[Usage]:
        """Return what each window holds now."""

    async def close(self) -> None:
        """Let go of connections."""


def round_up(wait: float) -> float:
    """Return `wait` seconds as the next whole millisecond, after which the window has room.

    An image still counts at the very instant its window ends, hence the one added.
    """
    return (math.floor(wait * 1000) + 1) / 1000


class StampedEntry(Entry):
    """`limits`' entry, with its time given instead of read."""

    def __init__(self, now: float, expiry: int) -> None:
        self.atime = now
        self.expiry = now + expiry


class MemoryWindows(MemoryStorage):
    """Windows of this process.

    Nothing here awaits between looking and writing, so the event loop makes every call atomic and
    the parent's locks and timer stay unused.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._sweep_at = clock() + SWEEP_SECONDS

    async def charge(self, windows: Sequence[Window], amount: int) -> Charged | Full:
        """Put `amount` images into every window, or into none."""
        now = self._clock()
        waits = [self._wait(window, amount, now) for window in windows]
        longest = max(range(len(windows)), key=lambda index: waits[index] or -1.0)
        if any(wait is not None for wait in waits):
            return Full(longest, round_up(waits[longest] or 0.0))
        return Charged(self.record(windows, amount))

    def record(self, windows: Sequence[Window], amount: int) -> float:
        """Put `amount` images into every window, room or not; return their time."""
        now = self._clock()
        self._sweep(now)
        for key, seconds in keys_of(windows).items():
            entries = self.events.setdefault(key, [])
            while entries and entries[-1].atime < now - seconds:
                entries.pop()
            entries[:0] = [StampedEntry(now, seconds) for _ in range(amount)]
        return now

    def _wait(self, window: Window, amount: int, now: float) -> float | None:
        """Return seconds until there is room for `amount` images, or None if there is now."""
        entries = self.events.get(window.key, [])
        in_the_way = window.limit - amount
        if in_the_way >= len(entries):
            return None
        atime = entries[in_the_way].atime
        return atime + window.seconds - now if atime >= now - window.seconds else None

    def _sweep(self, now: float) -> None:
        """Drop keys whose newest image has left its window; members come and go by thousands."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        for key in [key for key, entries in self.events.items() if entries[0].expiry < now]:
            del self.events[key]

    async def release(self, windows: Sequence[Window], amount: int, stamp: float) -> None:
        """Take the images of one charge out again."""
        for key in keys_of(windows):
            left = amount
            kept: list[Entry] = []
            for entry in self.events.get(key, []):
                if left and entry.atime == stamp:
                    left -= 1
                else:
                    kept.append(entry)
            if kept:
                self.events[key] = kept
            else:
                self.events.pop(key, None)

    async def usage(self, windows: Sequence[Window]) -> list[Usage]:
        """Return what each window holds now."""
        now = self._clock()
        usages: list[Usage] = []
        for window in windows:
            times = [
                entry.atime
                for entry in self.events.get(window.key, [])
                if entry.atime >= now - window.seconds
            ]
            usages.append(
                Usage(len(times), round_up(times[0] + window.seconds - now) if times else 0.0)
            )
        return usages

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Charge one window as `limits`' own strategies do, by this storage's clock."""
        if amount > limit:
            return False
        return isinstance(await self.charge([Window(key, limit, expiry)], amount), Charged)

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the window's oldest time and its count as `limits`' own strategies expect."""
        now = self._clock()
        times = [entry.atime for entry in self.events.get(key, []) if entry.atime >= now - expiry]
        return (times[-1], len(times)) if times else (now, 0)

    async def close(self) -> None:
        """Forget everything."""
        self.events.clear()
