"""On which stream CudaCapture captures, and when, with what PyTorch has for it faked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from bot.engine import cuda
from bot.engine.cuda_graphs import Tensors


class FakeStream:
    def __init__(self, device: Any) -> None:
        self.device = device
        self.waited_for: list[FakeStream] = []

    def wait_stream(self, other: FakeStream) -> None:
        self.waited_for.append(other)


@dataclass
class FakeDevices:
    """Knows on which stream each thread is, what was captured on which, and how many at once."""

    here: threading.local = field(default_factory=threading.local)
    streams: list[FakeStream] = field(default_factory=list)
    captured_on: list[FakeStream] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.here.stream = stream
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            yield
        finally:
            self.busy -= 1
            self.here.stream = None

    @contextmanager
    def graph(self, graph: Any, *, stream: FakeStream, **options: Any) -> Iterator[None]:
        self.captured_on.append(stream)
        with self.stream(stream):
            yield

    def call(self) -> Tensors:
        self.streams.append(self.here.stream)
        time.sleep(0.01)
        return ()


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> FakeDevices:
    devices = FakeDevices()
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "current_stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", devices.stream)
    monkeypatch.setattr(torch.cuda, "graph", devices.graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    return devices


def test_every_device_captures_on_a_stream_of_its_own(devices: FakeDevices) -> None:
    for number in range(2):
        device = torch.device("cuda", number)
        capture = cuda.CudaCapture(device)
        for _ in range(2):
            capture(devices.call)
        # Warmed up where it is captured, so that what a library keeps for a stream is there.
        (stream,) = set(devices.streams)
        assert devices.captured_on == [stream] * 2
        assert stream.device == device
        devices.streams.clear()
        devices.captured_on.clear()


def test_one_capture_is_underway_at_a_time(devices: FakeDevices) -> None:
    captures = [cuda.CudaCapture(torch.device("cuda", number)) for number in range(3)]
    threads = [
        threading.Thread(target=capture, args=(devices.call,)) for capture in captures for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(devices.captured_on) == 6
    assert devices.most_busy == 1


def test_two_calls_run_side_by_side_and_both_are_waited_for(
    devices: FakeDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda", 0)
    capture = cuda.CudaCapture(device)
    now = FakeStream(device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: now)
    seen: list[tuple[str, FakeStream | None, int]] = []

    def call(name: str) -> str:
        seen.append((name, getattr(devices.here, "stream", None), len(now.waited_for)))
        return name

    assert capture.side_by_side(lambda: call("one"), lambda: call("other")) == ("one", "other")
    (_, beside, _), (_, here, waited) = seen
    assert beside is not None
    # The first has what was computed before, and only afterwards the second waits for it.
    assert beside.waited_for == [now]
    assert (here, waited) == (None, 0)
    assert now.waited_for == [beside]
