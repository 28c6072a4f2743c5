"""The scheduler from submit to picture, mostly over a null pipeline whose calls can be held."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from bot.engine.backlog import Backlog, Job
from bot.engine.fair_queue import FairQueue
from bot.engine.null import NullDecoded, NullPipeline, NullSample
from bot.engine.pipeline import TurboPipeline
from bot.engine.scheduler import MAX_REPLACED, BatchScheduler
from bot.engine.supervision import FAILURES_IN_A_ROW
from bot.engine.ticket import Ticket
from bot.engine.worker import DeviceWorker
from bot.errors import (
    Abandoned,
    BadOutput,
    BadParameter,
    EngineError,
    EngineStalled,
    EngineStopping,
    OutOfMemory,
    QueueFull,
)
from bot.request import Draw, Pixels, WeightSet
from tests.engine.conftest import run_alone

POISON = "poison"


@dataclass
class FakePipeline(NullPipeline):
    """A null pipeline that can be held, broken, or given too little memory."""

    gate: threading.Event = field(default_factory=threading.Event)
    calls: list[list[int]] = field(default_factory=list)
    most_rows: int = 1000
    bad_seeds: set[int] = field(default_factory=set)
    hopeless: bool = False
    step_seconds: float = 0.0
    row_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.gate.set()

    def start(self, draws: Sequence[Draw]) -> list[NullSample]:
        if any(draw.prompt == "refused" for draw in draws):
            raise BadParameter(name="prompt")
        return super().start(draws)

    def step(self, samples: Sequence[NullSample]) -> None:
        self.calls.append([sample.draw.seed for sample in samples])
        assert self.gate.wait(10)
        if len(samples) > self.most_rows:
            raise MemoryError
        if any(sample.draw.prompt == POISON for sample in samples):
            raise ValueError("poisoned")
        super().step(samples)

    def decode(self, samples: Sequence[NullSample]) -> NullDecoded:
        pictures = super().decode(samples).pictures
        return NullDecoded(
            [
                None if sample.draw.seed in self.bad_seeds else picture
                for sample, picture in zip(samples, pictures, strict=True)
            ]
        )

    def redo(self, draw: Draw) -> Pixels:
        if self.hopeless:
            raise BadOutput(seed=draw.seed)
        return super().redo(draw)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)


@asynccontextmanager
async def running(*pipelines: Any, **options: Any) -> AsyncIterator[BatchScheduler]:
    def maker(pipeline: Any) -> Callable[[], Any]:
        return lambda: pipeline

    scheduler = BatchScheduler([maker(pipeline) for pipeline in pipelines], **options)
    await scheduler.start()
    try:
        yield scheduler
    finally:
        for pipeline in pipelines:
            if isinstance(pipeline, FakePipeline):
                pipeline.gate.set()
        await scheduler.stop(0)


def draw(seed: int = 0, prompt: str = "x", **options: Any) -> Draw:
    return Draw(prompt=prompt, seed=seed, **{"width": 64, "height": 64, **options})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it asks for changes in other threads
            await asyncio.sleep(0.001)


async def test_pictures_come_in_the_order_asked_for() -> None:
    async with running(FakePipeline()) as scheduler:
        draws = [draw(seed, num_inference_steps=4 - seed) for seed in range(4)]
        ticket = scheduler.submit(draws, guild_id=1, user_id=2)
        drawn = await ticket.result()
    for one, wanted in zip(drawn, draws, strict=True):
        assert np.array_equal(one.pixels, NullPipeline().redo(wanted))
        assert one.queue_ms >= 0
        assert one.pipeline_ms > 0


async def test_requests_join_a_running_batch() -> None:
    pipeline = FakePipeline()
    async with running(pipeline) as scheduler:
        pipeline.gate.clear()
        first = scheduler.submit([draw(1, num_inference_steps=4)], guild_id=1, user_id=1)
        await until(lambda: bool(pipeline.calls))
        second = scheduler.submit([draw(2, num_inference_steps=1)], guild_id=2, user_id=2)
        pipeline.gate.set()
        await asyncio.gather(first.result(), second.result())
    assert pipeline.calls == [[1], [1, 2], [1], [1]]


class SlowDecoder(FakePipeline):
    """Starts at once; decoding one picture takes as long as a step."""

    begun = 0
    most_begun = 0

    def start(self, draws: Sequence[Draw]) -> list[NullSample]:
        self.begun += len(draws)
        self.most_begun = max(self.most_begun, self.begun)
        return super().start(draws)

    def decode(self, samples: Sequence[NullSample]) -> NullDecoded:
        time.sleep(0.01 * len(samples))
        self.begun -= len(samples)
        return super().decode(samples)


async def test_nobody_is_let_in_while_many_wait_for_their_decoding() -> None:
    pipeline = SlowDecoder(step_seconds=0.01)
    async with running(pipeline, budget=8, max_per_member=96) as scheduler:
        draws = [draw(seed, num_inference_steps=1 + seed % 4) for seed in range(96)]
        await scheduler.submit(draws, guild_id=1, user_id=1).result()
    # The batch, those it finishes at once beside others that are finished, and who comes in.
    assert pipeline.most_begun <= 8 + 8 + 4


async def test_sizes_do_not_share_a_call_and_none_starves() -> None:
    pipeline = FakePipeline()
    async with running(pipeline) as scheduler:
        draws = [draw(1), draw(2, width=128), draw(3), draw(4, width=128)]
        await scheduler.submit(draws, guild_id=1, user_id=1).result()
    assert all(len({seed % 2 for seed in call}) == 1 for call in pipeline.calls)
    assert sorted(seed for call in pipeline.calls for seed in call) == [1, 1, 2, 2, 3, 3, 4, 4]


async def test_the_batch_budget_counts_unet_rows() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=4) as scheduler:
        plain = [draw(seed) for seed in range(6)]
        guided = [draw(seed, guidance_scale=2.0) for seed in range(10, 16)]
        await asyncio.gather(
            scheduler.submit(plain, guild_id=1, user_id=1).result(),
            scheduler.submit(guided, guild_id=2, user_id=2).result(),
        )
    assert max(sum(1 + (seed >= 10) for seed in call) for call in pipeline.calls) == 4


async def test_a_bad_request_fails_alone() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=8) as scheduler:
        pipeline.gate.clear()
        held = scheduler.submit([draw(0)], guild_id=0, user_id=0)
        await until(lambda: bool(pipeline.calls))
        good = [scheduler.submit([draw(n)], guild_id=n, user_id=n) for n in range(1, 4)]
        bad = scheduler.submit([draw(9, POISON), draw(10)], guild_id=9, user_id=9)
        refused = scheduler.submit([draw(11, "refused")], guild_id=11, user_id=11)
        pipeline.gate.set()
        await asyncio.gather(held.result(), *(ticket.result() for ticket in good))
        with pytest.raises(EngineError) as caught:
            await bad.result()
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(BadParameter):
            await refused.result()
        assert scheduler.stats().failed == 3
        await until(lambda: scheduler.stats().running == 0)


async def test_running_out_of_memory_halves_the_batch_and_loses_nothing() -> None:
    pipeline = FakePipeline(most_rows=2)
    async with running(pipeline, budget=8) as scheduler:
        draws = [draw(seed) for seed in range(8)]
        assert len(await scheduler.submit(draws, guild_id=1, user_id=1).result()) == 8
        assert scheduler.stats().max_rows[0] <= 2
        pipeline.calls.clear()
        await scheduler.submit(draws, guild_id=1, user_id=1).result()
        assert max(map(len, pipeline.calls)) <= 2
        pipeline.most_rows = 0
        with pytest.raises(OutOfMemory):
            await scheduler.submit([draw(1)], guild_id=1, user_id=1).result()
        pipeline.most_rows = 1
        await scheduler.submit([draw(1)], guild_id=1, user_id=1).result()


async def test_one_picture_alone_tries_again_with_the_memory_that_was_freed() -> None:
    class Crowded(FakePipeline):
        def free_memory(self) -> None:
            self.most_rows = 1

    async with running(Crowded(most_rows=0), budget=1) as scheduler:
        await scheduler.submit([draw(1)], guild_id=1, user_id=1).result()
        assert scheduler.stats().failed == 0


async def test_unusable_pictures_are_drawn_once_more() -> None:
    pipeline = FakePipeline(bad_seeds={2})
    async with running(pipeline) as scheduler:
        drawn = await scheduler.submit([draw(1), draw(2)], guild_id=1, user_id=1).result()
        assert np.array_equal(drawn[1].pixels, NullPipeline().redo(draw(2)))
        pipeline.hopeless = True
        with pytest.raises(BadOutput):
            await scheduler.submit([draw(2)], guild_id=1, user_id=1).result()


async def test_cancelled_requests_leave_queue_and_batch() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=1) as scheduler:
        pipeline.gate.clear()
        first = scheduler.submit([draw(1, num_inference_steps=8)], guild_id=1, user_id=1)
        await until(lambda: bool(pipeline.calls))
        second = scheduler.submit([draw(2)], guild_id=1, user_id=1)
        waiting = asyncio.create_task(second.result())
        await asyncio.sleep(0)
        waiting.cancel()
        third = scheduler.submit([draw(3)], guild_id=1, user_id=1)
        await asyncio.sleep(0)
        assert scheduler.stats().waiting == 1
        first.cancel()
        pipeline.gate.set()
        await third.result()
        with pytest.raises(Abandoned):
            await first.result()
        assert scheduler.stats().abandoned == 2
    assert pipeline.calls == [[1], [3], [3]]


async def test_refuses_early_and_tells_the_place_in_the_queue() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=1, max_per_member=4, max_pictures=6) as scheduler:
        pipeline.gate.clear()
        first = scheduler.submit([draw(1)], guild_id=1, user_id=1)
        await until(lambda: bool(pipeline.calls))
        second = scheduler.submit([draw(2)] * 4, guild_id=1, user_id=1)
        with pytest.raises(QueueFull, match="queue_full_member"):
            scheduler.submit([draw(3)], guild_id=1, user_id=1)
        third = scheduler.submit([draw(3)], guild_id=None, user_id=7)
        with pytest.raises(QueueFull, match="queue_full_server") as caught:
            scheduler.submit([draw(4)] * 2, guild_id=3, user_id=3)
        assert caught.value.retry_after >= 1
        assert first.position == 0
        assert third.position <= 1
        assert second.estimate_seconds > third.estimate_seconds > 0
        pipeline.gate.set()
        await asyncio.gather(*(ticket.result() for ticket in (first, second, third)))
        assert second.estimate_seconds == 0
        assert scheduler.stats().drawn == 6


async def test_a_wedged_call_is_given_up_and_the_rest_goes_on() -> None:
    wedged, fresh = FakePipeline(), FakePipeline()
    made = iter([wedged, fresh])
    scheduler = BatchScheduler([lambda: next(made)], budget=1, stall_seconds=0.2)
    await scheduler.start()
    wedged.gate.clear()
    first = scheduler.submit([draw(1)], guild_id=1, user_id=1)
    second = scheduler.submit([draw(2)], guild_id=1, user_id=1)
    with pytest.raises(EngineStalled):
        await first.result()
    await second.result()
    assert fresh.calls == [[2], [2]]
    assert scheduler.stats().stalls == 1
    wedged.gate.set()
    await scheduler.stop(1)


async def test_the_watch_goes_on_where_there_is_no_thread_for_a_new_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One device's worker cannot be replaced; the other's, which is wedged later, is."""
    pipelines = [FakePipeline() for _ in range(3)]
    made = iter(pipelines)
    scheduler = BatchScheduler([lambda: next(made)] * 2, budget=1, stall_seconds=0.2)
    await scheduler.start()
    await until(lambda: len(scheduler._ready) == 2)
    hire = scheduler._hire

    def none_left(*_: object) -> None:
        monkeypatch.setattr(scheduler, "_hire", hire)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(scheduler, "_hire", none_left)
    for pipeline in pipelines[:2]:
        pipeline.gate.clear()
    for seed in range(2):
        with pytest.raises(EngineStalled):
            await scheduler.submit([draw(seed)], guild_id=1, user_id=1).result()
    await asyncio.wait_for(scheduler.submit([draw(3)], guild_id=1, user_id=1).result(), 10)
    assert pipelines[2].calls
    for pipeline in pipelines:
        pipeline.gate.set()
    await scheduler.stop(1)


