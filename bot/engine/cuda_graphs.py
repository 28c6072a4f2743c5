"""Run a function as captured CUDA graphs: one per number of rows, launched as a whole.

An eager UNet call of SDXL launches about 1,850 kernels and is bound by the host; a graph of it is
one launch. Graphs need fixed addresses and shapes, so inputs are copied into static buffers and
padded to the next larger captured number of rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

log = logging.getLogger(__name__)

BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Rows that graphs are captured for: powers of two waste up to half of a call on padding."""

Tensors = tuple[torch.Tensor, ...]
Call = Callable[..., Tensors]
Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]
"""Shape without rows, and type, of every input."""


class Replay(Protocol):
    """A captured call."""

    @property
    def outputs(self) -> Tensors:
        """Where each replay leaves its results."""

    def replay(self) -> None:
        """Run the captured kernels on what is in the static inputs now."""


Capture = Callable[[Callable[[], Tensors]], Replay]


def buckets_up_to(rows: int) -> tuple[int, ...]:
    """Return the numbers of rows to capture so that calls of up to `rows` are covered."""
    covering = [bucket for bucket in BUCKETS if bucket < rows]
    return (*covering, next((bucket for bucket in BUCKETS if bucket >= rows), rows))


@dataclass(slots=True)
class _Shape:
    """The static inputs of one signature, with as many rows as the largest bucket."""

    inputs: Tensors
    graphs: dict[int, Replay]
    wanted: list[int]
    call: Call
    """What its graphs are made of."""


class GraphedCall:
    """A function of tensors that all have rows first, replayed where it is captured.

    What is not captured yet runs eagerly, so calls work from the start; `capture_next` is called
    when there is time. Results are valid until the next call. `captured` is what graphs of the
    first kind of inputs are made of, where that is another function than the one to run until then.
    """

    def __init__(
        self,
        name: str,
        eager: Call,
        capture: Capture,
        *,
        max_rows: int,
        captured: Call | None = None,
    ) -> None:
        self.name = name
        self.buckets = buckets_up_to(max_rows)
        self._eager = eager
        self._captured = captured or eager
        self._capture = capture
        self._shapes: dict[Signature, _Shape] = {}

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        """Return the outputs for `inputs`, row by row."""
        rows = len(inputs[0])
        shape = self.expect(*inputs)
        bucket = next((each for each in self.buckets if each >= rows), None)
        graph = shape.graphs.get(bucket) if bucket is not None else None
        if graph is None:
            return self._eager(*inputs)
        for static, given in zip(shape.inputs, inputs, strict=True):
            static[:rows].copy_(given)
        graph.replay()
        return tuple(output[:rows] for output in graph.outputs)

    def expect(self, *inputs: torch.Tensor) -> _Shape:
        """Want graphs for inputs of this kind, whatever their number of rows."""
        signature = tuple((tuple(each.shape[1:]), each.dtype) for each in inputs)
        shape = self._shapes.get(signature)
        if shape is None:
            # Filled from real inputs: zeros could make a model divide by nothing.
            static = tuple(
                each[:1].expand(self.buckets[-1], *each.shape[1:]).clone() for each in inputs
            )
            # Largest first, so that smaller graphs fit into the memory pool it has made.
            # Other sizes come while serving, when nobody may wait for another compilation.
            call = self._eager if self._shapes else self._captured
            shape = _Shape(static, {}, list(reversed(self.buckets)), call)
            self._shapes[signature] = shape
        return shape

    @property
    def pending(self) -> int:
        """How many graphs are wanted and not captured yet."""
        return sum(len(shape.wanted) for shape in self._shapes.values())

    def capture_next(self) -> bool:
        """Capture one wanted graph; False when there was none. What fails stays eager for good.

        Where it was not the eager function that failed, for want of something else than memory, it
        is that one's turn.
        """
        for shape in self._shapes.values():
            if not shape.wanted:
                continue
            rows = shape.wanted.pop(0)
            call = partial(shape.call, *(each[:rows] for each in shape.inputs))
            try:
                shape.graphs[rows] = self._capture(call)
            except Exception as error:
                log.warning("No graph for %s with %d rows: %s", self.name, rows, error)
                short = isinstance(error, torch.OutOfMemoryError)
                if shape.call is not self._eager and not short:
                    shape.call = self._eager
                    shape.wanted.insert(0, rows)
            return True
        return False

    def release(self) -> None:
        """Drop every graph and its memory, and capture none of these again."""
        for shape in self._shapes.values():
            shape.graphs.clear()
            shape.wanted.clear()


class GraphSet:
    """All graphed calls of one device, captured one at a time, and the time that took."""

    def __init__(self, calls: Sequence[GraphedCall]) -> None:
        self.calls = list(calls)
        self.seconds = 0.0
        self.captured = 0

    def capture_next(self) -> bool:
        """Capture one graph of any call; log once when all are done. False when none is wanted."""
        started = time.perf_counter()
        if not any(call.capture_next() for call in self.calls):
            return False
        self.captured += 1
        self.seconds += time.perf_counter() - started
        if not any(call.pending for call in self.calls):
            log.info("At full speed: %d graphs captured in %.1f s", self.captured, self.seconds)
        return True

    def release(self) -> None:
        """Drop every graph."""
        for call in self.calls:
            call.release()
