"""What follows the engines of a cluster goes on, whatever goes wrong in one round of it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from bot import exit_codes
from bot.engine import remote, remote_link
from bot.engine.null import NullPipeline
from bot.engine.remote import RemoteScheduler
from bot.engine.remote_cluster import Slot
from bot.engine.remote_link import Codec, EngineLink
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError


def build(**_: Any) -> BatchScheduler:
    return BatchScheduler([NullPipeline])


def a_link(cluster: Any, *, office: Any) -> EngineLink:
    return EngineLink(
        Slot("engine", node="", gpus=0, cpus=1),
        front="front",
        office=office,
        cluster=cluster,
        codec=Codec(),
        build=build,
        idle_seconds=1.0,
        silent_seconds=1.0,
    )


class Rounds:
    """Fails every round, and notes when there have been three."""

    def __init__(self) -> None:
        self.count = 0
        self.enough = asyncio.Event()

    def fail(self, *_: object) -> None:
        self.count += 1
        if self.count == 3:
            self.enough.set()
        raise RuntimeError("nobody thought of this")


async def test_a_cluster_is_followed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TEND_SECONDS", 0.0)
    front, rounds = RemoteScheduler(build), Rounds()
    monkeypatch.setattr(front._cluster, "slots", list)
    monkeypatch.setattr(front._dispatch, "ready_links", rounds.fail)
    tending = asyncio.create_task(front._tend())
    await asyncio.wait_for(rounds.enough.wait(), 10)
    tending.cancel()


async def test_no_two_pictures_of_a_front_have_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []

    class Picture:
        taken = 0.0

    async def fly(self: EngineLink, job: Any, rows: int, number: int) -> None:
        numbers.append(number)

    monkeypatch.setattr(EngineLink, "_fly", fly)
    nothing: Any = SimpleNamespace(engine=lambda *args, **options: time.sleep(0.01))
    for _ in range(2):
        link = a_link(nothing, office=nothing)
        picture: Any = Picture()
        link.send(picture, 1)
        await asyncio.sleep(0)
        link._task.cancel()
    assert len(set(numbers)) == 2


async def test_an_engine_is_seen_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        def engine(self, *_: object, **__: object) -> None:
            raise StartupError("No model at x.", exit_code=exit_codes.MODEL)

        def kill(self, *_: object, **__: object) -> None:
            pass

    monkeypatch.setattr(remote_link, "BROKEN_SECONDS", 0.0)
    rounds = Rounds()
    cluster: Any = Cluster()
    office: Any = SimpleNamespace(link_broken=rounds.fail)
    link = a_link(cluster, office=office)
    await asyncio.wait_for(rounds.enough.wait(), 10)
    await link.close()