async def test_what_the_wedged_worker_had_begun_besides_is_begun_anew() -> None:
    """Sizes share no call, so that one picture can wait inside the worker for another's call."""
    wedged, fresh = FakePipeline(), FakePipeline()
    made = iter([wedged, fresh])
    scheduler = BatchScheduler([lambda: next(made)], budget=4, stall_seconds=0.3)
    await scheduler.start()
    wedged.gate.clear()
    sizes = ({}, {"width": 128})
    tickets = [
        scheduler.submit([draw(seed, **size)], guild_id=1, user_id=1)
        for seed, size in enumerate(sizes)
    ]
    async with asyncio.timeout(20):
        found = await asyncio.gather(*(one.result() for one in tickets), return_exceptions=True)
    assert len(wedged.calls) == 1
    (inside,) = wedged.calls[0]
    assert isinstance(found[inside], EngineStalled)
    assert not isinstance(found[1 - inside], BaseException)
    wedged.gate.set()
    await scheduler.stop(1)


async def test_a_call_that_comes_back_while_it_is_replaced_takes_no_more_jobs() -> None:
    wedged, fresh = FakePipeline(), FakePipeline()
    made = iter([wedged, fresh])
    scheduler = BatchScheduler([lambda: next(made)], budget=1, stall_seconds=0.2)
    await scheduler.start()
    wedged.gate.clear()

    class Handler(logging.Handler):
        """Lets the call come back while the watchdog speaks of it."""

        def emit(self, record: logging.LogRecord) -> None:
            if not wedged.gate.is_set():
                wedged.gate.set()
                time.sleep(0.2)

    handler = Handler(logging.ERROR)
    logging.getLogger("bot.engine.scheduler").addHandler(handler)
    try:
        tickets = [scheduler.submit([draw(n)], guild_id=1, user_id=1) for n in range(3)]
        async with asyncio.timeout(20):
            with pytest.raises(EngineStalled):
                await tickets[0].result()
            await asyncio.gather(*(ticket.result() for ticket in tickets[1:]))
    finally:
        logging.getLogger("bot.engine.scheduler").removeHandler(handler)
    assert len(wedged.calls) == 1
    await scheduler.stop(1)


