"""Fronts and engines over a real Ray cluster on this machine: nothing is lost, whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from bot.engine.launch import build_scheduler
from bot.engine.null import NullPipeline, NullSample, photo_like
from bot.engine.pipeline import TurboPipeline
from bot.engine.remote import RemoteScheduler
from bot.engine.remote_link import SUSPICIOUS
from bot.engine.scheduler import BatchScheduler
from bot.errors import (
    Abandoned,
    EngineError,
    EngineStopping,
    QueueFull,
    StartupError,
    WeightsUnavailable,
)
from bot.models.loader import LoadedModel, load_model
from bot.request import Draw, Drawn, Lora, WeightSet
from tests.engine.conftest import run_alone
from tests.engine.loras import save_peft
from tests.engine.ray_harness import RayHarness, draws, harness, links, null_engine, until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def ray() -> Iterator[RayHarness]:
    with harness() as running:
        yield running


def is_right(drawn: Drawn, draw: Draw) -> bool:
    return np.array_equal(drawn.pixels, NullPipeline().redo(draw))


async def test_a_cluster_without_a_gpu_is_told_at_the_start(ray: RayHarness) -> None:
    front = RemoteScheduler(null_engine(), deployment="nowhere", patience_seconds=0.5)
    with pytest.raises(StartupError, match="no GPU"):
        await front.start()


async def test_an_engine_killed_in_the_middle_of_a_batch_loses_nothing(ray: RayHarness) -> None:
    async with ray.front(null_engine(step_seconds=0.05), cpu_engines=2) as front:
        wanted = draws(*range(40))
        tickets = [front.submit(wanted[n : n + 4], guild_id=n, user_id=n) for n in range(0, 40, 4)]
        victim, other = links(front)
        await until(lambda: front.stats().drawn >= 4 and len(victim.jobs) > 1)
        dead = victim.pid
        os.kill(dead, signal.SIGKILL)
        drawn = [one for each in tickets for one in await each.result()]
        assert all(map(is_right, drawn, wanted))
        assert (front.engines_lost, front.stats().drawn) == (1, 40)
        await until(lambda: victim.ready)
        assert victim.pid not in (dead, other.pid)
        # The replacement draws.
        ticket = front.submit(draws(*range(12)), guild_id=1, user_id=1)
        assert victim.jobs
        assert len(await ticket.result()) == 12


@pytest.mark.timeout(400)  # three processes import torch and load the model
async def test_the_real_pipeline_draws_the_same_there_before_and_after_a_loss(
    ray: RayHarness, tmp_path: Path
) -> None:
    pipeline = TurboPipeline.load("starter")
    source = Image.fromarray(photo_like(64, 64))
    wanted = [
        *draws(*range(12), num_inference_steps=4),
        *draws(20, 21, guidance_scale=3.0, negative_prompt="b"),
        *draws(30, 31, sources=(source,), weights=(1.0,), strength=0.5),
    ]
    expected = [run_alone(pipeline, each)[1].astype(int) for each in wanted]
    build = partial(
        build_scheduler, "starter", device="cpu", engines=1, max_batch=2, cache=tmp_path
    )
    async with ray.front(build, cpu_engines=2) as front:
        assert front.stats().model_name == "starter"
        before = await front.submit(wanted, guild_id=1, user_id=1).result()
        ticket = front.submit(wanted, guild_id=1, user_id=1)
        victim, _ = links(front)
        assert victim.jobs
        os.kill(victim.pid, signal.SIGKILL)
        after = await ticket.result()
        assert front.engines_lost == 1
    for one, two, pixels in zip(before, after, expected, strict=True):
        # A level of difference is what sharing a batch with others makes on a CPU.
        assert np.abs(one.pixels - pixels).max() <= 1
        assert np.abs(two.pixels - pixels).max() <= 1


@pytest.mark.timeout(400)  # a process imports torch and loads two models
async def test_models_and_loras_are_drawn_with_there(
    ray: RayHarness,
    tiny_folder: Path,
    tiny_model: LoadedModel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lora = save_peft(tiny_model.pipeline, tmp_path / "look.safetensors")
    missing = Lora(str(tmp_path / "missing.safetensors"))
    pipeline = TurboPipeline(load_model(tiny_folder, device=torch.device("cpu")))
    pipeline.use(WeightSet(lora=lora))
    expected = run_alone(pipeline, draws(1)[0])[1].astype(int)
    build = partial(
        build_scheduler,
        "starter",
        models={"second": str(tiny_folder)},
        device="cpu",
        engines=1,
        max_batch=2,
        cache=tmp_path,
    )
    async with ray.front(build, cpu_engines=1) as front:
        plain = front.submit(draws(1), guild_id=1, user_id=1)
        wanted = draws(1, weight_set=WeightSet("second", lora))
        styled = front.submit(wanted, guild_id=2, user_id=2)
        (drawn,) = await styled.result()
        await plain.result()
        for _ in range(SUSPICIOUS + 1):
            lost = front.submit(
                draws(1, weight_set=WeightSet("second", missing)), guild_id=3, user_id=3
            )
            with pytest.raises(WeightsUnavailable) as caught:
                await lost.result()
    # A file that is not there is no fault of the engine that says so.
    assert "is lost" not in caplog.text
    assert np.abs(drawn.pixels - expected).max() <= 1
    assert (caught.value.code, caught.value.details["name"]) == ("lora_missing", "missing")


async def test_nodes_that_join_are_used_and_those_that_leave_are_drained(ray: RayHarness) -> None:
    first = ray.add_gpu_node()
    async with ray.front(null_engine(step_seconds=0.1), max_per_member=64) as front:
        (old,) = links(front)
        second = ray.add_gpu_node()
        await until(lambda: len(links(front)) == 2)
        (new,) = (link for link in links(front) if link is not old)
        assert (old.slot.node, new.slot.node) == (first.node_id, second.node_id)

        # The first leaves in order: what it has is finished there.
        wanted = draws(*range(48))
        ticket = front.submit(wanted, guild_id=1, user_id=1)
        assert old.jobs
        await asyncio.to_thread(ray.drain, first)
        assert all(map(is_right, await ticket.result(), wanted))
        await until(lambda: list(front._links) == [new.slot.name])
        assert front.engines_lost == 0

        # The second goes without a word, in the middle of a batch: a third takes over.
        third = ray.add_gpu_node()
        wanted = draws(*range(16))
        ticket = front.submit(wanted, guild_id=1, user_id=1)
        assert new.jobs
        await asyncio.to_thread(ray.lose, second)
        assert all(map(is_right, await ticket.result(), wanted))
        await until(lambda: [link.slot.node for link in links(front)] == [third.node_id])
        assert (front.engines_lost, front.stats().drawn) == (1, 64)

        # Nobody is left: requests wait for a while, then they are told.
        front.patience_seconds = 3.0
        await asyncio.to_thread(ray.lose, third)
        await until(lambda: not links(front))
        ticket = front.submit(draws(1), guild_id=1, user_id=1)
        with pytest.raises(EngineError, match="no engine is left"):
            await ticket.result()
        with pytest.raises(EngineError, match="no engine is left"):
            front.submit(draws(1), guild_id=1, user_id=1)
        assert front.stats().state == "failed"


async def test_fronts_share_engines_by_the_guilds_that_wait(ray: RayHarness) -> None:
    build = null_engine(step_seconds=0.05)
    async with (
        ray.front(build, cpu_engines=1, deployment="shared") as many,
        ray.front(build, cpu_engines=1, deployment="shared") as one,
    ):
        assert links(many)[0].pid == links(one)[0].pid
        tickets = [many.submit(draws(*range(8)), guild_id=n, user_id=n) for n in range(3)]
        own = one.submit(draws(*range(24)), guild_id=9, user_id=9)
        # The first guild's pictures are all on their way: two guilds wait here, one there.
        assert (many.demand, one.demand) == (2, 1)
        await until(lambda: (links(many)[0].credit, links(one)[0].credit) == (5, 3))
        await asyncio.gather(own.result(), *(ticket.result() for ticket in tickets))
        assert (many.stats().drawn, one.stats().drawn) == (24, 24)
        # The first to end takes its picture along and leaves the engine to the other.
        left = many.submit(draws(1), guild_id=1, user_id=1)
        await many.stop(5)
        assert len(await left.result()) == 1
        await one.submit(draws(1, 2), guild_id=9, user_id=9).result()
        assert one.engines_lost == 0


async def test_engines_end_when_no_front_is_left(ray: RayHarness) -> None:
    async with ray.front(null_engine(), cpu_engines=1, idle_seconds=1.0) as front:
        (pid,) = front.pids
        await asyncio.sleep(2.0)
        assert psutil.pid_exists(pid)
        await front.stop(0)
        await until(lambda: not psutil.pid_exists(pid))


async def test_an_engine_that_says_nothing_is_replaced(ray: RayHarness) -> None:
    build = null_engine(step_seconds=0.05)
    async with ray.front(build, cpu_engines=2, silent_seconds=1.0) as front:
        victim, _ = links(front)
        frozen = victim.pid
        ticket = front.submit(draws(*range(20)), guild_id=1, user_id=1)
        os.kill(frozen, signal.SIGSTOP)
        try:
            assert len(await ticket.result()) == 20
            await until(lambda: victim.ready and victim.pid != frozen)
        finally:
            with_no_process_left(frozen)


def with_no_process_left(pid: int) -> None:
    """Make sure that a frozen process does not outlive the test."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def test_a_picture_that_kills_engines_is_given_up_and_takes_nobody_along(
    ray: RayHarness,
) -> None:
    class Poisoned(NullPipeline):
        device_name = property(lambda self: f"token: {os.environ.get('DISCORD_TOKEN')!r}")

        def step(self, samples: list[NullSample]) -> None:  # type: ignore[override]  # a list it is
            if any(sample.draw.prompt == "poison" for sample in samples):
                os._exit(1)
            if any(sample.draw.prompt == "faulty" for sample in samples):
                raise RuntimeError("the device does not like it")
            super().step(samples)

    build = partial(BatchScheduler, [partial(Poisoned, step_seconds=0.01)], budget=4)
    async with ray.front(build, cpu_engines=2) as front:
        # The node inherited the bot's environment; its engines have not.
        assert front.stats().device_names == ("token: ''", "token: ''")
        others = front.submit(draws(*range(24)), guild_id=1, user_id=1)
        poison = front.submit([Draw("poison", 1, 64, 64)], guild_id=2, user_id=2)
        with pytest.raises(EngineError, match="3 engines were lost with it"):
            await poison.result()
        assert len(await others.result()) == 24
        assert front.engines_lost == 3

        # What fails without killing is tried on the other engine too, then told.
        await until(lambda: len(links(front)) == 2)
        with pytest.raises(EngineError, match="RuntimeError"):
            await front.submit([Draw("faulty", 1, 64, 64)], guild_id=2, user_id=2).result()
        assert front.engines_lost == 3
        assert front.stats().failed == 2


