"""Several models and LoRAs on one device: each draws as if it were alone there."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from bot.engine.launch import build_scheduler
from bot.engine.pipeline import TurboPipeline
from bot.engine.residency import LEAST_TURN, TRY_AGAIN, TURN_FOR_CHANGE, Residency
from bot.engine.seat import Seat
from bot.errors import StartupError, WeightsUnavailable
from bot.models.loader import LoadedModel, load_model
from bot.models.random_weights import build_random_pipeline
from bot.models.tiny import TINY
from bot.request import Draw, Lora, Pixels, WeightSet
from tests.engine.conftest import run_alone
from tests.engine.loras import save_kohya, save_peft

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three models by name; the first is ""."""
    home = tmp_path_factory.mktemp("more")
    for name, seed in (("second", 3), ("third", 4)):
        build_random_pipeline(TINY, seed=seed).save_pretrained(home / name)
    return {"": str(tiny_folder), **{name: str(home / name) for name in ("second", "third")}}


@pytest.fixture(scope="module")
def loras(tiny_model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> list[Lora]:
    home = tmp_path_factory.mktemp("loras")
    return [
        save_peft(tiny_model.pipeline, home / "one.safetensors", seed=1),
        save_kohya(tiny_model.pipeline, home / "two.safetensors", seed=2),
    ]


@pytest.fixture
def freeze() -> Iterator[Callable[[], None]]:
    """What the bot does once it is started: the collector then never looks at what is there."""

    def collect_and_freeze() -> None:
        gc.collect()
        gc.freeze()

    yield collect_and_freeze
    gc.unfreeze()


def stored(model: LoadedModel) -> list[StorageWeakRef]:
    """Return what tells whether the memory of the weights is still in use."""
    stock = model.pipeline
    parts = (stock.unet, stock.vae, stock.text_encoder, stock.text_encoder_2)
    weights = [weight for part in parts for weight in (*part.parameters(), *part.buffers())]
    return [StorageWeakRef(weight.untyped_storage()) for weight in weights]


def freed(weights: list[StorageWeakRef]) -> bool:
    return all(each.expired() for each in weights)


class Shelf:
    """Reads models and notes which; a clock that stands still."""

    def __init__(self, folders: dict[str, str], **options: Any) -> None:
        self.folders = dict(folders)
        self.read: list[str] = []
        self.time = 0.0
        self.residency = Residency(self.load, TurboPipeline, clock=lambda: self.time, **options)

    def load(self, name: str) -> LoadedModel:
        self.read.append(name)
        return load_model(Path(self.folders[name]), device=CPU)


def alone(folders: dict[str, str], draw: Draw) -> Pixels:
    """Draw with a model loaded for this picture and a LoRA merged once."""
    pipeline = TurboPipeline(load_model(Path(folders[draw.weight_set.model]), device=CPU))
    pipeline.use(WeightSet(lora=draw.weight_set.lora))
    return run_alone(pipeline, draw)[1]


async def test_mixed_requests_equal_each_alone(
    folders: dict[str, str], loras: list[Lora], tmp_path: Path
) -> None:
    sets = [WeightSet(model, lora) for model in folders for lora in (None, *loras)]
    draws = [
        Draw("a cat", number, 64, 64, num_inference_steps=1 + number % 3, weight_set=weight_set)
        for number, weight_set in enumerate(sets)
    ]
    expected = [alone(folders, draw) for draw in draws]
    further = {name: path for name, path in folders.items() if name}
    scheduler = build_scheduler(
        folders[""], models=further, device="cpu", engines=2, max_batch=4, cache=tmp_path
    )
    await scheduler.start()
    try:
        tickets = [
            (index, scheduler.submit([draws[index]], guild_id=index % 3, user_id=index))
            for _ in range(2)
            for index in (4, 0, 8, 2, 6, 1, 3, 5, 7)
        ]
        async with asyncio.timeout(100):
            drawn = [(index, (await ticket.result())[0]) for index, ticket in tickets]
    finally:
        await scheduler.stop(1)
    for index, one in drawn:
        assert np.abs(one.pixels.astype(int) - expected[index]).max() <= 1
    # They differ, so that none can pass for another.
    for first, one in enumerate(expected):
        for other in expected[:first]:
            assert np.abs(one.astype(int) - other).mean() > 0.5


def test_models_wait_in_host_memory_as_far_as_it_goes(folders: dict[str, str]) -> None:
    size = load_model(Path(folders[""]), device=CPU).nbytes
    shelf = Shelf(folders, waiting_bytes=size + size // 2)
    seat = Seat(shelf.residency)
    for name in ("second", "third", "second", ""):
        assert seat.use(WeightSet(name))
        assert len(shelf.residency.waiting) == 1
    # Room for one: the last used waits, what was used before is read again.
    assert shelf.read == ["", "second", "third", ""]


def test_without_room_one_model_is_in_memory_at_a_time(
    folders: dict[str, str], loras: list[Lora]
) -> None:
    shelf = Shelf(folders)
    seat = Seat(shelf.residency)
    sibling = Seat(shelf.residency)
    seat.use(WeightSet(lora=loras[0]))
    run_alone(seat.pipeline, Draw("a", 1, 64, 64))
    assert sibling.pipeline is not seat.pipeline
    assert sibling.pipeline.model is seat.pipeline.model
    assert sibling.pipeline.prompt_cache is seat.pipeline.prompt_cache
    first = weakref.ref(seat.pipeline.model.unet)
    seat.release()
    seat.use(WeightSet("second"))
    gc.collect()
    assert first() is None
    assert shelf.residency.waiting == ()


def test_the_first_model_is_freed_though_it_is_frozen(
    folders: dict[str, str], freeze: Callable[[], None]
) -> None:
    shelf = Shelf(folders)
    seat, sibling = Seat(shelf.residency), Seat(shelf.residency)
    draw = Draw("a", 1, 64, 64)
    run_alone(seat.pipeline, draw)
    first = stored(seat.pipeline.model)
    freeze()
    assert sibling.use(WeightSet())
    assert not seat.use(WeightSet("second"))
    assert not any(each.expired() for each in first)
    run_alone(sibling.pipeline, draw)
    sibling.release()
    assert seat.use(WeightSet("second"))
    assert freed(first)
    assert np.array_equal(run_alone(sibling.pipeline, draw)[1], run_alone(seat.pipeline, draw)[1])


def test_a_frozen_model_that_is_evicted_from_waiting_is_freed(
    folders: dict[str, str], freeze: Callable[[], None]
) -> None:
    size = load_model(Path(folders[""]), device=CPU).nbytes
    shelf = Shelf(folders, waiting_bytes=size + size // 2)
    seat = Seat(shelf.residency)
    first = stored(seat.pipeline.model)
    freeze()
    seat.use(WeightSet("second"))
    assert shelf.residency.waiting == ("",)
    assert not any(each.expired() for each in first)
    seat.use(WeightSet("third"))
    assert shelf.residency.waiting == ("second",)
    assert freed(first)


def test_what_a_replaced_engine_had_is_freed_once_nobody_shares_it(
    folders: dict[str, str], freeze: Callable[[], None]
) -> None:
    residency = Residency(
        lambda name: load_model(Path(folders[name]), device=CPU),
        TurboPipeline,
        waiting_bytes=10**9,
    )
    left, right = Seat(residency), Seat(residency)
    first = stored(left.pipeline.model)
    left.use(WeightSet("second"))
    left.release()
    second = stored(left.pipeline.model)
    freeze()
    left.leave()
    del left
    run_alone(right.pipeline, Draw("a", 1, 64, 64))
    right.leave()
    assert not any(each.expired() for each in (*first, *second))
    del right, residency
    assert freed(first)
    assert freed(second)


def test_a_model_comes_back_from_waiting_as_it_was(
    folders: dict[str, str], loras: list[Lora]
) -> None:
    shelf = Shelf(folders, waiting_bytes=10**9)
    seat = Seat(shelf.residency)
    draw = Draw("a", 1, 64, 64)
    plain = run_alone(seat.pipeline, draw)[1]
    seat.use(WeightSet(lora=loras[0]))
    seat.use(WeightSet("second", loras[1]))
    seat.use(WeightSet())
    assert np.array_equal(run_alone(seat.pipeline, draw)[1], plain)
    assert seat.pipeline.model.merger.kept_bytes == 0
    assert shelf.read == ["", "second"]


def test_weights_are_changed_by_nobody_while_somebody_draws(folders: dict[str, str]) -> None:
    shelf = Shelf(folders)
    left, right = Seat(shelf.residency), Seat(shelf.residency)
    assert left.use(WeightSet())
    assert right.use(WeightSet())
    assert not left.use(WeightSet("second"))
    right.release()
    assert left.use(WeightSet("second"))
    assert right.weight_set == WeightSet("second")
    assert not right.use(WeightSet())
    # Who is replaced while it is stuck in a call holds nobody up.
    left.leave()
    assert right.use(WeightSet())


def test_a_turn_is_as_long_as_changing_took(folders: dict[str, str]) -> None:
    shelf = Shelf(folders)
    seat = Seat(shelf.residency)
    assert seat.settled
    load = shelf.load

    def slowly(name: str) -> LoadedModel:
        shelf.time += 3.0
        return load(name)

    shelf.residency._read = slowly
    seat.use(WeightSet("second"))
    assert not seat.settled
    shelf.time += 3.0 * TURN_FOR_CHANGE
    assert seat.settled
    seat.use(WeightSet("second", None))
    assert seat.settled
    shelf.residency._read = load
    seat.use(WeightSet())
    shelf.time += LEAST_TURN / 2
    assert not seat.settled
    shelf.time += LEAST_TURN
    assert seat.settled


@pytest.mark.parametrize("waiting_bytes", [0, 10**9])
def test_a_model_that_cannot_be_loaded_leaves_the_other_in(
    folders: dict[str, str], tmp_path: Path, waiting_bytes: int
) -> None:
    shelf = Shelf({**folders, "gone": str(tmp_path / "gone")}, waiting_bytes=waiting_bytes)
    seat = Seat(shelf.residency)
    draw = Draw("a", 1, 64, 64)
    plain = run_alone(seat.pipeline, draw)[1]
    for _ in range(3):
        with pytest.raises(WeightsUnavailable) as caught:
            seat.use(WeightSet("gone"))
        assert (caught.value.code, caught.value.details["name"]) == ("model_unavailable", "gone")
    # It was tried once: the others do not pay for it again and again.
    assert shelf.read.count("gone") == 1
    assert seat.weight_set == WeightSet()
    assert seat.use(WeightSet())
    assert np.array_equal(run_alone(seat.pipeline, draw)[1], plain)
    shelf.folders["gone"] = folders["second"]
    shelf.time += TRY_AGAIN
    assert seat.use(WeightSet("gone"))


def test_a_model_that_is_too_large_makes_room_before_the_other_returns(
    folders: dict[str, str],
) -> None:
    shelf = Shelf(folders)
    seat = Seat(shelf.residency)
    load = shelf.load
    halfway: list[StorageWeakRef] = []

    def crowded(name: str) -> LoadedModel:
        if halfway and not freed(halfway):
            raise torch.OutOfMemoryError(f"no room for {name!r}")
        model = load(name)
        if name == "second":
            halfway.extend(stored(model))
            raise torch.OutOfMemoryError("no room for all of it")
        return model

    shelf.residency._read = crowded
    with pytest.raises(WeightsUnavailable, match="model_unavailable") as caught:
        seat.use(WeightSet("second"))
    assert "no room for all of it" in caught.value.details["reason"]
    assert shelf.read == ["", "second", ""]
    assert seat.use(WeightSet())
    run_alone(seat.pipeline, Draw("a", 1, 64, 64))


def test_a_waiting_model_that_is_too_large_leaves_no_half_of_it_on_the_device(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(folders, waiting_bytes=10**9)
    seat = Seat(shelf.residency)
    seat.use(WeightSet("second"))
    second = stored(seat.pipeline.model)
    seat.use(WeightSet())
    enter_device = LoadedModel.enter_device

    def crowded(model: LoadedModel) -> None:
        if not freed(second):
            raise torch.OutOfMemoryError("no room for all of it")
        enter_device(model)

    monkeypatch.setattr(LoadedModel, "enter_device", crowded)
    with pytest.raises(WeightsUnavailable, match="model_unavailable"):
        seat.use(WeightSet("second"))
    assert shelf.read == ["", "second"]
    assert seat.use(WeightSet())
    run_alone(seat.pipeline, Draw("a", 1, 64, 64))


def test_a_device_that_holds_neither_model_is_broken(folders: dict[str, str]) -> None:
    shelf = Shelf(folders)
    seat = Seat(shelf.residency)

    def full(name: str) -> LoadedModel:
        raise torch.OutOfMemoryError("no room at all")

    shelf.residency._read = full
    with pytest.raises(StartupError, match=r"cannot be brought back.*no room at all"):
        seat.use(WeightSet("second"))


def test_a_lora_that_does_not_fit_is_not_brought_a_model_for(
    folders: dict[str, str], tmp_path: Path
) -> None:
    shelf = Shelf(folders)
    seat = Seat(shelf.residency)
    missing = WeightSet("second", Lora(str(tmp_path / "none.safetensors")))
    for _ in range(2):
        with pytest.raises(WeightsUnavailable, match="lora_missing"):
            seat.use(missing)
        seat.use(WeightSet())
    assert shelf.read.count("second") == 1


async def test_only_those_who_ask_for_a_broken_model_are_told(
    folders: dict[str, str], tmp_path: Path
) -> None:
    scheduler = build_scheduler(
        folders[""],
        models={"gone": str(tmp_path / "gone")},
        device="cpu",
        engines=2,
        max_batch=2,
        cache=tmp_path,
    )
    await scheduler.start()
    try:
        bad = [
            scheduler.submit(
                [Draw("a", n, 64, 64, weight_set=WeightSet(name))], guild_id=n, user_id=n
            )
            for n, name in enumerate(("gone", "never heard of", "gone"))
        ]
        good = [
            scheduler.submit([Draw("a", n, 64, 64)], guild_id=n, user_id=n) for n in range(10, 14)
        ]
        await asyncio.gather(*(ticket.result() for ticket in good))
        for ticket in bad:
            with pytest.raises(WeightsUnavailable):
                await ticket.result()
        assert scheduler.stats().state == "ready"
    finally:
        await scheduler.stop(1)


async def test_a_lora_that_does_not_fit_the_first_model_stops_the_start(
    folders: dict[str, str], loras: list[Lora], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a file of weights")
    build: Callable[..., Any] = lambda lora: build_scheduler(  # noqa: E731
        folders[""], device="cpu", engines=1, max_batch=1, cache=tmp_path, loras=[loras[0], lora]
    )
    scheduler = build(Lora(str(bad)))
    with pytest.raises(StartupError, match=r"bad\.safetensors cannot be used"):
        await scheduler.start()
    scheduler = build(loras[1])
    await scheduler.start()
    await scheduler.stop(0)
