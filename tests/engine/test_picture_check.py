from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from PIL import Image

from bot.engine.picture_check import PictureCheck, Side
from bot.errors import CheckFailed, QueueFull

RED = Image.new("RGB", (4, 4), (255, 0, 0))
BLUE = Image.new("RGB", (4, 4), (0, 0, 255))


class RedJudge:
    """Flags red; `gate` holds calls up, `fails` says which batch sizes break."""

    device_name = "paper"

    def __init__(self, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.fails = fails
        self.calls: list[int] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    async def called(self) -> None:
        """Return once a call is under way."""
        while not self.calls:  # noqa: ASYNC110  the call is another thread's
            await asyncio.sleep(0)

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        self.calls.append(len(pictures))
        self.threads.add(threading.current_thread().name)
        self.gate.wait(10)
        if self.fails(len(pictures)):
            raise RuntimeError("no memory")
        return [picture.getpixel((0, 0)) == (255, 0, 0) for picture in pictures]


@asynccontextmanager
async def checking(judge: RedJudge, **options: float) -> AsyncIterator[PictureCheck]:
    check = PictureCheck(lambda: judge, **options)  # type: ignore[arg-type]  # ints and floats
    await check.start()
    try:
        yield check
    finally:
        judge.gate.set()
        await check.stop()


async def test_verdicts_come_in_order_from_a_thread_of_its_own() -> None:
    judge = RedJudge()
    async with checking(judge) as check:
        assert await check.judge([BLUE, RED, BLUE], Side.OUTPUT) == (False, True, False)
        assert await check.judge([RED], Side.INPUT) == (True,)
        assert judge.threads == {"picture-check_0"}
        assert check.stats().judged == {
            (Side.OUTPUT, False): 2,
            (Side.OUTPUT, True): 1,
            (Side.INPUT, True): 1,
        }


async def test_what_waits_together_is_judged_together_up_to_the_batch() -> None:
    judge = RedJudge()
    async with checking(judge, max_batch=4) as check:
        judge.gate.clear()
        first = asyncio.create_task(check.judge([BLUE], Side.INPUT))
        await judge.called()
        waiting = [asyncio.create_task(check.judge([RED, BLUE], Side.OUTPUT)) for _ in range(3)]
        await asyncio.sleep(0)
        judge.gate.set()
        assert await asyncio.gather(*waiting) == [(True, False)] * 3
        assert await first == (False,)
    assert judge.calls == [1, 4, 2]


async def test_the_event_loop_goes_on_while_a_picture_is_judged() -> None:
    judge = RedJudge()
    async with checking(judge) as check:
        judge.gate.clear()
        asked = asyncio.create_task(check.judge([RED], Side.INPUT))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not asked.done()
        judge.gate.set()
        assert await asked == (True,)


async def test_a_batch_that_breaks_is_judged_one_by_one() -> None:
    judge = RedJudge(fails=lambda size: size > 1)
    async with checking(judge) as check:
        assert await check.judge([BLUE, RED], Side.OUTPUT) == (False, True)
        assert check.stats().failures == 0
    assert judge.calls == [2, 1, 1]


async def test_a_judge_that_loses_count_gives_no_verdict_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = RedJudge()
    async with checking(judge) as check:
        monkeypatch.setattr(judge, "flags", lambda _: [False] * 7)
        with pytest.raises(CheckFailed):
            await asyncio.wait_for(check.judge([BLUE, RED], Side.OUTPUT), 5)
        monkeypatch.undo()
        assert await asyncio.wait_for(check.judge([RED], Side.OUTPUT), 5) == (True,)


async def test_a_check_that_breaks_gives_no_verdict_and_lives_on() -> None:
    # Both together, and then each alone; whoever asked is told at the first.
    failing = [True, True, True]
    judge = RedJudge(fails=lambda _: bool(failing) and failing.pop())
    async with checking(judge) as check:
        with pytest.raises(CheckFailed):
            await check.judge([BLUE, BLUE], Side.OUTPUT)
        assert await check.judge([BLUE], Side.OUTPUT) == (False,)
        assert check.stats().failures == 2


async def test_patience_ends_and_what_nobody_waits_for_is_not_judged() -> None:
    judge = RedJudge()
    async with checking(judge, patience_s=0.3) as check:
        judge.gate.clear()
        with pytest.raises(CheckFailed):
            await check.judge([RED], Side.INPUT)
        with pytest.raises(CheckFailed):
            await check.judge([RED, RED], Side.INPUT)
        judge.gate.set()
        check._patience_s = 10
        assert await check.judge([BLUE], Side.INPUT) == (False,)
    assert judge.calls == [1, 1]


async def test_requests_without_a_verdict_count_until_the_next_one() -> None:
    failing = [True, True]
    judge = RedJudge(fails=lambda _: bool(failing) and failing.pop())
    async with checking(judge) as check:
        for count in (1, 2):
            with pytest.raises(CheckFailed):
                await check.judge([BLUE], Side.OUTPUT)
            assert check.stats().unanswered == count
        assert check.stats().unanswered_s < 5
        await check.judge([BLUE], Side.OUTPUT)
        assert (check.stats().unanswered, check.stats().unanswered_s) == (0, 0)


async def test_a_call_that_does_not_come_back_is_told_however_long() -> None:
    judge = RedJudge()
    async with checking(judge, patience_s=0.02) as check:
        assert check.stats().call_s == 0
        judge.gate.clear()
        for count in (1, 2):
            with pytest.raises(CheckFailed):
                await check.judge([RED], Side.INPUT)
            assert check.stats().call_s > 0.01 * count
            assert check.stats().unanswered == count
        judge.gate.set()
        check._patience_s = 10
        await check.judge([BLUE], Side.INPUT)
        assert (check.stats().unanswered, check.stats().call_s) == (0, 0)


async def test_too_much_waiting_is_refused_early_with_a_time() -> None:
    judge = RedJudge()
    async with checking(judge, max_waiting=2) as check:
        check.admit()
        judge.gate.clear()
        asked = asyncio.create_task(check.judge([BLUE], Side.OUTPUT))
        await judge.called()
        more = asyncio.create_task(check.judge([BLUE, BLUE], Side.OUTPUT))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as caught:
            check.admit()
        assert caught.value.retry_after > 0
        judge.gate.set()
        await asyncio.gather(asked, more)
        check.admit()


async def test_stopping_leaves_nobody_waiting() -> None:
    judge = RedJudge()
    async with checking(judge) as check:
        judge.gate.clear()
        asked = [asyncio.create_task(check.judge([RED], Side.INPUT)) for _ in range(2)]
        await judge.called()
        await check.stop()
        judge.gate.set()
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, CheckFailed) for one in failed)
