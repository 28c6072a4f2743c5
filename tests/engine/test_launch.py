"""An engine put together for this machine, on its CPU."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot import exit_codes
from bot.engine.cpu import NICENESS, CoreShare, give_way
from bot.engine.launch import build_scheduler, find_devices
from bot.engine.prompts import Condition, PromptCache
from bot.engine.seat import Seat
from bot.errors import StartupError
from bot.request import Draw


async def test_engines_share_weights_and_agree(tiny_folder: Path, tmp_path: Path) -> None:
    scheduler = build_scheduler(str(tiny_folder), device="cpu", engines=2, cache=tmp_path)
    await scheduler.start()
    draws = [Draw("a", seed % 2, 128, 128) for seed in range(8)]
    drawn = await scheduler.submit(draws, guild_id=1, user_id=1).result()
    stats = scheduler.stats()
    await scheduler.stop(1)
    assert stats.drawn == 8
    assert stats.model_name == tiny_folder.name
    for number, one in enumerate(drawn):
        assert np.abs(one.pixels.astype(int) - drawn[number % 2].pixels).max() <= 1
    assert (tmp_path / "calibration.json").is_file()


async def test_a_fixed_budget_needs_no_measuring(tiny_folder: Path, tmp_path: Path) -> None:
    scheduler = build_scheduler(
        str(tiny_folder), device="cpu", engines=1, max_batch=3, cache=tmp_path
    )
    await scheduler.start()
    assert scheduler.stats().max_rows == (3,)
    await scheduler.stop(0)
    assert not (tmp_path / "calibration.json").exists()


async def test_a_missing_model_stops_the_start(tmp_path: Path) -> None:
    scheduler = build_scheduler(str(tmp_path / "nothing"), device="cpu", cache=tmp_path)
    with pytest.raises(StartupError, match="No model at"):
        await scheduler.start()


def test_devices_by_name() -> None:
    assert find_devices("cpu") == ["cpu"]
    assert find_devices("cpu,cpu") == ["cpu"]
    with pytest.raises(StartupError, match="no device 'cuda:99'") as caught:
        find_devices("cuda:0,99" if "cuda:0" in find_devices("auto") else "cuda:99")
    assert caught.value.exit_code == exit_codes.CONFIG


@pytest.mark.parametrize(("build", "warnings"), [("13.0", 1), (None, 0)])
def test_a_gpu_that_cannot_be_used_is_not_passed_over_silently(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    build: str | None,
    warnings: int,
) -> None:
    """As with a driver that is too old for the build: the GPU can be counted and not be used."""
    import torch

    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert find_devices("auto") == ["cpu"]
    assert sum("sees no GPU" in each.message for each in caplog.records) == warnings
    assert find_devices("cpu") == ["cpu"]
    assert len(caplog.records) == warnings
    with pytest.raises(StartupError, match="no device 'cuda' on this machine; there is cpu"):
        find_devices("cuda")


def test_cores_go_to_those_who_have_work() -> None:
    share = CoreShare(8, engines=4)
    first, second, third, fourth = (share.join() for _ in range(4))
    assert [first.threads, second.threads] == [8, 2]
    first.attend(True)
    assert first.threads == 8
    second.attend(True)
    third.attend(True)
    assert [first.threads, second.threads, third.threads] == [4, 2, 2]
    fourth.attend(True)
    assert first.threads == 2
    for part in (second, third, fourth):
        part.attend(False)
    assert first.threads == 8


def test_there_are_never_fewer_threads_than_one() -> None:
    share = CoreShare(2, engines=4)
    parts = [share.join() for _ in range(4)]
    for part in parts:
        part.attend(True)
    assert [part.threads for part in parts] == [1, 1, 1, 1]


def test_engines_with_fewer_cores_stand_back_for_the_first() -> None:
    share = CoreShare(2, engines=2)
    first, second = share.join(), share.join()
    assert (first.is_outdone, second.is_outdone) == (False, True)
    first.leave()
    assert not second.is_outdone
    assert share.join().threads == 2  # who comes instead is the first
    assert second.is_outdone
    alone = CoreShare(1, engines=1)
    assert not alone.join().is_outdone
    equal = CoreShare(1, engines=2)
    equal.join()
    assert not equal.join().is_outdone


def test_each_engine_keeps_its_own_number_of_threads() -> None:
    """Whoever sets it last must not set it for those who have not computed anything yet."""
    import torch

    share = CoreShare(3, engines=3)
    found: dict[int, int] = {}
    turns = [threading.Event() for _ in range(3)]

    def engine(number: int) -> None:
        residency: Any = SimpleNamespace(pipeline_of=lambda seat: None)
        seat = Seat(residency, cores=share.join())
        turns[number].set()
        assert turns[-1].wait(10)
        seat._on_cores()
        torch.ones(1_000_000).sum()
        found[number] = torch.get_num_threads()

    threads = [threading.Thread(target=engine, args=(number,)) for number in range(3)]
    for thread, turn in zip(threads, turns, strict=True):
        thread.start()
        assert turn.wait(10)
    for thread in threads:
        thread.join()
    assert found == {0: 3, 1: 1, 2: 1}


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own there")
def test_engine_threads_give_way_to_the_loop() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    found: list[int] = []

    def engine() -> None:
        give_way()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=engine)
    thread.start()
    thread.join()
    assert found == [max(before, NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_the_prompt_cache_is_bounded_in_bytes() -> None:
    import torch

    def condition(floats: int) -> Condition:
        return Condition(torch.zeros(floats), torch.zeros(0))

    cache = PromptCache(max_bytes=100)
    cache.put("a", condition(10))
    cache.put("b", condition(10))
    assert cache.get("a") is not None
    cache.put("c", condition(10))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.nbytes == 80
    cache.put("huge", condition(1000))
    assert cache.get("huge") is None
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
