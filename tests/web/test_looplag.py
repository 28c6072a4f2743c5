"""The event loop's lag is measured, told and logged."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.web.looplag import LoopLag


async def measured(lag: LoopLag, heard: list[float], block_s: float) -> None:
    """Let `lag` measure until it has been heard once after the loop was blocked."""
    task = asyncio.create_task(lag.measure())
    await asyncio.sleep(0)
    # A blocking call in a callback is just what is to be noticed.
    asyncio.get_running_loop().call_soon(time.sleep, block_s)
    async with asyncio.timeout(10):
        while not heard:  # noqa: ASYNC110  the measurement tells nobody else
            await asyncio.sleep(0.005)
    task.cancel()


async def test_a_blocked_loop_is_noticed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[float] = []
    lag = LoopLag(heard.append, interval_s=0.01, warn_s=0.1)
    assert (lag.last, lag.worst) == (0.0, 0.0)
    await measured(lag, heard, 0.3)
    assert heard[0] >= 0.25
    assert lag.worst >= heard[0]
    assert "the event loop woke" in caplog.text


async def test_a_short_lag_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[float] = []
    await measured(LoopLag(heard.append, interval_s=0.01, warn_s=60), heard, 0.0)
    assert heard[0] >= 0
    assert not caplog.records


async def test_only_the_newest_measurements_count_as_worst() -> None:
    heard: list[float] = []
    lag = LoopLag(heard.append, interval_s=0.001, warn_s=60, keep=2)
    task = asyncio.create_task(lag.measure())
    async with asyncio.timeout(10):
        while len(heard) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    task.cancel()
    assert lag.worst == max(heard[-2:])
    assert lag.last == heard[-1]


async def test_a_listener_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[float] = []

    def broken(_lag: float) -> None:
        raise ValueError("not today")

    lag = LoopLag(broken, heard.append, interval_s=0.001, warn_s=60)
    task = asyncio.create_task(lag.measure())
    async with asyncio.timeout(10):
        while len(heard) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    task.cancel()
    assert "not today" in caplog.text
