"""Time as an argument: every rule that counts seconds asks a Clock, so tests can move it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Timer:
    """A callback due at a moment of its clock; cancel it when it is no longer wanted."""

    def __init__(self, clock: Clock, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self._clock = clock
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def schedule(self) -> None:
        """Ask the event loop to wake us, unless the clock only moves by hand."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._clock.frozen:
            delay = max(0.0, self.when - self._clock.now())
            self._handle = asyncio.get_running_loop().call_later(delay, self.fire)

    def fire(self) -> None:
        """Run the callback once, whoever calls."""
        if self.cancel():
            self._callback()

    def cancel(self) -> bool:
        """Forget the callback; return whether it was still to come."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        return self._clock.forget(self)


class Clock:
    """Unix time in seconds that can be moved forward, or stopped altogether.

    A running clock follows the machine's; `advance` jumps ahead of it and fires what falls due.
    A frozen clock moves by `advance` alone.
    """

    def __init__(self, start: float | None = None, *, frozen: bool = False) -> None:
        self.frozen = frozen
        self._base = time.time() if start is None else start
        self._origin = time.monotonic()
        self._timers: set[Timer] = set()

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        if self.frozen:
            return self._base
        return self._base + time.monotonic() - self._origin

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` and fire every timer that falls due, earliest first."""
        if seconds < 0:
            raise ValueError(f"a clock goes forward only, not by {seconds} s")
        self._base += seconds
        for timer in sorted(self._timers, key=lambda one: one.when):
            if timer.when <= self.now():
                timer.fire()
            elif timer in self._timers:
                timer.schedule()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` when the clock reaches `when`."""
        timer = Timer(self, when, callback)
        self._timers.add(timer)
        timer.schedule()
        return timer

    def forget(self, timer: Timer) -> bool:
        """Drop a timer; return whether it was known."""
        if timer in self._timers:
            self._timers.discard(timer)
            return True
        return False

    def stop(self) -> None:
        """Cancel every timer."""
        for timer in list(self._timers):
            timer.cancel()


def iso(moment: float) -> str:
    """Write a time as Discord does, ISO 8601 with microseconds and offset."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
