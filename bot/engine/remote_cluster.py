"""What is asked of Ray: join a cluster, see its nodes, place one engine on each GPU."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot import exit_codes
from bot.engine.remote_actor import Build, EngineActor
from bot.errors import StartupError, install_hint

log = logging.getLogger(__name__)

LOCAL_STORE_BYTES: Final = 256 * 2**20
"""Shared memory of a cluster of our own; a 512×512 picture on its way takes about 0.4 MB."""

SECRETS: Final = ("DISCORD_TOKEN", "TURBOCORD_DATABASE_URL", "TURBOCORD_LIMITS_URL")
"""Variables that an engine has no use for, and that a local cluster would inherit."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one engine. `node` is Ray's id of the node it is bound to, empty for any."""

    name: str
    node: str = ""
    gpus: int = 0
    cpus: int = 1


def load_ray() -> Any:
    """Return the ray module. Raises StartupError when it is not installed."""
    # Read on import: no usage reports, and no warning about CUDA on engines without a GPU.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise StartupError(
            f"TURBOCORD_RAY_ADDRESS is set, but Ray is not installed: {install_hint('ray')}",
            exit_code=exit_codes.CONFIG,
        ) from error


def plan_slots(
    nodes: Sequence[Mapping[str, Any]], *, cpu_engines: int, draining: Collection[str] = ()
) -> list[Slot]:
    """Return the places for engines: `cpu_engines` anywhere, or else one on each GPU.

    `nodes` is what `ray.nodes()` tells. Nodes that are gone or `draining` have no places. Every
    front comes to the same names, so that they share engines instead of competing.
    """
    if cpu_engines > 0:
        return [Slot(f"engine-cpu-{number}") for number in range(cpu_engines)]
    return [
        Slot(f"engine-{node['NodeID']}-{number}", node=node["NodeID"], gpus=1, cpus=0)
        for node in nodes
        if node["Alive"] and node["NodeID"] not in draining
        for number in range(int(node["Resources"].get("GPU", 0)))
    ]


class Cluster:
    """A connection to Ray. Its methods block for milliseconds to seconds: call them in threads."""

    def __init__(self, address: str, *, deployment: str, cpu_engines: int = 0) -> None:
        self.address = address
        self.namespace = f"turbocord-{deployment}"
        self.cpu_engines = cpu_engines
        self._joined = False
        self._ray: Any = None
        self._actor: Any = None

    def connect(self) -> None:
        """Join the cluster at `address`. Raises StartupError.

        "auto" is the one running on this machine, or else a new one of our own; "local" is always
        a new one. A process that is connected already stays where it is.
        """
        if self.address.startswith("ray://"):
            raise StartupError(
                "TURBOCORD_RAY_ADDRESS must be host:port of a cluster that this machine has "
                "joined with `ray start`; Ray's remote client (ray://) is not supported.",
                exit_code=exit_codes.CONFIG,
            )
        self._ray = load_ray()
        if not self._ray.is_initialized():
            self._join()
        # max_restarts: whoever dies is started again by Ray, once, however many fronts there are.
        # max_task_retries: a call is repeated by the front, elsewhere, without waiting for that.
        self._actor = self._ray.remote(
            max_restarts=-1, max_task_retries=0, max_concurrency=10_000, lifetime="detached"
        )(EngineActor)

    def _join(self) -> None:
        options = {"namespace": self.namespace, "log_to_driver": False, "logging_level": "ERROR"}
        if self.address != "local":
            try:
                self._ray.init(address=self.address, **options)
            except ConnectionError as error:
                if self.address != "auto":
                    raise StartupError(
                        f"No Ray cluster answers at {self.address}: {error}",
                        exit_code=exit_codes.CONFIG,
                    ) from error
            else:
                self._joined = True
                return
        try:
            self._ray.init(
                address="local",
                num_cpus=max(self.cpu_engines, os.cpu_count() or 1),
                object_store_memory=LOCAL_STORE_BYTES,
                include_dashboard=False,
                **options,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise StartupError(
                f"A Ray cluster cannot be started on this machine: {error}",
                exit_code=exit_codes.CONFIG,
            ) from error
        self._joined = True

    def slots(self) -> list[Slot]:
        """Return the places for engines at this moment."""
        nodes = self._ray.nodes()
        return plan_slots(nodes, cpu_engines=self.cpu_engines, draining=self._draining())

    def _draining(self) -> Collection[str]:
        """Return the ids of nodes that are about to leave, where this version of Ray tells them."""
        # Ray's own libraries read it here; there is no public way yet.
        state = getattr(importlib.import_module("ray._private.state"), "state", None)
        ask = getattr(state, "get_draining_nodes", None)
        return ask() if ask is not None else ()

    def engine(self, slot: Slot, build: Build, *, idle_seconds: float) -> Any:
        """Return the handle of the engine in `slot`, made now if no front has made it before."""
        options: dict[str, Any] = {
            "name": slot.name,
            "namespace": self.namespace,
            "get_if_exists": True,
            "num_gpus": slot.gpus,
            "num_cpus": slot.cpus,
            "runtime_env": {"env_vars": dict.fromkeys(SECRETS, "")},
        }
        if slot.node:
            strategies = importlib.import_module("ray.util.scheduling_strategies")
            options["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(
                node_id=slot.node, soft=False
            )
        return self._actor.options(**options).remote(
            build, node=slot.node[:8], idle_seconds=idle_seconds, leave_cluster=end_this_engine
        )

    def kill(self, handle: Any, *, restart: bool) -> None:
        """End an engine at once; with `restart` Ray starts it again."""
        self._ray.kill(handle, no_restart=not restart)

    def close(self) -> None:
        """Leave the cluster; one of our own ends with that."""
        if self._joined:
            self._ray.shutdown()

    def is_fault(self, error: BaseException) -> bool:
        """Tell whether `error` is Ray's: the picture is not to blame and can be drawn again."""
        return isinstance(error, self._ray.exceptions.RayError)

    def is_loss(self, error: BaseException) -> bool:
        """Tell whether `error` means that the engine itself is gone or out of reach."""
        kinds = self._ray.exceptions
        return isinstance(
            error,
            (
                kinds.RayActorError,
                kinds.ActorUnschedulableError,
                kinds.NodeDiedError,
                kinds.WorkerCrashedError,
                kinds.LocalRayletDiedError,
            ),
        )


def end_this_engine() -> None:
    """End the actor that calls this, for good."""
    ray = load_ray()
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
