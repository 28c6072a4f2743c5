"""CudaPipeline's own logic on a CPU: events and pinned memory are faked, capture recomputes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bot.engine import cuda
from bot.engine.cuda import QUIET_SECONDS, CudaPipeline
from bot.engine.cuda_graphs import Tensors
from bot.engine.pipeline import TurboPipeline
from bot.models.loader import LoadedModel, load_model
from bot.request import Draw, Pixels
from tests.engine.conftest import run_alone
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


def test_compiles_only_after_a_lull(
    capture: FakeCapture,
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(model.unet, "compile_repeated_blocks", lambda fullgraph: None)
    ours = CudaPipeline(model)
    ours.prepare(1)
    improve_fully(ours)
    assert not ours.improve(QUIET_SECONDS / 2)
    assert not ours.full_speed
    assert ours.improve(QUIET_SECONDS)
    assert ours.full_speed
    assert "Compiled and captured" in caplog.text
    assert draw_all(ours, [Draw("a", 1)])[0] is not None


@pytest.mark.parametrize("wrong", ["raises", "differs"])
def test_what_compiles_badly_is_not_used(
    capture: FakeCapture,
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    def refuse(fullgraph: bool) -> None:
        raise RuntimeError("no compiler")

    ours = CudaPipeline(model)
    monkeypatch.setattr(
        model.unet, "compile_repeated_blocks", refuse if wrong == "raises" else lambda fullgraph: 0
    )
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
