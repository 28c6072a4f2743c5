"""CudaPipeline: TurboPipeline with its device calls captured as graphs, and nothing waited for."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from bot.engine.compiled_blocks import CompiledBlocks
from bot.engine.cuda_graphs import GraphedCall, GraphSet, Replay, Tensors
from bot.engine.pipeline import TurboPipeline, inference
from bot.engine.projections import join_projections, part_projections
from bot.engine.sample import DecodedPictures, TurboSample
from bot.models.loader import LoadedModel, release
from bot.models.tiny import cache_folder
from bot.request import Draw, Pixels

log = logging.getLogger(__name__)

R = TypeVar("R")
S = TypeVar("S")

TEXT_ROWS = 4
CHUNK = 2
"""Pictures encoded or decoded in one call: two fill a GPU, and four take twice the memory."""

QUIET_SECONDS = 20.0
"""Compiling with a cold cache holds the device's thread for half a minute: only after a lull."""

SETTLE_SECONDS = 0.5
"""A capture holds the thread for a second: not right after a request, when the next may follow."""

COMPILE_TOLERANCE = 0.02
"""Root mean square of what compiled blocks may change in fp16, as a share of the output's own."""


_CAPTURING = threading.RLock()
"""Held while graphs are made: PyTorch allows one capture at a time in a process."""


@dataclass(slots=True)
class CudaReplay:
    """One captured graph."""

    graph: torch.cuda.CUDAGraph
    outputs: Tensors

    def replay(self) -> None:
        """Launch the graph on the current stream."""
        self.graph.replay()


