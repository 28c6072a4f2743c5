"""What health and metrics ask of the running parts; none of it knows Discord."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Protocol

from bot.engine.picture_check import CheckStats
from bot.engine.scheduler import EngineStats


class Shard(Protocol):
    """One connection to the gateway."""

    def is_closed(self) -> bool:
        """Return whether its socket is closed."""


class Arrivals(Protocol):
    """What decides who acts on an event, as far as operations are concerned."""

    repeated: int
    undecided: int


class Gateway(Protocol):
    """The Discord client as far as operations are concerned."""

    malformed_events: int

    @property
    def arrivals(self) -> Arrivals:
        """What decides who acts on an event."""

    @property
    def latency(self) -> float:
        """Seconds between a heartbeat and its acknowledgement; NaN or infinite while unknown."""

    @property
    def guilds(self) -> Sized:
        """The guilds it is in."""

    @property
    def shards(self) -> Mapping[int, Shard]:
        """Every connection of this process."""

    def is_ready(self) -> bool:
        """Return whether every guild is known."""


class Limiter(Protocol):
    """The rate limiter as far as operations are concerned."""

    outages: int

    @property
    def degraded(self) -> bool:
        """Whether Redis is away."""

    @property
    def tracked(self) -> int:
        """Windows held in memory."""


class Requests(Protocol):
    """What sees requests through."""

    is_draining: bool
    """Whether it admits nothing more, because the process stops."""
    taken_over: int
    """Requests so far that a process had accepted which is no more."""

    @property
    def running(self) -> int:
        """Requests accepted and not answered yet."""


class Door(Protocol):
    """What lets requests in, as far as operations are concerned."""

    rushed: int


@dataclass(slots=True)
class Parts:
    """The parts that have been built so far; None is "not yet", and not ready.

    `needs_gateway` is False where no Discord client belongs to the process.
    """

    engine: Callable[[], EngineStats] | None = None
    check: Callable[[], CheckStats] | None = None
    gateway: Gateway | None = None
    limiter: Limiter | None = None
    requests: Requests | None = None
    door: Door | None = None
    needs_gateway: bool = True


def is_connected(gateway: Gateway) -> bool:
    """Return whether every shard is connected now.

    A client stays "ready" while it reconnects, so the sockets themselves are asked.
    """
    shards = gateway.shards.values()
    return gateway.is_ready() and bool(shards) and not any(one.is_closed() for one in shards)
