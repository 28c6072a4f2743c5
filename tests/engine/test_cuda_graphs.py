"""Graph bookkeeping with a stand-in for capture: replays recompute into the same storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from bot.engine.cuda_graphs import BUCKETS, GraphedCall, GraphSet, Tensors, buckets_up_to
from bot.engine.pipeline import TurboPipeline
from bot.request import Draw
from tests.engine.conftest import run_alone


@dataclass
class FakeReplay:
    call: Callable[[], Tensors]
    outputs: Tensors
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        for static, fresh in zip(self.outputs, self.call(), strict=True):
            static.copy_(fresh)


class FakeCapture:
    def __init__(self) -> None:
        self.made: list[FakeReplay] = []

    def __call__(self, call: Callable[[], Tensors]) -> FakeReplay:
        self.made.append(FakeReplay(call, tuple(each.clone() for each in call())))
        return self.made[-1]

    def side_by_side(self, one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
        return one(), other()


class Double:
    """The function under capture; counts its eager calls by rows."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> Tensors:
        self.rows.append(len(x))
        return (x * 2 + y[:, None],)


def inputs(rows: int, width: int = 3) -> Tensors:
    return torch.arange(rows * width).float().view(rows, width), torch.arange(rows).float()


@pytest.mark.parametrize(
    ("rows", "expected"), [(1, (1,)), (2, (1, 2)), (5, (1, 2, 3, 4, 6)), (32, BUCKETS)]
)
def test_buckets_cover_the_budget(rows: int, expected: tuple[int, ...]) -> None:
    assert buckets_up_to(rows) == expected


def test_runs_eagerly_until_captured_then_pads_to_the_next_bucket() -> None:
    double, capture = Double(), FakeCapture()
    call = GraphedCall("double", double, capture, max_rows=6)
    expected = Double()(*inputs(5))[0]
    assert torch.equal(call(*inputs(5))[0], expected)
    assert double.rows == [5]
    assert call.pending == 5
    while call.capture_next():
        pass
    assert call.pending == 0
    # Largest first.
    assert double.rows[1:] == [6, 4, 3, 2, 1]
    for rows in range(1, 7):
        assert torch.equal(call(*inputs(rows))[0], Double()(*inputs(rows))[0])
    assert [graph.replays for graph in capture.made] == [2, 1, 1, 1, 1]
    assert torch.equal(call(*inputs(9))[0], Double()(*inputs(9))[0])


def test_each_shape_has_graphs_of_its_own() -> None:
    capture = FakeCapture()
    call = GraphedCall("double", Double(), capture, max_rows=1)
    call(*inputs(1, 3))
    call(*inputs(1, 4))
    assert call.pending == 2
    while call.capture_next():
        pass
    assert torch.equal(call(*inputs(1, 4))[0], Double()(*inputs(1, 4))[0])
    assert torch.equal(call(*inputs(1, 3))[0], Double()(*inputs(1, 3))[0])
    assert [graph.replays for graph in capture.made] == [1, 1]


def test_what_cannot_be_captured_stays_eager(caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: Callable[[], Tensors]) -> FakeReplay:
        raise RuntimeError("operation not permitted when stream is capturing")

    call = GraphedCall("double", Double(), fail, max_rows=2)
    call(*inputs(1))
    while call.capture_next():
        pass
    assert torch.equal(call(*inputs(2))[0], Double()(*inputs(2))[0])
    assert "No graph for double with 2 rows" in caplog.text


def test_only_the_first_kind_of_inputs_is_captured_otherwise() -> None:
    eager, compiled = Double(), Double()
    call = GraphedCall("double", eager, FakeCapture(), max_rows=2, captured=compiled)
    call(*inputs(1, width=3))
    call(*inputs(1, width=5))
    assert not compiled.rows
    eager.rows.clear()
    while call.capture_next():
        pass
    assert sorted(compiled.rows) == sorted(eager.rows) == [1, 2]


def test_what_cannot_be_compiled_is_captured_eagerly() -> None:
    eager, capture = Double(), FakeCapture()

    def compiled(x: torch.Tensor, y: torch.Tensor) -> Tensors:
        if len(x) < 2:
            raise ValueError("compiled too often")
        return eager(x, y)

    call = GraphedCall("double", eager, capture, max_rows=2, captured=compiled)
    call(*inputs(1))
    while call.capture_next():
        pass
    call(*inputs(1))
    call(*inputs(2))
    assert [graph.replays for graph in capture.made] == [1, 1]


def test_release_returns_to_eager() -> None:
    double, capture = Double(), FakeCapture()
    call = GraphedCall("double", double, capture, max_rows=2)
    graphs = GraphSet([call])
    call(*inputs(1))
    while graphs.capture_next():
        pass
    graphs.release()
    double.rows.clear()
    call(*inputs(2))
    assert double.rows == [2]
    assert not graphs.capture_next()


def test_says_when_it_is_at_full_speed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    call = GraphedCall("double", Double(), FakeCapture(), max_rows=2)
    graphs = GraphSet([call])
    call(*inputs(1))
    assert graphs.capture_next()
    assert "full speed" not in caplog.text
    assert graphs.capture_next()
    assert "At full speed: 2 graphs" in caplog.text


@torch.inference_mode()
def test_the_pipeline_draws_the_same_through_graphs(pipeline: TurboPipeline) -> None:
    wanted = [
        Draw("a", 1, 128, 128),
        Draw("b", 2, 128, 128, num_inference_steps=3, guidance_scale=2.0, negative_prompt="c"),
    ]
    expected = [run_alone(pipeline, each)[1] for each in wanted]
    pipeline.prompt_cache.clear()
    capture = FakeCapture()

    def eager(*rows: torch.Tensor) -> Tensors:
        return (pipeline._eager(*rows),)

    unet = GraphedCall("unet", eager, capture, max_rows=3)
    decode = GraphedCall("decode", pipeline._codec.decode, capture, max_rows=2)
    text = GraphedCall("text", pipeline._prompts.encode_tokens, capture, max_rows=4)
    pipeline._denoise = lambda *rows: unet(*rows)[0]
    pipeline._decode, pipeline._prompts.run = decode, text
    graphs = GraphSet([unet, decode, text])
    for _ in range(2):
        pipeline.prompt_cache.clear()
        samples = pipeline.start(wanted)
        while running := [sample for sample in samples if sample.steps_left]:
            pipeline.step(running)
        drawn = pipeline.decode(samples).collect()
        while graphs.capture_next():
            pass
    assert sum(graph.replays for graph in capture.made) == 5
    for pixels, before in zip(drawn, expected, strict=True):
        assert pixels is not None
        assert abs(pixels.astype(int) - before).max() <= 1
