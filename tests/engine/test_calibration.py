"""How the batch budget is chosen, measured and remembered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from bot.engine.calibration import Calibration, choose_rows, measure
from bot.engine.null import NullPipeline, NullSample
from bot.engine.pipeline import TurboPipeline
from bot.engine.residency import Residency
from bot.engine.scheduler import BatchScheduler
from bot.engine.seat import Seat
from bot.engine.supervision import Retired
from bot.models.loader import load_model
from bot.request import Draw


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedPipeline(NullPipeline):
    """Each step takes what `cost` says for its rows, on a clock of its own."""

    def __init__(self, clock: Clock, base: float, each: float, memory: int = 1000) -> None:
        super().__init__()
        self.clock, self.base, self.each, self.memory = clock, base, each, memory
        self.trials: list[int] = []

    def start(self, draws: Sequence[Draw]) -> list[NullSample]:
        self.trials.append(len(draws))
        return super().start(draws)

    def step(self, samples: Sequence[NullSample]) -> None:
        if len(samples) > self.memory:
            raise MemoryError
        self.clock.now += self.base + self.each * len(samples)
        super().step(samples)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 2.0}, 1),
        ({1: 1.0, 2: 1.95, 4: 3.8}, 1),
        ({1: 1.0, 2: 1.2, 4: 2.0, 8: 3.9}, 4),
        ({1: 1.0, 2: 1.1, 4: 1.3, 8: 1.7, 16: 2.5}, 16),
    ],
)
def test_a_larger_batch_must_be_worth_the_wait(seconds: dict[int, float], rows: int) -> None:
    assert choose_rows(seconds) == rows


def test_measures_until_batching_hurts() -> None:
    clock = Clock()
    hurting = TimedPipeline(clock, base=-0.005, each=0.01)
    assert list(measure(hurting, size=64, clock=clock)) == [1, 2]
    clock = Clock()
    gaining = TimedPipeline(clock, base=0.02, each=0.001)
    found = measure(gaining, size=64, clock=clock)
    assert choose_rows(found) == 16


def test_keeps_to_its_time() -> None:
    clock = Clock()
    slow = TimedPipeline(clock, base=0.2, each=0.1)
    measure(slow, size=64, seconds=2.0, clock=clock)
    assert clock.now <= 2.0


def test_memory_ends_the_trial() -> None:
    clock = Clock()
    small = TimedPipeline(clock, base=0.02, each=0.0, memory=4)
    assert list(measure(small, size=64, clock=clock)) == [1, 2, 4]


def test_gets_ready_again_after_a_trial_that_ran_out_of_memory(tmp_path: Path) -> None:
    class Graphed(TimedPipeline):
        ready_for = 0

        def prepare(self, max_rows: int) -> None:
            self.ready_for = max_rows

        def free_memory(self) -> None:
            self.ready_for = 0

    small = Graphed(Clock(), base=0.02, each=0.0, memory=4)
    rows = Calibration(tmp_path, "torch 1").measure(small, 64)
    assert small.ready_for == rows > 0


def test_remembers_per_model_and_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = TimedPipeline(Clock(), base=0.0, each=0.0)

    def ask(versions: str) -> int:
        calibration = Calibration(tmp_path / "new", versions)
        return calibration.remembered(pipeline, 64) or calibration.measure(pipeline, 64)

    rows = ask("torch 1")
    trials = len(pipeline.trials)
    assert ask("torch 1") == rows
    assert len(pipeline.trials) == trials
    ask("torch 2")
    assert len(pipeline.trials) > trials
    (tmp_path / "new" / "calibration.json").write_text("{broken", encoding="utf-8")
    ask("torch 1")
    assert "Ignoring" in caplog.text


class Guessed:
    """A budget that begins with 3 rows and is measured as 5."""

    def __init__(self) -> None:
        self.measured = 0

    def __call__(self, pipeline: NullPipeline) -> int:
        return 3

    def refine(self, pipeline: NullPipeline) -> int | None:
        self.measured += 1
        return 5


class Warming(NullPipeline):
    """At full speed after two graphs."""

    graphs = 0

    @property
    def full_speed(self) -> bool:  # type: ignore[override]
        return self.graphs == 2

    def improve(self, idle_seconds: float) -> bool:
        if self.full_speed:
            return False
        self.graphs += 1
        return True


async def test_a_guess_is_measured_once_at_full_speed() -> None:
    budget = Guessed()
    scheduler = BatchScheduler([Warming], budget=budget)
    await scheduler.start()
    try:
        assert scheduler.stats().max_rows in {(3,), (5,)}
        while not scheduler.stats().full_speed:  # noqa: ASYNC110 - a thread's doing
            await asyncio.sleep(0.01)
        assert scheduler.stats().max_rows == (5,)
        assert budget.measured == 1
        await scheduler.submit([Draw("a", 1)], guild_id=1, user_id=1).result()
        assert budget.measured == 1
    finally:
        await scheduler.stop(0)


async def test_full_speed_is_not_told_while_the_budget_is_measured() -> None:
    measuring, go_on = threading.Event(), threading.Event()

    class Slow(Guessed):
        def refine(self, pipeline: NullPipeline) -> int | None:
            measuring.set()
            assert go_on.wait(10)
            return super().refine(pipeline)

    scheduler = BatchScheduler([Warming], budget=Slow())
    await scheduler.start()
    try:
        assert await asyncio.to_thread(measuring.wait, 10)
        assert not scheduler.stats().full_speed
        go_on.set()
        while not scheduler.stats().full_speed:  # noqa: ASYNC110 - a thread's doing
            await asyncio.sleep(0.01)
        assert scheduler.stats().max_rows == (5,)
    finally:
        go_on.set()
        await scheduler.stop(0)


def test_what_was_measured_of_a_stopped_engine_is_not_remembered(
    tmp_path: Path, tiny_folder: Path
) -> None:
    seat = Seat(
        Residency(
            lambda name: load_model(tiny_folder, device=torch.device("cpu")),
            TurboPipeline,
            waiting_bytes=0,
        )
    )
    calibration = Calibration(tmp_path, "torch 1")
    drawn = 0

    def clock() -> float:
        nonlocal drawn
        drawn += 1
        if drawn == 6:
            # Stopped in the middle of the trial, as a signal does it.
            seat.leave()
        return time.perf_counter()

    assert measure(seat, size=64, seconds=0.0, clock=time.perf_counter)
    with pytest.raises(Retired):
        measure(seat, size=64, clock=clock)
    with pytest.raises(Retired):
        calibration.measure(seat, 64)
    assert not calibration.path.exists()
