"""Places for engines, and what is refused before a cluster is joined."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bot import exit_codes
from bot.engine.remote_cluster import Cluster, Slot, load_ray, plan_slots
from bot.errors import StartupError


def node(name: str, *, gpus: float | None = None, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {} if gpus is None else {"GPU": gpus}}


def test_every_gpu_of_every_node_that_stays_has_a_place() -> None:
    nodes = [
        node("a", gpus=2.0),
        node("b"),
        node("c", gpus=1.0, alive=False),
        node("d", gpus=1.0),
        node("e", gpus=1.0),
    ]
    slots = plan_slots(nodes, cpu_engines=0, draining={"d"})
    assert [(slot.name, slot.node) for slot in slots] == [
        ("engine-a-0", "a"),
        ("engine-a-1", "a"),
        ("engine-e-0", "e"),
    ]
    assert {(slot.gpus, slot.cpus) for slot in slots} == {(1, 0)}


def test_engines_without_gpu_may_be_anywhere() -> None:
    slots = plan_slots([node("a", gpus=4.0)], cpu_engines=2)
    assert slots == [Slot("engine-cpu-0"), Slot("engine-cpu-1")]
    assert {(slot.node, slot.gpus, slot.cpus) for slot in slots} == {("", 0, 1)}


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StartupError, match=r"'\.\[ray\]'") as caught:
        load_ray()
    assert caught.value.exit_code == exit_codes.CONFIG


def test_the_remote_client_is_refused() -> None:
    with pytest.raises(StartupError, match="ray://"):
        Cluster("ray://head:10001", deployment="x").connect()
