"""Values and a gateway that tests shape as they need them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bot.engine.scheduler import EngineStats
from bot.request import ImageRequest, ImageResult, Picture, Timings

IDLE = EngineStats(
    ready=True,
    state="ready",
    full_speed=True,
    model_name="tiny",
    device_names=("cpu",),
    waiting=0,
    running=0,
    drawn=0,
    failed=0,
    abandoned=0,
    stalls=0,
    batch_sizes={},
    max_rows=(8,),
    queue_p50_ms=0.0,
    queue_p95_ms=0.0,
    service_p50_ms=0.0,
    service_p95_ms=0.0,
    seconds_per_picture=0.5,
    peak_memory_bytes=0,
)


def stats(**changes: Any) -> EngineStats:
    """Return the stats of an idle engine with `changes`."""
    return replace(IDLE, **changes)


@dataclass
class Connection:
    """A shard that a test opens and closes."""

    closed: bool = False

    def is_closed(self) -> bool:
        return self.closed


@dataclass
class Arrivals:
    """What became of events as operations see it."""

    repeated: int = 0
    undecided: int = 0


@dataclass
class Client:
    """A Discord client as operations see it."""

    ready: bool = True
    latency: float = 0.04
    malformed_events: int = 0
    arrivals: Arrivals = field(default_factory=Arrivals)
    guilds: tuple[str, ...] = ("a", "b")
    shards: dict[int, Connection] = field(default_factory=lambda: {0: Connection()})

    def is_ready(self) -> bool:
        return self.ready


def result(prompt: str = "a secret cat", count: int = 2) -> ImageResult:
    """Return a finished request; its stages took 1, 20, 80, 9 and 110 ms."""
    request = ImageRequest(prompt=prompt, user_id=424242, guild_id=717171, seed=5, count=count)
    pictures = tuple(
        Picture(data=b"png", filename="a.png", width=512, height=512, seed=seed)
        for seed in request.seeds
    )
    return ImageResult(request, pictures, Timings(1.0, 20.0, 80.0, 9.0, 110.0), "tiny")