async def test_what_was_taken_in_the_instant_of_handing_over_is_told() -> None:
    backlog = Backlog(FairQueue(max_pictures=9, max_per_guild=9, max_per_member=9))
    told = threading.Event()
    owner = Mock(failed=lambda job, error: told.set())
    worker = DeviceWorker(FakePipeline, name="engine", backlog=backlog, supervisor=Mock())
    take = worker._turns.take

    def replaced_meanwhile(*arguments: Any) -> list[Job]:
        assert worker.hand_over() == []
        return take(*arguments)

    worker._turns.take = replaced_meanwhile  # type: ignore[method-assign]
    backlog.push([Job(draw(), 0, owner, 0.0)], guild=1, member=1, seconds_each=1)
    worker.start()
    assert await asyncio.to_thread(told.wait, 10)
    assert worker.join(10)


@pytest.mark.parametrize("hanging", ["use", "improve", "free_memory"])
async def test_an_overhaul_that_does_not_come_back_has_its_worker_replaced(hanging: str) -> None:
    held, back = threading.Event(), threading.Event()

    class Hanging(FakePipeline):
        def use(self, weight_set: WeightSet) -> bool:
            self._hang("use")
            return super().use(weight_set)

        def improve(self, idle_seconds: float) -> bool:
            self._hang("improve")
            return False

        def free_memory(self) -> None:
            self._hang("free_memory")

        def _hang(self, where: str) -> None:
            if where == hanging and not held.is_set():
                held.set()
                back.wait(20)

    made = iter([Hanging(most_rows=0 if hanging == "free_memory" else 1), FakePipeline()])
    scheduler = BatchScheduler(
        [lambda: next(made)], budget=1, stall_seconds=0.1, patience_seconds=1.0
    )
    try:
        await scheduler.start()
        if hanging == "improve":
            assert await asyncio.to_thread(held.wait, 10)
        tickets = [scheduler.submit([draw(n)], guild_id=1, user_id=1) for n in range(3)]
        assert await asyncio.to_thread(held.wait, 10)
        # It may take longer than drawing may.
        await asyncio.sleep(0.5)
        assert scheduler.stats().stalls == 0
        async with asyncio.timeout(20):
            await asyncio.gather(*(ticket.result() for ticket in tickets))
        assert scheduler.stats().stalls == 1
        assert scheduler.stats().failed == 0
    finally:
        back.set()
        await scheduler.stop(1)