class CudaCapture:
    """Captures calls into graphs that share one memory pool.

    Sharing is safe because graphs of one engine never run at the same time, and the results of one
    are read before the next is launched.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pool = torch.cuda.graph_pool_handle()
        # By default all captures of a process share a stream of the device that was first to have
        # one, on which nothing of what another device does is captured.
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._beside: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, call: Callable[[], Tensors]) -> Replay:
        """Warm up `call`, then capture it."""
        with _CAPTURING:
            self._warm_up(call)
            graph = torch.cuda.CUDAGraph()
            # thread_local: other devices' threads may allocate while this one captures.
            with torch.cuda.graph(
                graph,
                pool=self._pool,
                stream=self._stream,
                capture_error_mode="thread_local",
            ):
                outputs = call()
        return CudaReplay(graph, outputs)

    def side_by_side(self, one: Callable[[], R], other: Callable[[], S]) -> tuple[R, S]:
        """Run two small calls at the same time, within a call that is captured."""
        now = torch.cuda.current_stream(self.device)
        self._beside.wait_stream(now)
        with torch.cuda.stream(self._beside):
            first = one()
        second = other()
        now.wait_stream(self._beside)
        return first, second

    def _warm_up(self, call: Callable[[], Tensors]) -> None:
        # Libraries choose kernels and allocate workspaces on first calls, which must not be
        # captured; PyTorch asks for that to happen on another stream than the default one.
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            for _ in range(2):
                call()
        torch.cuda.current_stream(self.device).wait_stream(self._stream)


class CudaPipeline(TurboPipeline):
    """Eager at first; each graph is used from the moment it is captured.

    Everything happens on the thread that owns the device, compiling included: a compiled function
    and its graphs belong to the thread that made them.
    """

    def __init__(
        self, model: LoadedModel, *, compile_blocks: bool = True, cache: Path | None = None
    ) -> None:
        super().__init__(model)
        torch.cuda.set_device(self.device)
        for name, folder in (("TORCHINDUCTOR", "inductor"), ("TRITON", "triton")):
            os.environ.setdefault(f"{name}_CACHE_DIR", str((cache or cache_folder()) / folder))
        _make_lean(model)
        join_projections(model.unet)
        self._codec.chunk = CHUNK
        self._compile_blocks = compile_blocks
        self._capture: CudaCapture | None = None
        self._blocks: CompiledBlocks | None = None
        self._max_rows = 0
        self._graphs: GraphSet | None = None
        self._last_step: torch.cuda.Event | None = None

    def prepare(self, max_rows: int) -> None:
        """Have graphs captured for calls of up to `max_rows` UNet rows, at the model's own size."""
        if max_rows <= self._max_rows:
            return
        self._max_rows = max_rows
        self._capture = capture = CudaCapture(self.device)
        unet = self._graphed_unet(capture, max_rows)
        decode = GraphedCall("vae decode", self._codec.decode, capture, max_rows=CHUNK)
        encode = GraphedCall("vae encode", self._encode_rows, capture, max_rows=CHUNK)
        text = GraphedCall(
            "text",
            self._prompts.encode_tokens,
            capture,
            max_rows=TEXT_ROWS,
            captured=partial(self._read_side_by_side, capture),
        )
        self._denoise = lambda *inputs: unet(*inputs)[0]
        self._decode = decode
        self._codec.encode_pixels = lambda pixels: encode(pixels)[0]
        self._prompts.run = text
        self._graphs = GraphSet([unet, decode, text, encode])
        self._show_graphs()

    @property
    def full_speed(self) -> bool:
        """Whether all graphs are captured and the blocks compiled."""
        pending = self._graphs is None or any(call.pending for call in self._graphs.calls)
        return not (pending or self._compile_blocks)

    @inference
    def improve(self, idle_seconds: float) -> bool:
        """Capture one more graph, or compile after a lull; False when all is done or must wait."""
        if self._graphs is None or 0.0 < idle_seconds < SETTLE_SECONDS:
            return False
        # Requests must not wait for what another device makes, which may hang besides.
        if not _CAPTURING.acquire(blocking=False):
            return False
        try:
            return self._improve(self._graphs, idle_seconds)
        finally:
            _CAPTURING.release()

    def _improve(self, graphs: GraphSet, idle_seconds: float) -> bool:
        if graphs.capture_next():
            return True
        if self._compile_blocks and idle_seconds >= QUIET_SECONDS:
            self._compile_blocks = False
            self._compile()
            return True
        return False

    @inference
    def step(self, samples: Sequence[TurboSample]) -> None:
        """Issue one step for all samples, at most one step ahead of the device."""
        super().step(samples)
        event = _record()
        # Waiting for the step before keeps the device fed and the measured step time true.
        if self._last_step is not None:
            self._last_step.synchronize()
        self._last_step = event

    @inference
    def decode(self, samples: Sequence[TurboSample]) -> CudaDecoded:
        """Issue the decoding and the copy to the host."""
        pictures = super().decode(samples)
        pixels = torch.empty(pictures.pixels.shape, dtype=torch.uint8, pin_memory=True)
        usable = torch.empty(pictures.usable.shape, dtype=torch.bool, pin_memory=True)
        pixels.copy_(pictures.pixels, non_blocking=True)
        usable.copy_(pictures.usable, non_blocking=True)
        return CudaDecoded(pixels, usable, samples, _record())

    @inference
    def redo(self, draw: Draw) -> Pixels:
        """Draw one picture again in full precision, then give the copy's memory back."""
        copied = self.model.in_full_precision()
        try:
            return TurboPipeline(copied, prompt_cache=self.prompt_cache).redo(draw)
        finally:
            release(copied.unet, copied.vae)
            torch.cuda.empty_cache()

    def free_memory(self) -> None:
        """Drop the graphs' memory too; `prepare` then captures anew."""
        if self._graphs is not None:
            self._graphs.release()
        self._max_rows = 0
        super().free_memory()

    def close(self) -> None:
        """Drop the graphs, which have the weights' addresses, and the compiled blocks."""
        if self._graphs is not None:
            self._graphs.release()
        self._graphs = None
        self._blocks = None
        part_projections(self.model.unet)
        super().close()

    def _graphed_unet(self, capture: CudaCapture, max_rows: int) -> GraphedCall:
        captured = self._compiled_rows if self._blocks is not None else None
        return GraphedCall("unet", self._eager_rows, capture, max_rows=max_rows, captured=captured)

    def _eager_rows(self, *inputs: torch.Tensor) -> Tensors:
        return (self._eager(*inputs),)

    def _compiled_rows(self, *inputs: torch.Tensor) -> Tensors:
        # Anywhere else the blocks are eager: sizes that are not captured yet must not set off
        # another compilation while serving.
        assert self._blocks is not None
        with self._blocks.in_use():
            return (self._eager(*inputs),)

    def _read_side_by_side(
        self, capture: CudaCapture, tokens: torch.Tensor, tokens_2: torch.Tensor
    ) -> Tensors:
        """Encode text as `encode_tokens` does; a few rows leave room for both encoders at once."""
        read = self._prompts.read
        both = capture.side_by_side(lambda: read(0, tokens), lambda: read(1, tokens_2))
        return self._prompts.join(*both)

    def _encode_rows(self, pixels: torch.Tensor) -> Tensors:
        return (self._codec.encode_eagerly(pixels),)

    def _show_graphs(self) -> None:
        """Let every call see inputs of the kind it will get, so that it knows what to capture."""
        size = self.model.default_size
        (sample,) = self.start([Draw("", 0, size, size, num_inference_steps=1)])
        self.step([sample])
        self.decode([sample]).collect()

    def _compile(self) -> None:
        """Compile the UNet's repeated blocks; keep them if they agree with the eager ones."""
        started = time.perf_counter()
        log.info("Compiling the UNet's blocks; requests wait meanwhile")
        size = self.model.default_size
        (sample,) = self.start([Draw("", 0, size, size, num_inference_steps=1)])
        inputs = self._rows([sample])
        (expected,) = self._eager_rows(*inputs)
        self._blocks = CompiledBlocks(self.model.unet)
        try:
            (compiled,) = self._compiled_rows(*inputs)
        except Exception:
            self._blocks = None
            log.exception("The blocks cannot be compiled; going on without")
            return
        changed = (compiled.float() - expected.float()).square().mean().sqrt()
        share = float(changed / expected.float().square().mean().sqrt())
        if not share <= COMPILE_TOLERANCE:
            self._blocks = None
            log.warning("Compiled blocks differ by %.4f of the output; going on without", share)
            return
        assert self._graphs is not None
        assert self._capture is not None
        old = self._graphs.calls[0]
        # First, so that the new graphs take the old ones' place in the memory pool.
        old.release()
        graphed = self._graphed_unet(self._capture, old.buckets[-1])
        graphed.expect(*inputs)
        while graphed.capture_next():
            pass
        self._graphs.calls[0] = graphed
        self._denoise = lambda *rows: graphed(*rows)[0]
        log.info(
            "Compiled and captured in %.1f s; the output changed by %.4f",
            time.perf_counter() - started,
            share,
        )


@dataclass(slots=True, eq=False)
class CudaDecoded(DecodedPictures):
    """Pictures whose copy to the host may still be under way."""

    copied: torch.cuda.Event

    def collect(self) -> list[Pixels | None]:
        """Wait for the copy; None where a picture is not usable."""
        self.copied.synchronize()
        # Named, because a slotted dataclass is a new class that bare super() does not know.
        return DecodedPictures.collect(self)


def _make_lean(model: LoadedModel) -> None:
    """Give the model's parts kernels of our own, where there is what compiles them."""
    started = time.perf_counter()
    try:
        from bot.engine import cuda_layers

        cuda_layers.make_lean(model.unet, model.vae)
    except Exception as error:
        # No Triton for this system, a driver it does not know, a wrong result: PyTorch's own
        # kernels give the same pictures, later.
        log.warning("Drawing without kernels of our own: %s: %s", type(error).__name__, error)
        return
    log.info("Kernels of our own are ready after %.1f s", time.perf_counter() - started)


def _record() -> torch.cuda.Event:
    """Mark what has been issued so far on the current stream."""
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event