async def test_tickets_are_cancelled_and_refused_as_on_one_machine(ray: RayHarness) -> None:
    build = null_engine(budget=1, step_seconds=0.5)
    limits = {"max_per_member": 6, "max_pictures": 8}
    async with ray.front(build, cpu_engines=1, **limits) as front:
        (link,) = links(front)
        first = front.submit(draws(1, 2), guild_id=1, user_id=1)
        second = front.submit(draws(3, 4, 5), guild_id=None, user_id=2)
        third = front.submit(draws(6), guild_id=4, user_id=4)
        assert (first.position, second.position, third.position) == (0, 0, 1)
        assert front.stats().waiting == 4
        assert second.estimate_seconds > first.estimate_seconds > 0
        with pytest.raises(QueueFull, match="queue_full_server"):
            front.submit(draws(*range(6)), guild_id=3, user_id=3)
        second.cancel()
        with pytest.raises(Abandoned):
            await second.result()
        third.cancel()
        await asyncio.sleep(0)
        assert front.stats().waiting == 0
        running = asyncio.create_task(first.result())
        await asyncio.sleep(0)
        running.cancel()
        # The engine hears of it: it is free long before two pictures could be drawn.
        await until(lambda: not link.jobs)
        await until(lambda: link.stats is not None and link.stats.abandoned >= 1)
        assert front.stats().abandoned == 6
        assert front.stats().drawn == 0
        last = front.submit(draws(1), guild_id=1, user_id=1)
        await front.stop(0)
        with pytest.raises(EngineStopping):
            await last.result()
        with pytest.raises(EngineStopping):
            front.submit(draws(1), guild_id=1, user_id=1)


async def test_a_model_that_cannot_be_loaded_stops_the_start(ray: RayHarness) -> None:
    front = RemoteScheduler(partial(BatchScheduler, []), deployment="broken", cpu_engines=1)
    with pytest.raises(StartupError, match="At least one pipeline is needed"):
        await front.start()
    assert front.stats().state == "stopped"