@pytest.mark.parametrize("others", [0, 1])
async def test_a_replacement_that_never_gets_ready_is_given_up(others: int) -> None:
    wedged, loading = FakePipeline(), threading.Event()
    makes = 0

    def make() -> FakePipeline:
        nonlocal makes
        makes += 1
        if makes > 1:
            loading.wait(20)
        return wedged

    makers = [make, *[FakePipeline] * others]
    scheduler = BatchScheduler(makers, budget=4, stall_seconds=0.2, patience_seconds=0.5)
    try:
        await scheduler.start()
        await until(lambda: len(scheduler._ready) == 1 + others)
        wedged.gate.clear()
        waits: list[Ticket] = []
        while not wedged.calls:
            waits += [scheduler.submit([draw(width=w)], guild_id=1, user_id=1) for w in (64, 128)]
            await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            found = await asyncio.gather(*(one.result() for one in waits), return_exceptions=True)
        assert any(isinstance(one, EngineStalled) for one in found)
        await until(lambda: len(scheduler._workers) == others)
        assert makes == 2
        if others:
            await scheduler.submit([draw()], guild_id=1, user_id=1).result()
        else:
            assert scheduler.stats().state == "failed"
            assert any(type(one) is EngineError for one in found)
            with pytest.raises(EngineError, match="no device is left"):
                scheduler.submit([draw()], guild_id=1, user_id=1)
        # Too late it is no more wanted.
        loading.set()
        await asyncio.sleep(0.1)
        assert len(scheduler._ready) == others
    finally:
        loading.set()
        wedged.gate.set()
        await scheduler.stop(0)


