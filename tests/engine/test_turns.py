"""Whose weights come next: changed rarely, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.backlog import Backlog, Job
from bot.engine.fair_queue import FairQueue
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.engine.turns import Turns
from bot.errors import WeightsUnavailable
from bot.request import Draw, WeightSet
from tests.engine.test_scheduler import FakePipeline, draw, running, until

SETS = tuple(WeightSet(name) for name in ("", "one", "two"))


class Nobody:
    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def drawn(self, job: object, drawn: object) -> None: ...

    def failed(self, job: Job, error: Exception) -> None:
        self.errors.append(error)


@dataclass
class Slow(NullPipeline):
    """Weights whose turn lasts a number of pictures."""

    turn: int = 3
    left: int = 0
    changes: int = 0
    step_seconds: float = 0.0
    row_seconds: float = 0.0

    @property
    def settled(self) -> bool:  # type: ignore[override]  # a class attribute there
        return self.left <= 0

    def use(self, weight_set: WeightSet) -> bool:
        if weight_set != self.weight_set:
            self.weight_set, self.left = weight_set, self.turn
            self.changes += 1
        return True


def backlog_of(arrivals: list[tuple[int, int, int]]) -> tuple[Backlog, list[Job]]:
    backlog = Backlog(FairQueue(max_pictures=1000, max_per_guild=1000, max_per_member=1000))
    jobs = []
    for number, (guild, member, which) in enumerate(arrivals):
        job = Job(Draw("x", number, weight_set=SETS[which]), 0, Nobody(), 0.0)
        backlog.push([job], guild=guild, member=member, seconds_each=1.0)
        jobs.append(job)
    return backlog, jobs


arrivals = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40
)


@given(arrivals=arrivals, turn=st.integers(0, 6), at_once=st.integers(1, 4))
def test_everyone_is_served_once_in_few_changes(
    arrivals: list[tuple[int, int, int]], turn: int, at_once: int
) -> None:
    backlog, jobs = backlog_of(arrivals)
    turns, pipeline = Turns(backlog), Slow(turn=turn)
    served: list[Job] = []
    while len(turns):
        before = pipeline.changes
        head = backlog.peek()
        weight_set = turns.wanted(pipeline, drawing=False)
        assert weight_set is not None
        pipeline.use(weight_set)
        taken = turns.take(weight_set, at_once, lambda job: True)
        assert taken
        assert {job.draw.weight_set for job in taken} == {weight_set}
        if pipeline.changes > before:
            # Weights change for the one whose turn it is, and that one comes in.
            assert taken[0] is head
        pipeline.left -= len(taken)
        served += taken
    assert Counter(map(id, served)) == Counter(map(id, jobs))
    # A turn is a number of pictures, or all there are.
    assert pipeline.changes <= len(jobs) / max(1, turn) + len(SETS)


@given(arrivals=arrivals, rounds=st.integers(1, 60))
def test_a_steady_stream_for_other_weights_starves_nobody(
    arrivals: list[tuple[int, int, int]], rounds: int
) -> None:
    """However much comes for the weights in use, the first of the others waits one turn."""
    backlog, _ = backlog_of(arrivals)
    patient = Job(Draw("x", 0, weight_set=WeightSet("rare")), 0, Nobody(), 0.0)
    backlog.push([patient], guild="quiet", member=1, seconds_each=1.0)
    turns, pipeline = Turns(backlog), Slow(turn=4)
    guilds = 1 + len({guild for guild, _, _ in arrivals})
    for served in range(2000):
        if served < rounds:
            stream = Job(Draw("x", 0), 0, Nobody(), 0.0)
            backlog.push([stream], guild="busy", member=served, seconds_each=1.0)
        weight_set = turns.wanted(pipeline, drawing=False)
        assert weight_set is not None
        pipeline.use(weight_set)
        (job,) = turns.take(weight_set, 1, lambda job: True)
        pipeline.left -= 1
        if job is patient:
            # In fair order at most every other guild's first goes before it, each with a turn.
            assert served <= (guilds + 1) * 5 + len(SETS) * 5
            return
    pytest.fail("it was never served")


def test_nothing_starts_while_others_are_still_being_drawn() -> None:
    backlog, _ = backlog_of([(0, 0, 1), (1, 1, 0)])
    turns, pipeline = Turns(backlog), Slow()
    assert turns.wanted(pipeline, drawing=True) is None
    assert turns.wanted(pipeline, drawing=False) == SETS[1]
    pipeline.left = 1
    # Not settled yet: one for the weights in use goes first, beside what runs.
    assert turns.wanted(pipeline, drawing=True) == SETS[0]


def test_what_cannot_be_had_fails_those_who_need_it_alone() -> None:
    backlog, jobs = backlog_of([(0, 0, 1), (1, 1, 0), (2, 2, 1)])
    inherited = Job(Draw("x", 9, weight_set=SETS[1]), 0, Nobody(), 0.0)
    turns = Turns(backlog, [inherited])
    error = WeightsUnavailable(name="one")
    turns.refuse(SETS[1], error)
    told = [job for job in (*jobs, inherited) if job.owner.errors]  # type: ignore[attr-defined]
    assert told == [jobs[0], jobs[2], inherited]
    assert len(turns) == 1


@dataclass
class Choosy(FakePipeline):
    """A null pipeline that notes what it was asked to draw with, and lacks one model."""

    used: list[WeightSet] = field(default_factory=list)
    drawn_with: list[set[WeightSet]] = field(default_factory=list)

    def use(self, weight_set: WeightSet) -> bool:
        if weight_set.model == "lacking":
            raise WeightsUnavailable(name="lacking")
        if weight_set != self.weight_set:
            self.used.append(weight_set)
        return super().use(weight_set)

    def step(self, samples):  # type: ignore[no-untyped-def]
        self.drawn_with.append({sample.draw.weight_set for sample in samples})
        assert self.drawn_with[-1] == {self.weight_set}
        super().step(samples)


async def test_a_call_holds_one_weight_set_and_changes_are_few() -> None:
    pipeline = Choosy()
    async with running(pipeline, budget=8) as scheduler:
        pipeline.gate.clear()
        held = scheduler.submit([draw(0, num_inference_steps=2)], guild_id=0, user_id=0)
        await until(lambda: bool(pipeline.calls))
        tickets = [
            scheduler.submit([draw(n, weight_set=SETS[n % 3])], guild_id=n % 4, user_id=n)
            for n in range(24)
        ]
        lacking = scheduler.submit(
            [draw(1, weight_set=WeightSet("lacking"))], guild_id=9, user_id=9
        )
        pipeline.gate.set()
        await asyncio.gather(held.result(), *(ticket.result() for ticket in tickets))
        with pytest.raises(WeightsUnavailable):
            await lacking.result()
        assert scheduler.stats().failed == 1
    assert all(len(sets) == 1 for sets in pipeline.drawn_with)
    # Always settled, so the least patient there can be; each change still serves a whole batch.
    assert len(pipeline.used) <= 12


async def test_each_model_has_its_own_budget_and_costs() -> None:
    asked: list[str] = []
    pipeline = Choosy()

    def budget(pipeline: Choosy) -> int:
        asked.append(pipeline.weight_set.model)
        return {"": 4, "one": 2}[pipeline.weight_set.model]

    scheduler = BatchScheduler([lambda: pipeline], budget=budget)
    await scheduler.start()
    for _ in range(2):
        for which, rows in ((SETS[0], 4), (SETS[1], 2)):
            pipeline.calls.clear()
            draws = [draw(seed, weight_set=which) for seed in range(8)]
            await scheduler.submit(draws, guild_id=1, user_id=1).result()
            assert scheduler.stats().max_rows == (rows,)
            assert max(map(len, pipeline.calls)) <= rows
    # Measured once each.
    assert asked == ["", "one"]
    await scheduler.stop(0)


async def test_engines_of_one_device_change_together() -> None:
    """Two threads over shared weights: neither changes them while the other draws."""
    lock = threading.Lock()
    holders: set[int] = set()
    current = [WeightSet()]

    class Shared(FakePipeline):
        @property
        def weight_set(self) -> WeightSet:  # type: ignore[override]
            return current[0]

        def use(self, weight_set: WeightSet) -> bool:
            with lock:
                if weight_set != current[0]:
                    if holders - {id(self)}:
                        return False
                    current[0] = weight_set
                holders.add(id(self))
                return True

        def release(self) -> None:
            with lock:
                holders.discard(id(self))

        def step(self, samples):  # type: ignore[no-untyped-def]
            assert {sample.draw.weight_set for sample in samples} == {current[0]}
            super().step(samples)

    left, right = Shared(step_seconds=0.002), Shared(step_seconds=0.002)
    async with running(left, right, budget=2) as scheduler:
        await until(lambda: len(scheduler.stats().device_names) == 2)
        tickets = [
            scheduler.submit([draw(n, weight_set=SETS[n % 3])], guild_id=n % 5, user_id=n)
            for n in range(60)
        ]
        async with asyncio.timeout(20):
            await asyncio.gather(*(ticket.result() for ticket in tickets))
    assert left.calls
    assert right.calls
