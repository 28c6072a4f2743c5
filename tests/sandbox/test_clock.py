"""The clock that tests can move, and the ids made from it."""

from __future__ import annotations

import asyncio

import pytest

from bot.sandbox.clock import Clock, iso
from bot.sandbox.snowflake import Snowflakes, made_at


def test_a_frozen_clock_moves_only_by_hand() -> None:
    clock = Clock(1000.0, frozen=True)
    assert clock.now() == 1000.0
    clock.advance(2.5)
    assert clock.now() == 1002.5


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward only"):
        Clock().advance(-1)


async def test_advancing_fires_what_falls_due_in_order() -> None:
    clock, fired = Clock(0.0, frozen=True), []
    clock.call_at(3, lambda: fired.append("late"))
    clock.call_at(1, lambda: fired.append("early"))
    cancelled = clock.call_at(2, lambda: fired.append("never"))
    clock.call_at(10, lambda: fired.append("not yet"))
    assert cancelled.cancel()
    clock.advance(5)
    assert fired == ["early", "late"]


async def test_a_running_clock_fires_by_itself() -> None:
    clock, fired = Clock(), asyncio.Event()
    clock.call_at(clock.now() + 0.01, fired.set)
    await asyncio.wait_for(fired.wait(), 2)


async def test_advancing_a_running_clock_brings_its_timers_nearer() -> None:
    clock, fired = Clock(), asyncio.Event()
    clock.call_at(clock.now() + 3600, fired.set)
    clock.advance(3600)
    await asyncio.wait_for(fired.wait(), 2)


def test_ids_rise_even_within_a_frozen_millisecond() -> None:
    ids = Snowflakes(Clock(1_700_000_000.0, frozen=True))
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert made_at(made[0]) == 1_700_000_000.0


def test_times_are_written_as_discord_writes_them() -> None:
    assert iso(0.25) == "1970-01-01T00:00:00.250000+00:00"
