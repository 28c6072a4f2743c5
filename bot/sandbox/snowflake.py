"""Snowflakes: 64-bit ids that carry the millisecond of their making."""

from __future__ import annotations

from typing import Final

from bot.sandbox.clock import Clock

DISCORD_EPOCH_MS: Final = 1_420_070_400_000
"""The first second of 2015, from which Discord counts."""


class Snowflakes:
    """Makes ids that rise strictly, 4096 to the millisecond and worker.

    Layout, from Discord's reference: 42 bits of milliseconds, 10 of worker and process, 12 of
    increment. When a millisecond is used up the next one is borrowed.
    """

    def __init__(self, clock: Clock, *, worker: int = 1) -> None:
        self._clock = clock
        self._worker = worker
        self._last = 0

    def next(self) -> int:
        """Return a new id."""
        milliseconds = int(self._clock.now() * 1000) - DISCORD_EPOCH_MS
        fresh = (milliseconds << 22) | (self._worker << 12)
        if fresh <= self._last:
            increment = (self._last & 0xFFF) + 1
            fresh = (
                (self._last & ~0xFFF) | increment
                if increment <= 0xFFF
                else (((self._last >> 22) + 1) << 22) | (self._worker << 12)
            )
        self._last = fresh
        return fresh


def made_at(snowflake: int) -> float:
    """Return the Unix time in seconds that an id carries."""
    return ((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000
