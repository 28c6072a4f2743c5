"""The engine's side, in this process: nothing here needs Ray."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bot import exit_codes
from bot.engine import remote_actor
from bot.engine.null import NullPipeline
from bot.engine.remote_actor import EngineActor
from bot.engine.remote_wire import PackedDraw, unpack_error
from bot.engine.scheduler import BatchScheduler
from bot.errors import Abandoned, StartupError
from bot.request import Draw, Drawn


def build(budget: int = 4, **pipeline: float) -> Callable[..., BatchScheduler]:
    return partial(BatchScheduler, [partial(NullPipeline, **pipeline)], budget=budget)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it asks for changes in other threads
            await asyncio.sleep(0.01)


async def test_draws_and_reports() -> None:
    actor = EngineActor(build(), node="abc")
    report = await actor.report("front", 1)
    assert (report.pid, report.node, report.credit, report.failure) == (os.getpid(), "abc", 8, "")
    reply = await actor.draw("front", 1, 0, PackedDraw(Draw("a", 3, 64, 64)), 1, 1)
    assert reply.credit == 8
    assert reply.picture is not None
    expected = NullPipeline().redo(Draw("a", 3, 64, 64))
    assert np.array_equal(Drawn(reply.picture, 0.0, 0.0).pixels, expected)
    assert (await actor.report("other", 3)).credit == 6
    assert (await actor.report("front", 1)).credit == 2
    await actor.leave("other")
    assert (await actor.report("front", 1)).credit == 8


async def test_cancels_one_picture_and_those_of_a_front_that_leaves() -> None:
    actor = EngineActor(build(budget=1, step_seconds=0.05))
    draws = [
        asyncio.create_task(
            actor.draw(front, 1, number, PackedDraw(Draw("a", number, 64, 64)), 1, 1)
        )
        for front in ("stays", "leaves")
        for number in range(3)
    ]
    await until(lambda: len(actor._tickets) == 6)
    await actor.cancel("stays", 2)
    await actor.cancel("stays", 99)
    await actor.leave("leaves")
    replies = await asyncio.gather(*draws)
    kinds = [type(unpack_error(reply.error)) if reply.error else None for reply in replies]
    assert kinds == [None, None, Abandoned, Abandoned, Abandoned, Abandoned]


async def test_what_is_given_up_on_its_way_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_actor, "REMEMBERED", 2)
    actor = EngineActor(build())

    async def draw(number: int) -> Exception | None:
        reply = await actor.draw("front", 1, number, PackedDraw(Draw("a", 1, 64, 64)), 1, 1)
        return unpack_error(reply.error) if reply.error else None

    for number in (5, 6, 7):
        await actor.cancel("front", number)
    assert await draw(5) is None
    for number in (6, 7):
        assert isinstance(await draw(number), Abandoned)
    report = await actor.report("front", 1)
    assert report.stats is not None
    assert report.stats.drawn == 1
    assert not actor._given_up
    # What came too late to cancel anything is not kept for a front that is gone.
    await actor.cancel("front", 7)
    await actor.leave("front")
    assert await draw(7) is None


async def test_a_model_that_cannot_be_loaded_is_reported_not_raised() -> None:
    def absent(**options: Any) -> BatchScheduler:
        raise StartupError("No model at x.", exit_code=exit_codes.MODEL)

    report = await EngineActor(absent).report("front", 0)
    assert (report.failure, report.exit_code) == ("No model at x.", exit_codes.MODEL)
    assert report.stats is None

    def broken() -> Any:
        raise OSError("torn")

    report = await EngineActor(partial(BatchScheduler, [broken])).report("front", 0)
    assert report.failure == "OSError: torn"


async def test_an_engine_without_fronts_ends_itself() -> None:
    ended: list[bool] = []
    actor = EngineActor(build(), idle_seconds=0.2, leave_cluster=lambda: ended.append(True))
    await actor.report("front", 0)
    await asyncio.sleep(0.3)
    assert not ended
    await actor.leave("front")
    await until(lambda: bool(ended))


async def test_an_engine_that_cannot_stop_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its device would be held for ever."""

    async def stuck(*_: object) -> None:
        raise RuntimeError("cannot join the thread")

    monkeypatch.setattr(BatchScheduler, "stop", stuck)
    ended: list[bool] = []
    actor = EngineActor(build(), idle_seconds=0.1, leave_cluster=lambda: ended.append(True))
    await actor.report("front", 0)
    await actor.leave("front")
    await until(lambda: bool(ended))
    assert actor._idle is not None
    with pytest.raises(RuntimeError):
        await actor._idle


async def test_an_engine_whose_device_is_lost_ends_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lost(NullPipeline):
        def attend(self, busy: bool) -> None:
            raise RuntimeError("the device fell off the bus")

    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    actor = EngineActor(partial(BatchScheduler, [Lost]))
    for number in range(20):
        await actor.draw("front", 1, number, PackedDraw(Draw("a", 3, 64, 64)), 1, 1)
    assert exit_codes.INTERNAL in codes
