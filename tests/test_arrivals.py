"""What a process acts on: once, and in spite of a store that is away."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import discord
import pytest

import cogs
from bot import arrivals
from bot.arrivals import Arrivals
from bot.errors import StoreError
from bot.store import Store
from cogs.common.controls import Control
from cogs.common.panels import Form, Panel
from cogs.common.which import WhichPicture


class Slow:
    """A store that answers when told, or fails, and notes what it was asked."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.error: Exception | None = None
        self.asked: list[set[int]] = []
        self.taken: set[int] = set()

    async def take_events(self, event_ids: Iterable[int]) -> set[int]:
        asked = set(event_ids)
        self.asked.append(asked)
        await self.answering.wait()
        if self.error is not None:
            raise self.error
        new = asked - self.taken
        self.taken |= asked
        return new


def at(store: Slow, patience_seconds: float = 30.0) -> Arrivals:
    return Arrivals(store, patience_seconds=patience_seconds)  # type: ignore[arg-type]  # a stand-in


@pytest.fixture
async def slow() -> Slow:
    return Slow()


async def test_two_processes_with_one_store_act_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/store.db"
    stores = [await Store.open(url) for _ in range(2)]
    here, there = (Arrivals(store) for store in stores)
    decided = await asyncio.gather(
        *(one.take(event) for event in range(1, 41) for one in (here, there))
    )
    assert [a + b for a, b in zip(decided[::2], decided[1::2], strict=True)] == [1] * 40
    assert here.repeated + there.repeated == 40
    assert (here.undecided, there.undecided) == (0, 0)
    for store in stores:
        await store.close()


async def test_whoever_is_not_eager_lets_the_others_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "HEAD_START_SECONDS", 0.05)
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/store.db")
    here, there = Arrivals(store), Arrivals(store)
    assert await asyncio.gather(here.take(1, eager=False), there.take(1)) == [False, True]
    assert await here.take(2, eager=False)
    await store.close()


async def test_a_repetition_is_known_without_asking(slow: Slow) -> None:
    slow.answering.set()
    taking = at(slow)
    assert await taking.take(1)
    assert not await taking.take(1)
    assert (slow.asked, taking.repeated) == ([{1}], 1)


async def test_a_storm_costs_two_transactions(slow: Slow) -> None:
    taking = at(slow)
    slow.taken = {7}
    takes = [asyncio.create_task(taking.take(event)) for event in (1, *range(2, 100), 2)]
    await asyncio.sleep(0)
    first = asyncio.create_task(taking.take(100))
    await asyncio.sleep(0)
    slow.answering.set()
    decided = await asyncio.gather(*takes, first)
    assert len(slow.asked) == 2
    assert decided.count(False) == 2
    assert not decided[6]


async def test_a_store_that_is_away_stops_nobody(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    slow.error = StoreError(reason="unreachable")
    slow.answering.set()
    taking = at(slow)
    assert all([await taking.take(event) for event in range(5)])
    # What this process has seen itself it leaves out all the same.
    assert not await taking.take(3)
    assert (taking.undecided, taking.repeated) == (5, 1)
    slow.error = None
    assert await taking.take(9)
    assert taking.undecided == 5
    slow.error = RuntimeError("ours")
    with caplog.at_level(logging.ERROR):
        assert await taking.take(10)
    assert "cannot be told" in caplog.text


async def test_a_store_that_says_nothing_stops_nobody_for_long(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    taking = at(slow, patience_seconds=0.05)
    assert all(await asyncio.gather(*(taking.take(event) for event in range(5))))
    assert taking.undecided == 5
    assert caplog.text.count("the store is slow") == 1
    # It comes to itself: what it was asked meanwhile stays taken, and it decides again.
    slow.answering.set()
    slow.taken.add(6)
    assert not await taking.take(6)
    assert slow.taken == set(range(5)) | {6}
    assert taking.undecided == 5


async def test_memory_is_bounded(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "REMEMBERED", 3)
    slow.answering.set()
    taking = at(slow)
    for event in range(5):
        assert await taking.take(event)
    assert len(taking._seen) == 3


def _subclasses(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def test_every_view_form_and_control_asks_before_it_acts() -> None:
    """Otherwise two processes with the same shard would both answer a press on it."""
    for module in pkgutil.walk_packages(cogs.__path__, "cogs."):
        importlib.import_module(module.name)
    kinds = (discord.ui.View, discord.ui.LayoutView, discord.ui.Modal, discord.ui.DynamicItem)
    ours = {
        one for kind in kinds for one in _subclasses(kind) if one.__module__.startswith("cogs.")
    }
    assert len(ours) >= 8
    asking = (Panel, Form, Control, WhichPicture)
    assert {one for one in ours if not issubclass(one, asking)} == set()
    # Whoever checks more still asks.
    for one in ours - set(asking):
        check = vars(one).get("interaction_check")
        assert check is None or "super().interaction_check(" in inspect.getsource(check), one
