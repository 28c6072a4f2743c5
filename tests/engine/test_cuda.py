"""CudaPipeline's own logic on a CPU: events and pinned memory are faked, capture recomputes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.multiprocessing.reductions import StorageWeakRef

from bot.engine import cuda
from bot.engine.cuda import QUIET_SECONDS, CudaPipeline
from bot.engine.cuda_graphs import Tensors
from bot.engine.pipeline import TurboPipeline
from bot.engine.residency import Residency
from bot.engine.seat import Seat
from bot.errors import BadOutput
from bot.models.loader import LoadedModel, load_model
from bot.request import Draw, Pixels, WeightSet
from tests.engine.conftest import run_alone
from tests.engine.loras import save_peft
from tests.engine.test_cuda_graphs import FakeCapture


class FakeEvent:
    def record(self) -> None: ...

    def synchronize(self) -> None: ...


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> FakeCapture:
    capture = FakeCapture()
    unpinned = torch.empty

    def empty(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return unpinned(*shape, **options)

    monkeypatch.setattr(cuda, "CudaCapture", lambda device: capture)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "unused")
    return capture


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are compiled are the same as before."""
    monkeypatch.setattr(torch, "compile", lambda run, **options: run)


@pytest.fixture
def model(tiny_folder: Path) -> LoadedModel:
    # Loaded anew, because compiling changes the UNet's blocks.
    return load_model(tiny_folder, device=torch.device("cpu"))


def improve_fully(pipeline: CudaPipeline) -> int:
    steps = 0
    while pipeline.improve(0.0):
        steps += 1
    return steps


def draw_all(pipeline: TurboPipeline, draws: list[Draw]) -> list[Pixels | None]:
    samples = pipeline.start(draws)
    while running := [sample for sample in samples if sample.steps_left]:
        pipeline.step(running)
    return pipeline.decode(samples).collect()


def test_serves_before_and_after_capture_alike(
    capture: FakeCapture, model: LoadedModel, pipeline: TurboPipeline, photo: Image.Image
) -> None:
    ours = CudaPipeline(model, compile_blocks=False)
    big = photo.resize((512, 512))
    draws = [Draw("a", 1), Draw("b", 2, sources=(big,), strength=0.5)]
    expected = [run_alone(pipeline, draw)[1] for draw in draws]
    ours.prepare(2)
    assert not ours.full_speed
    for _ in range(2):
        for pixels, wanted in zip(draw_all(ours, draws), expected, strict=True):
            assert pixels is not None
            assert np.abs(pixels.astype(int) - wanted).max() <= 1
        improve_fully(ours)
        assert ours.full_speed
    assert sum(graph.replays for graph in capture.made) >= 4


