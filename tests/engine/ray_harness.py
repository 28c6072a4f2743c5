"""A real Ray cluster on this machine, and fronts that draw on it."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

from bot.engine.null import NullPipeline
from bot.engine.remote import RemoteScheduler
from bot.engine.remote_link import EngineLink
from bot.engine.scheduler import BatchScheduler
from bot.request import Draw

STORE_BYTES = 100 * 2**20
DRAIN_REASON_PREEMPTION = 2


def null_engine(budget: int = 4, **pipeline: float) -> Callable[..., BatchScheduler]:
    return partial(BatchScheduler, [partial(NullPipeline, **pipeline)], budget=budget)


def draws(*seeds: int, **options: Any) -> list[Draw]:
    return [Draw("a", seed, 64, 64, **options) for seed in seeds]


def links(front: RemoteScheduler) -> list[EngineLink]:
    return front._dispatch.ready_links()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it asks for changes in other processes
            await asyncio.sleep(0.01)


class RayHarness:
    """One node for engines without GPU, others that come and go with a GPU in name only."""

    def __init__(self, ray: Any) -> None:
        from ray.cluster_utils import Cluster

        self.ray = ray
        head = {"num_cpus": 16, "num_gpus": 0, "include_dashboard": False}
        with signals_kept():
            self._cluster = Cluster(
                initialize_head=True,
                head_node_args={**head, "object_store_memory": STORE_BYTES},
            )
            ray.init(self._cluster.address, log_to_driver=False, logging_level="ERROR")

    def add_gpu_node(self) -> Any:
        with signals_kept():
            return self._cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=STORE_BYTES)

    def lose(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def drain(self, node: Any) -> None:
        deadline = int((time.time() + 60) * 1000)
        client = self._cluster.head_node.get_gcs_client()
        accepted, why = client.drain_node(node.node_id, DRAIN_REASON_PREEMPTION, "", deadline)
        assert accepted, why

    def close(self) -> None:
        self.ray.shutdown()
        self._cluster.shutdown()

    @asynccontextmanager
    async def front(
        self, build: Callable[..., BatchScheduler], **options: Any
    ) -> AsyncIterator[RemoteScheduler]:
        """Yield a started front; end it and, if it was the last of its kind, its engines."""
        options.setdefault("deployment", secrets.token_hex(4))
        front = RemoteScheduler(build, address="auto", **options)
        await front.start()
        try:
            places = len(front._links)
            await until(lambda: len(links(front)) == places)
            yield front
        finally:
            handles = [link._handle for link in front._links.values()]
            await front.stop(0)
            for handle in handles:
                self.ray.kill(handle, no_restart=True)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Take back what Ray does to this process's handler for SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def harness() -> Iterator[RayHarness]:
    """Yield a running cluster; skip where Ray is not installed."""
    with pytest.MonkeyPatch.context() as environment:
        # A token of the run's own, so that none is written to the user's home.
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("DISCORD_TOKEN", "not for engines")
        ray = pytest.importorskip("ray", reason="Ray, the extra `ray`, is not installed")
        running = RayHarness(ray)
        try:
            yield running
        finally:
            running.close()
