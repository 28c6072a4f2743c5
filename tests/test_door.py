"""The door: who comes alone walks in, who comes in a rush is acknowledged first."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from bot.door import AT_A_TIME, BUSY, FIRST_GUESS_SECONDS, MOMENT_SECONDS, RUSH, Door


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Visitor:
    """Is acknowledged a few turns of the event loop after being told to hurry."""

    def __init__(self, log: list[str], turns: int = 3) -> None:
        self.log = log
        self.turns = turns
        self.hurried = False

    def hasten(self) -> None:
        self.hurried = True

    async def acknowledged(self) -> None:
        for _ in range(self.turns if self.hurried else 0):
            await asyncio.sleep(0)
        self.log.append("acknowledged")


async def come(door: Door, visitor: Visitor, *, enters: bool = True) -> None:
    with door.visit(visitor):
        await asyncio.sleep(0)
        if enters:
            await door.enter(visitor)
        visitor.log.append("worked for")


async def test_who_comes_alone_walks_in() -> None:
    door, log = Door(), list[str]()
    for _ in range(3):
        await come(door, Visitor(log))
    assert log == ["worked for"] * 3
    assert door.rushed == 0


async def test_in_a_rush_everyone_is_acknowledged_before_anyone_is_worked_for() -> None:
    door, log = Door(), list[str]()
    visitors = [Visitor(log, turns=number % 7) for number in range(3 * RUSH)]
    await asyncio.gather(*(come(door, each) for each in visitors))
    assert log == ["acknowledged"] * len(visitors) + ["worked for"] * len(visitors)
    assert (door.open, door.rushed) == (0, len(visitors))


async def test_a_rush_hurries_those_who_were_to_be_answered_directly() -> None:
    door, log = Door(), list[str]()
    early = Visitor(log)
    leaving = asyncio.Event()

    async def stay() -> None:
        with door.visit(early):
            await leaving.wait()

    staying = asyncio.create_task(stay())
    await asyncio.sleep(0)
    assert not early.hurried
    await asyncio.gather(*(come(door, Visitor(log)) for _ in range(RUSH)))
    assert early.hurried
    leaving.set()
    await staying


async def test_one_who_cannot_be_acknowledged_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.door.PATIENCE_SECONDS", 0.05)
    door, log = Door(), list[str]()
    stuck = Visitor(log, turns=10**9)
    waiting = asyncio.create_task(come(door, stuck))
    await asyncio.wait_for(
        asyncio.gather(*(come(door, Visitor(log)) for _ in range(RUSH))), timeout=5
    )
    assert log.count("worked for") == RUSH
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert door.open == 0


async def test_whoever_leaves_while_waiting_is_passed_over() -> None:
    door, log = Door(), list[str]()
    tasks = [asyncio.create_task(come(door, Visitor(log, turns=50))) for _ in range(2 * RUSH)]
    await asyncio.sleep(0.001)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log.count("worked for") == RUSH


async def test_the_loop_looks_around_while_many_come_in() -> None:
    door, log = Door(), list[str]()
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(log.count("worked for"))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(come(door, Visitor(log)) for _ in range(4 * RUSH)))
    looking.cancel()
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert max(steps) <= AT_A_TIME


async def test_arrivals_spread_over_time_are_no_rush() -> None:
    clock, log = Clock(), list[str]()
    door = Door(clock=clock)
    for _ in range(2 * RUSH):
        with door.visit(Visitor(log)):
            assert not door.is_rushed
            clock.now += MOMENT_SECONDS / RUSH * 1.1


def test_the_pace_is_learnt_while_many_wait() -> None:
    clock = Clock()
    door = Door(clock=clock)
    visits = [door.visit(Visitor([])) for _ in range(200)]
    for visit in visits:
        visit.__enter__()
    assert door.wait_seconds == pytest.approx(200 * FIRST_GUESS_SECONDS)
    for visit in visits[: 200 - BUSY]:
        clock.now += 0.1
        visit.__exit__(None, None, None)
    assert door.pace == pytest.approx(0.1, rel=0.01)
    for visit in visits[200 - BUSY :]:
        clock.now += 60
        visit.__exit__(None, None, None)
    with door.visit(Visitor([])):
        assert door.wait_seconds == 0
