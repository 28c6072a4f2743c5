"""RemoteScheduler: the same front as BatchScheduler, with its engines on the GPUs of a Ray cluster.

Queued work stays here, in one fair queue; an engine is sent no more than its credit, two batches'
worth, and the least loaded engine is served first. What was with an engine that died goes before
everything else to another one; the same seed draws the same picture there, to within the rounding
of another batch. Several fronts share the same engines, which divide their credit among them by how
many guilds wait at each.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bot import __version__, exit_codes
from bot.engine.backlog import Job
from bot.engine.fair_queue import FairQueue
from bot.engine.launch import build_scheduler
from bot.engine.remote_actor import Build
from bot.engine.remote_cluster import Cluster, Slot
from bot.engine.remote_dispatch import TRIES, Dispatch
from bot.engine.remote_link import Codec, EngineLink
from bot.engine.scheduler import EngineStats, percentile
from bot.engine.ticket import Ticket
from bot.errors import Abandoned, BadParameter, EngineError, EngineStopping, StartupError
from bot.request import Draw, Drawn

log = logging.getLogger(__name__)

TEND_SECONDS: Final = 2.0
"""How often nodes that came or went are looked for."""


def build_remote_scheduler(
    model: str = "starter",
    *,
    address: str,
    cpu_engines: int = 0,
    vae: str = "auto",
    max_batch: int = 0,
    compile: bool = True,
    cache: Path | None = None,
    models: Mapping[str, str] | None = None,
    waiting_bytes: int = 0,
    models_dir: Path | None = None,
    catalog: Path | None = None,
    **options: Any,
) -> RemoteScheduler:
    """Return a scheduler, not started yet, whose engines run on the Ray cluster at `address`.

    There is one engine on each GPU of the cluster, or `cpu_engines` without one. `model`, `vae`,
    `max_batch`, `compile`, `cache`, `models`, `waiting_bytes`, `models_dir` and `catalog` are as
    for `build_scheduler` and must mean the same on every node; so must the paths of LoRAs, whose
    absence there is told to whoever asks for a picture with them. `options` go to RemoteScheduler.
    Fronts share engines when all of this and the version are equal; others get engines of their
    own.
    """
    device = "cpu" if cpu_engines else "cuda"
    settings: dict[str, Any] = {
        "device": device,
        "vae": vae,
        "max_batch": max_batch,
        "compile": compile,
        "cache": cache,
        "models": dict(models or {}),
        "waiting_bytes": waiting_bytes,
        "models_dir": models_dir,
        "catalog": catalog,
    }
    if cpu_engines:
        settings["engines"] = 1
    identity = repr((__version__, model, sorted(settings.items(), key=lambda item: item[0])))
    return RemoteScheduler(
        partial(build_scheduler, model, **settings),
        address=address,
        cpu_engines=cpu_engines,
        deployment=hashlib.sha256(identity.encode()).hexdigest()[:12],
        **options,
    )


class RemoteScheduler:
    """Takes requests on the event loop and has them drawn by engines of a Ray cluster.

    `build` makes one engine's own BatchScheduler, in the engine's process. Fronts with the same
    `deployment` share engines. Without any engine for `patience_seconds` the waiting requests are
    given up; an engine that is silent for `silent_seconds` is replaced; engines that have had no
    front for `idle_seconds` end.
    """

    def __init__(
        self,
        build: Build,
        *,
        address: str = "auto",
        deployment: str = "default",
        cpu_engines: int = 0,
        max_pictures: int = 1024,
        max_per_guild: int = 256,
        max_per_member: int = 32,
        patience_seconds: float = 600.0,
        silent_seconds: float = 15.0,
        idle_seconds: float = 120.0,
    ) -> None:
        self.engines_lost = 0
        self.patience_seconds = patience_seconds
        self._build = build
        self._silent_seconds = silent_seconds
        self._idle_seconds = idle_seconds
        self._front = secrets.token_hex(8)
        self._cluster = Cluster(address, deployment=deployment, cpu_engines=cpu_engines)
        self._dispatch = Dispatch(
            FairQueue(
                max_pictures=max_pictures,
                max_per_guild=max_per_guild,
                max_per_member=max_per_member,
            )
        )
        self._homes: dict[Ticket, tuple[int | None, int]] = {}
        self._codec = Codec()
        self._links = self._dispatch.links
        self._state = "starting"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first_ready: asyncio.Future[None] | None = None
        self._tending: asyncio.Task[None] | None = None
        self._last_ready = 0.0
        self._places = -1
        self._counts: Counter[str] = Counter()
        self._queue_ms: deque[float] = deque(maxlen=512)
        self._service_ms: deque[float] = deque(maxlen=512)

    async def start(self) -> None:
        """Join the cluster; return when the first engine can draw.

        Raises StartupError when the cluster cannot be joined, has no place for an engine, or the
        first engine cannot load its model.
        """
        self._loop = asyncio.get_running_loop()
        self._first_ready = self._loop.create_future()
        self._last_ready = time.monotonic()
        try:
            # In a thread also because Ray then leaves this process's signal handlers alone.
            await asyncio.to_thread(self._cluster.connect)
            self._tending = asyncio.create_task(self._tend(), name="engine-tending")
            await asyncio.wait_for(self._first_ready, self.patience_seconds)
        except TimeoutError:
            found = len(self._links)
            await self.stop(0)
            raise StartupError(
                f"No engine was ready after {self.patience_seconds:g} s; the Ray cluster has "
                + (f"{found} places for one." if found else "no GPU: add a node that has one."),
                exit_code=exit_codes.CONFIG,
            ) from None
        except BaseException:
            await self.stop(0)
            raise

    async def stop(self, drain_seconds: float = 30.0) -> None:
        """Take no more work, finish what was taken within `drain_seconds`, leave the cluster."""
        if self._state in ("stopping", "stopped"):
            return
        self._state = "stopping"
        if self._homes and self._dispatch.ready_links() and drain_seconds > 0:
            log.info("Finishing %d requests, at most %g s", len(self._homes), drain_seconds)
            await asyncio.wait([each.future for each in self._homes], timeout=drain_seconds)
        for ticket in list(self._homes):
            ticket.settle(EngineStopping())
        if self._tending is not None:
            self._tending.cancel()
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._codec.close()
        await asyncio.to_thread(self._cluster.close)
        self._state = "stopped"

    def submit(self, draws: Sequence[Draw], *, guild_id: int | None, user_id: int) -> Ticket:
        """Queue one request of one or more pictures, all of them or none.

        `guild_id` is None outside guilds, where each user counts as a guild. Raises QueueFull when
        too much waits, EngineStopping when no more work is taken, EngineError when there has been
        no engine for too long, and BadParameter for an empty request.
        """
        if self._state == "failed":
            raise EngineError(reason="no engine is left")
        if self._state != "ready" or self._loop is None:
            raise EngineStopping()
        if not draws:
            raise BadParameter(name="draws", value=0)
        ticket = Ticket(self, self._loop)
        now = time.perf_counter()
        ticket.jobs = [Job(draw, index, ticket, now) for index, draw in enumerate(draws)]
        guild: Hashable = ("user", user_id) if guild_id is None else ("guild", guild_id)
        self._dispatch.queue.push(
            ticket.jobs, guild=guild, member=user_id, seconds_each=self.seconds_per_picture
        )
        self._homes[ticket] = (guild_id, user_id)
        self._dispatch.run()
        return ticket

    @property
    def seconds_per_picture(self) -> float:
        """Seconds between finished pictures when all engines are busy; 1 while unknown."""
        times = [
            link.stats.seconds_per_picture for link in self._dispatch.ready_links() if link.stats
        ]
        rate = sum(1 / each for each in times if each > 0)
        return 1 / rate if rate else 1.0

    @property
    def pids(self) -> list[int]:
        """The process ids of the engines that can draw, each on its own node."""
        return [link.pid for link in self._dispatch.ready_links()]

    @property
    def demand(self) -> int:
        """How many guilds have pictures waiting."""
        return self._dispatch.queue.guilds

    def ahead(self, job: Job) -> int | None:
        """Return how many waiting pictures go before `job`; None when it is not waiting."""
        return self._dispatch.ahead(job)

    def estimate(self, *, ahead: int, own: int) -> float:
        """Return the seconds until `own` pictures with `ahead` waiting before them are done."""
        # A picture alone takes its whole way through, however fast others follow one another.
        alone = percentile(self._service_ms, 0.5) / 1000
        return max((ahead + own + self._running / 2) * self.seconds_per_picture, alone)

    def stats(self) -> EngineStats:
        """Return a snapshot: counts and times of this front, batches and memory of all engines."""
        links = self._dispatch.ready_links()
        engines = [link.stats for link in links if link.stats is not None]
        sizes: Counter[int] = Counter()
        for each in engines:
            sizes.update(each.batch_sizes)
        waiting_for_one = self._state == "ready" and not links
        return EngineStats(
            ready=self._state == "ready" and bool(links),
            state="starting" if waiting_for_one else self._state,
            full_speed=len(engines) == len(self._links)
            and all(each.full_speed for each in engines),
            model_name=engines[0].model_name if engines else "",
            device_names=tuple(name for each in engines for name in each.device_names),
            waiting=len(self._dispatch),
            running=self._running,
            drawn=self._counts["drawn"],
            failed=self._counts["failed"],
            abandoned=self._counts["abandoned"],
            stalls=self.engines_lost + sum(each.stalls for each in engines),
            batch_sizes=dict(sizes),
            max_rows=tuple(rows for each in engines for rows in each.max_rows),
            queue_p50_ms=percentile(self._queue_ms, 0.5),
            queue_p95_ms=percentile(self._queue_ms, 0.95),
            service_p50_ms=percentile(self._service_ms, 0.5),
            service_p95_ms=percentile(self._service_ms, 0.95),
            seconds_per_picture=self.seconds_per_picture,
            peak_memory_bytes=max((each.peak_memory_bytes for each in engines), default=0),
        )

    def noted(self, drawn: Drawn) -> None:
        """Count a finished picture."""
        self._counts["drawn"] += 1
        self._queue_ms.append(drawn.queue_ms)
        self._service_ms.append(drawn.pipeline_ms)

    def settled(self, ticket: Ticket, error: BaseException | None) -> None:
        """Forget a ticket whose outcome is known, and whatever of it still waits or runs."""
        self._homes.pop(ticket, None)
        for job in ticket.jobs:
            if error is not None:
                job.abandoned = True
                for link in self._links.values():
                    link.cancel(job)
            self._dispatch.forget(job)
        if error is not None:
            gone = isinstance(error, Abandoned | asyncio.CancelledError)
            self._counts["abandoned" if gone else "failed"] += len(ticket.jobs)

    def home_of(self, job: Job) -> tuple[int | None, int]:
        """Return the guild's id, None outside guilds, and the member's."""
        return self._homes.get(job.owner, (None, 0)) if isinstance(job.owner, Ticket) else (None, 0)

    def link_ready(self, link: EngineLink) -> None:
        """Use an engine that can draw from now on."""
        stats = link.stats
        log.info(
            "%s is ready: %s on %s, credit for %d UNet rows",
            link.slot.name,
            stats.model_name if stats else "",
            ", ".join(stats.device_names) if stats else "",
            link.credit,
        )
        if self._state in ("starting", "failed"):
            self._state = "ready"
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)
        self._dispatch.run()

    def link_broken(self, link: EngineLink, error: StartupError) -> None:
        """Tell the operator; if it is the very first engine, the start has failed."""
        log.error("%s cannot load its model: %s", link.slot.name, error)
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_exception(error)

    def link_free(self, link: EngineLink) -> None:
        """Send what waits to whoever has room."""
        self._dispatch.run()

    def link_lost(self, link: EngineLink, jobs: Sequence[Job]) -> None:
        """Have the pictures of a lost engine drawn by others, before those that still wait."""
        self.engines_lost += 1
        for job in jobs:
            self.again(job, link, EngineError(reason=f"{TRIES} engines were lost with it"))

    def again(self, job: Job, link: EngineLink, error: Exception) -> None:
        """Have one picture drawn once more."""
        self._dispatch.again(job, link, error)

    @property
    def _running(self) -> int:
        return sum(len(link.jobs) for link in self._links.values())

    async def _tend(self) -> None:
        """Follow the cluster's nodes, and give up on requests that no engine will come for."""
        while True:
            try:
                self._follow(await asyncio.to_thread(self._cluster.slots))
            except Exception:
                log.exception("The cluster's nodes cannot be listed; going on with those known")
            try:
                self._give_up_late()
            except Exception:
                log.exception("Requests that no engine comes for could not be given up")
            await asyncio.sleep(TEND_SECONDS)

    def _give_up_late(self) -> None:
        now = time.monotonic()
        if self._dispatch.ready_links():
            self._last_ready = now
        elif self._state == "ready" and now - self._last_ready > self.patience_seconds:
            log.error("There has been no engine for %g s", self.patience_seconds)
            self._state = "failed"
            for ticket in list(self._homes):
                ticket.settle(EngineError(reason="no engine is left"))

    def _follow(self, slots: Sequence[Slot]) -> None:
        """Have one link for each slot; let those without a slot finish and go."""
        wanted = {slot.name: slot for slot in slots}
        if self._places != len(wanted):
            self._places = len(wanted)
            log.info("The cluster has places for %d engines", self._places)
        for name, link in list(self._links.items()):
            if name not in wanted or link.retiring:
                link.retire()
                if link.retired:
                    del self._links[name]
        for name, slot in wanted.items():
            if name not in self._links:
                self._links[name] = EngineLink(
                    slot,
                    front=self._front,
                    office=self,
                    cluster=self._cluster,
                    codec=self._codec,
                    build=self._build,
                    idle_seconds=self._idle_seconds,
                    silent_seconds=self._silent_seconds,
                )