async def test_stopping_drains_then_refuses() -> None:
    pipeline = FakePipeline()
    async with running(pipeline) as scheduler:
        pipeline.gate.clear()
        taken = scheduler.submit([draw(1)], guild_id=1, user_id=1)
        stopping = asyncio.create_task(scheduler.stop(5))
        await until(lambda: scheduler.stats().state == "stopping")
        with pytest.raises(EngineStopping):
            scheduler.submit([draw(2)], guild_id=1, user_id=1)
        pipeline.gate.set()
        assert len(await taken.result()) == 1
        await stopping
        assert scheduler.stats().state == "stopped"


async def test_what_cannot_be_drained_is_told() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=1) as scheduler:
        pipeline.gate.clear()
        taken = scheduler.submit([draw(1), draw(2)], guild_id=1, user_id=1)
        await until(lambda: bool(pipeline.calls))
        threading.Timer(0.3, pipeline.gate.set).start()
        await scheduler.stop(0.05)
        with pytest.raises(EngineStopping):
            await taken.result()


async def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    def broken() -> Any:
        raise OSError("no such file")

    scheduler = BatchScheduler([broken])
    with pytest.raises(OSError, match="no such file"):
        await scheduler.start()


async def test_two_devices_share_one_queue() -> None:
    left, right = FakePipeline(step_seconds=0.005), FakePipeline(step_seconds=0.005)
    async with running(left, right, budget=2) as scheduler:
        await until(lambda: len(scheduler.stats().device_names) == 2)
        draws = [draw(seed) for seed in range(24)]
        await scheduler.submit(draws, guild_id=1, user_id=1).result()
    seeds = [seed for pipeline in (left, right) for call in pipeline.calls for seed in call]
    assert sorted(set(seeds)) == list(range(24))
    assert left.calls
    assert right.calls