def test_draws_without_kernels_of_its_own_where_there_is_no_compiler(
    capture: FakeCapture,
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As on a system that Triton is not made for.
    monkeypatch.setitem(sys.modules, "bot.engine.cuda_layers", None)
    ours = CudaPipeline(model, compile_blocks=False)
    assert "Drawing without kernels of our own" in caplog.text
    ours.prepare(1)
    assert draw_all(ours, [Draw("a", 1)])[0] is not None


def test_preparing_for_less_keeps_what_is_captured(
    capture: FakeCapture, model: LoadedModel
) -> None:
    ours = CudaPipeline(model, compile_blocks=False)
    ours.prepare(2)
    improve_fully(ours)
    captured = len(capture.made)
    ours.prepare(1)
    assert ours.full_speed
    ours.prepare(3)
    assert improve_fully(ours) > 0
    assert len(capture.made) > captured


def test_after_running_out_of_memory_graphs_are_made_anew(
    capture: FakeCapture, model: LoadedModel
) -> None:
    ours = CudaPipeline(model, compile_blocks=False)
    ours.prepare(2)
    improve_fully(ours)
    replays = sum(graph.replays for graph in capture.made)
    ours.free_memory()
    assert draw_all(ours, [Draw("a", 1)])[0] is not None
    assert sum(graph.replays for graph in capture.made) == replays
    ours.prepare(1)
    assert improve_fully(ours) > 0
    draw_all(ours, [Draw("a", 1)])
    assert sum(graph.replays for graph in capture.made) > replays


@pytest.mark.usefixtures("uncompiled")
def test_compiles_only_after_a_lull(
    capture: FakeCapture,
    model: LoadedModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    ours = CudaPipeline(model)
    ours.prepare(1)
    improve_fully(ours)
    assert not ours.improve(QUIET_SECONDS / 2)
    assert not ours.full_speed
    assert ours.improve(QUIET_SECONDS)
    assert ours.full_speed
    assert "Compiled and captured" in caplog.text
    assert draw_all(ours, [Draw("a", 1)])[0] is not None


@pytest.mark.usefixtures("uncompiled")
def test_compiled_blocks_are_used_again_after_running_out_of_memory(
    capture: FakeCapture, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = CudaPipeline(model)
    compiled, rows = ours._compiled_rows, []

    def counted(*inputs: torch.Tensor) -> Tensors:
        rows.append(len(inputs[0]))
        return compiled(*inputs)

    monkeypatch.setattr(ours, "_compiled_rows", counted)
    ours.prepare(2)
    improve_fully(ours)
    assert ours.improve(QUIET_SECONDS)
    rows.clear()
    ours.free_memory()
    # Served without until there is time to capture: that could set off a compilation.
    assert draw_all(ours, [Draw("a", 1)])[0] is not None
    ours.prepare(1)
    assert not rows
    improve_fully(ours)
    assert set(rows) == {1}
    assert draw_all(ours, [Draw("a", 1)])[0] is not None


@pytest.mark.parametrize("wrong", ["raises", "differs"])
def test_what_compiles_badly_is_not_used(
    capture: FakeCapture,
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    def compiled(run: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def refuse(*inputs: Any, **options: Any) -> None:
            raise RuntimeError("no compiler")

        return refuse if wrong == "raises" else run

    monkeypatch.setattr(torch, "compile", compiled)
    ours = CudaPipeline(model)
    if wrong == "differs":
        right = ours._compiled_rows

        def skewed(*inputs: torch.Tensor) -> Tensors:
            return (right(*inputs)[0] * 1.5,)

        monkeypatch.setattr(ours, "_compiled_rows", skewed)
    ours.prepare(1)
    improve_fully(ours)
    before = draw_all(ours, [Draw("a", 1)])[0]
    assert ours.improve(QUIET_SECONDS)
    assert "going on without" in caplog.text
    assert ours.full_speed
    after = draw_all(ours, [Draw("a", 1)])[0]
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after)


def test_graphs_stay_valid_when_a_lora_goes_in_and_out(
    capture: FakeCapture, model: LoadedModel, tiny_folder: Path, tmp_path: Path
) -> None:
    lora = save_peft(model.pipeline, tmp_path / "look.safetensors")
    reference = TurboPipeline(load_model(tiny_folder, device=torch.device("cpu")))
    ours = CudaPipeline(model, compile_blocks=False)
    ours.prepare(2)
    improve_fully(ours)
    captured = len(capture.made)
    for wanted in (None, lora, None):
        for pipeline in (ours, reference):
            pipeline.use(WeightSet(lora=wanted))
        (pixels,) = draw_all(ours, [Draw("a", 1)])
        assert pixels is not None
        assert np.abs(pixels.astype(int) - run_alone(reference, Draw("a", 1))[1]).max() <= 1
    assert len(capture.made) == captured
    assert ours.full_speed


def test_a_model_that_comes_back_is_captured_anew(capture: FakeCapture, tiny_folder: Path) -> None:
    residency = Residency(
        lambda name: load_model(tiny_folder, device=torch.device("cpu")),
        lambda model: CudaPipeline(model, compile_blocks=False),
        waiting_bytes=10**9,
    )
    seat = Seat(residency)
    for name in ("", "other", ""):
        seat.use(WeightSet(name))
        assert not seat.full_speed
        seat.prepare(1)
        before = len(capture.made)
        while seat.improve(0.0):
            pass
        assert len(capture.made) > before
        assert seat.full_speed


def test_blocks_are_compiled_for_captures_of_the_usual_size_alone(
    capture: FakeCapture, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def compiled(run: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def call(*inputs: Any, **options: Any) -> Any:
            called.append(run.__name__)
            return run(*inputs, **options)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    ours = CudaPipeline(model)
    ours.prepare(1)
    improve_fully(ours)
    assert ours.improve(QUIET_SECONDS)
    assert called
    called.clear()
    # A size that comes later is served, and captured, without another compilation.
    before = len(capture.made)
    assert draw_all(ours, [Draw("a", 1, 256, 256)])[0] is not None
    assert improve_fully(ours) > 0
    assert len(capture.made) > before
    assert not called
    # Nor is a pipeline made of these weights later to begin with compiled blocks.
    assert not any(module._compiled_call_impl for module in model.unet.modules())


def test_nobody_waits_for_what_another_device_captures(
    capture: FakeCapture, model: LoadedModel
) -> None:
    ours = CudaPipeline(model, compile_blocks=False)
    ours.prepare(1)
    holding, done = threading.Event(), threading.Event()

    def another() -> None:
        with cuda._CAPTURING:
            holding.set()
            assert done.wait(10)

    thread = threading.Thread(target=another)
    thread.start()
    assert holding.wait(10)
    assert not ours.improve(0.0)
    assert not ours.full_speed
    done.set()
    thread.join(10)
    assert improve_fully(ours) > 0
    assert ours.full_speed


@pytest.mark.parametrize("bad", [False, True])
def test_the_copy_in_full_precision_is_gone_at_once(
    capture: FakeCapture, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, bad: bool
) -> None:
    model = load_model(tiny_folder, device=torch.device("cpu"), dtype=torch.float16)
    if bad:
        with torch.no_grad():
            model.vae.decoder.conv_out.weight.fill_(float("nan"))
    copies: list[LoadedModel] = []
    copied: list[StorageWeakRef] = []
    in_full_precision = LoadedModel.in_full_precision

    def noted(model: LoadedModel) -> LoadedModel:
        copies.append(in_full_precision(model))
        for part in (copies[-1].unet, copies[-1].vae):
            weights = (*part.parameters(), *part.buffers())
            copied.extend(StorageWeakRef(weight.untyped_storage()) for weight in weights)
        return copies[-1]

    emptied: list[bool] = []
    monkeypatch.setattr(LoadedModel, "in_full_precision", noted)
    monkeypatch.setattr(
        torch.cuda, "empty_cache", lambda: emptied.append(all(each.expired() for each in copied))
    )
    ours = CudaPipeline(model, compile_blocks=False)
    with pytest.raises(BadOutput) if bad else nullcontext():
        ours.redo(Draw("a", 1, 64, 64))
    assert copied
    assert emptied == [True]
    # What the copy shares with the model is still there.
    parts = (model.unet, model.vae, model.pipeline.text_encoder, model.pipeline.text_encoder_2)
    assert not any(weight.is_meta for part in parts for weight in part.parameters())