async def test_the_real_pipeline_draws_the_same_alone_and_in_company(
    pipeline: TurboPipeline,
) -> None:
    draws = [Draw("a", 5, 64, 64), Draw("b", 6, 64, 64, num_inference_steps=3)]
    expected = [run_alone(pipeline, each)[1] for each in draws]
    async with running(pipeline, budget=4) as scheduler:
        company = scheduler.submit([Draw("c", 9, 64, 64)] * 2, guild_id=1, user_id=1)
        drawn = await scheduler.submit(draws, guild_id=2, user_id=2).result()
        await company.result()
    for one, pixels in zip(drawn, expected, strict=True):
        assert np.abs(one.pixels.astype(int) - pixels).max() <= 1


async def test_a_broken_device_is_replaced_a_few_times_and_then_given_up() -> None:
    made: list[FakePipeline] = []

    def make() -> FakePipeline:
        made.append(FakePipeline())
        return made[-1]

    scheduler = BatchScheduler([make], budget=1)
    await scheduler.start()
    for round_number in range(1 + MAX_REPLACED):
        await until(lambda: scheduler.stats().ready and len(scheduler.stats().device_names) == 1)
        assert len(made) == round_number + 1
        tickets = [
            scheduler.submit([draw(0, POISON)], guild_id=1, user_id=1)
            for _ in range(FAILURES_IN_A_ROW)
        ]
        for ticket in tickets:
            with pytest.raises(EngineError):
                await ticket.result()
        replaced = min(round_number + 2, 1 + MAX_REPLACED)
        await until(lambda expected=replaced: len(made) == expected)  # type: ignore[misc]
    await until(lambda: scheduler.stats().state == "failed")
    with pytest.raises(EngineError, match="no device is left"):
        scheduler.submit([draw(1)], guild_id=1, user_id=1)
    await scheduler.stop(0)


async def test_one_good_picture_shows_that_the_device_works() -> None:
    pipeline = FakePipeline()
    async with running(pipeline, budget=1) as scheduler:
        for number in range(2 * FAILURES_IN_A_ROW):
            prompt = POISON if number % FAILURES_IN_A_ROW else "good"
            ticket = scheduler.submit([draw(number, prompt)], guild_id=1, user_id=1)
            await asyncio.wait([ticket.future])
        assert scheduler.stats().ready
        assert len(await scheduler.submit([draw(1)], guild_id=1, user_id=1).result()) == 1


async def test_spare_time_is_used_and_failing_to_do_so_does_no_harm() -> None:
    class Improving(FakePipeline):
        left = 3

        def improve(self, idle_seconds: float) -> bool:
            if self.left == 0:
                raise RuntimeError("cannot capture")
            self.left -= 1
            return True

    pipeline = Improving()
    async with running(pipeline) as scheduler:
        await until(lambda: pipeline.left == 0)
        await scheduler.submit([draw(1)] * 12, guild_id=1, user_id=1).result()
