"""BatchScheduler: the event loop's side of the engine, one fair queue before all devices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.engine.backlog import Backlog, Job
from bot.engine.fair_queue import FairQueue
from bot.engine.protocol import Pipeline
from bot.engine.supervision import Call
from bot.engine.ticket import Ticket
from bot.engine.worker import DeviceWorker
from bot.errors import Abandoned, BadParameter, EngineError, EngineStalled, EngineStopping
from bot.request import Draw, Drawn

log = logging.getLogger(__name__)

MakePipeline = Callable[[], Pipeline[Any]]
Budget = int | Callable[[Any], int]
"""UNet rows of one call, or what measures them on a loaded pipeline in its own thread."""

MAX_REPLACED = 3
"""Broken workers replaced in all; beyond that a fresh process is the better cure."""

JOIN_SECONDS = 2.0
"""How long a stopping scheduler waits for each thread to come out of its last call."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine at one moment. Times are milliseconds of the last few hundred pictures."""

    ready: bool
    state: str
    """"starting", "ready", "stopping", "stopped" or "failed"."""
    full_speed: bool
    """Whether no device has anything left to load, capture or compile."""
    model_name: str
    device_names: tuple[str, ...]
    waiting: int
    running: int
    drawn: int
    failed: int
    abandoned: int
    stalls: int
    batch_sizes: dict[int, int]
    """How many UNet calls had how many pictures."""
    max_rows: tuple[int, ...]
    """The batch budget of each device, in UNet rows."""
    queue_p50_ms: float
    queue_p95_ms: float
    service_p50_ms: float
    service_p95_ms: float
    seconds_per_picture: float
    peak_memory_bytes: int


@dataclass
class _Counts:
    drawn: int = 0
    failed: int = 0
    abandoned: int = 0
    stalls: int = 0
    batch_sizes: Counter[int] = field(default_factory=Counter)


class BatchScheduler:
    """Takes requests on the event loop and has them drawn by one thread per device.

    Each of `pipelines` is a function that loads a pipeline; it is called in the thread that will
    own the device, and again when that thread had to be replaced. `budget` bounds the UNet rows of
    one call: a number, or a function that measures it. A device call that takes longer than
    `stall_seconds` is given up; so is one that loads or compiles after `patience_seconds`, and,
    once there was one that could draw, a worker that is not ready by then.
    """

    def __init__(
        self,
        pipelines: Sequence[MakePipeline],
        *,
        budget: Budget = 8,
        max_pictures: int = 1024,
        max_per_guild: int = 256,
        max_per_member: int = 32,
        stall_seconds: float = 60.0,
        patience_seconds: float = 600.0,
    ) -> None:
        if not pipelines:
            raise ValueError("At least one pipeline is needed.")
        self.stall_seconds = stall_seconds
        self.patience_seconds = patience_seconds
        self._budget = budget
        self._backlog = Backlog(
            FairQueue(
                max_pictures=max_pictures,
                max_per_guild=max_per_guild,
                max_per_member=max_per_member,
            )
        )
        self._makers = list(pipelines)
        self._workers: list[DeviceWorker[Any]] = []
        self._ready: set[DeviceWorker[Any]] = set()
        self._state = "starting"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first_ready: asyncio.Future[None] | None = None
        self._has_failed = asyncio.Event()
        self._tickets: set[Ticket] = set()
        self._counts = _Counts()
        self._replaced = 0
        self._queue_ms: deque[float] = deque(maxlen=512)
        self._service_ms: deque[float] = deque(maxlen=512)
        self._watchdog: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the models; return when the first device can draw. Raises what loading raised."""
        self._loop = asyncio.get_running_loop()
        self._first_ready = self._loop.create_future()
        for number, maker in enumerate(self._makers):
            self._hire(maker, f"engine-{number}")
        try:
            await asyncio.shield(self._first_ready)
        except BaseException:
            await self.stop(0)
            raise
        self._watchdog = asyncio.create_task(self._watch(), name="engine-watchdog")

    async def failed(self) -> None:
        """Return once no device is left that could draw, which only a fresh process mends."""
        await self._has_failed.wait()

    async def stop(self, drain_seconds: float = 30.0) -> None:
        """Take no more work, finish what was taken within `drain_seconds`, end the threads."""
        if self._state in ("stopping", "stopped"):
            return
        self._state = "stopping"
        if self._tickets and self._ready and drain_seconds > 0:
            log.info("Finishing %d requests, at most %g s", len(self._tickets), drain_seconds)
            await asyncio.wait([each.future for each in self._tickets], timeout=drain_seconds)
        for ticket in list(self._tickets):
            ticket.settle(EngineStopping())
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._backlog.close()
        for worker in self._workers:
            worker.retire()
        for worker in self._workers:
            if not await asyncio.to_thread(worker.join, JOIN_SECONDS):
                log.warning("%s is still inside a device call; leaving it behind", worker.name)
        self._state = "stopped"

    def submit(self, draws: Sequence[Draw], *, guild_id: int | None, user_id: int) -> Ticket:
        """Queue one request of one or more pictures, all of them or none.

        `guild_id` is None outside guilds, where each user counts as a guild. Raises QueueFull when
        too much waits, EngineStopping when no more work is taken, EngineError when no device is
        left, and BadParameter for an empty request.
        """
        if self._state == "failed":
            raise EngineError(reason="no device is left")
        if self._state != "ready" or self._loop is None:
            raise EngineStopping()
        if not draws:
            raise BadParameter(name="draws", value=0)
        ticket = Ticket(self, self._loop)
        now = time.perf_counter()
        ticket.jobs = [Job(draw, index, ticket, now) for index, draw in enumerate(draws)]
        self._backlog.push(
            ticket.jobs,
            guild=("user", user_id) if guild_id is None else ("guild", guild_id),
            member=user_id,
            seconds_each=self.seconds_per_picture,
        )
        self._tickets.add(ticket)
        return ticket

    @property
    def seconds_per_picture(self) -> float:
        """Seconds between finished pictures when all devices are busy; 1 while unknown."""
        rate = sum(1 / w.costs.picture for w in self._ready if w.costs.picture > 0)
        return 1 / rate if rate else 1.0

    def ahead(self, job: Job) -> int | None:
        """Return how many waiting pictures go before `job`; None when it is not waiting."""
        return self._backlog.ahead(job)

    def estimate(self, *, ahead: int, own: int) -> float:
        """Return the seconds until `own` pictures with `ahead` waiting before them are done."""
        running = sum(len(worker.held) for worker in self._workers)
        each = self.seconds_per_picture
        # A picture alone takes its whole way through, however fast others follow one another.
        alone = percentile(self._service_ms, 0.5) / 1000
        return max((ahead + own + running / 2) * each, alone)

    def stats(self) -> EngineStats:
        """Return a snapshot of queue, devices and recent times."""
        sizes = self._counts.batch_sizes.copy()
        for worker in self._workers:
            sizes.update(worker.batch_sizes)
        loaded = [worker.pipeline for worker in self._workers if worker.pipeline is not None]
        return EngineStats(
            ready=self._state == "ready",
            state=self._state,
            full_speed=len(self._ready) == len(self._makers)
            and all(worker.full_speed for worker in self._workers),
            model_name=loaded[0].model_name if loaded else "",
            device_names=tuple(pipeline.device_name for pipeline in loaded),
            waiting=len(self._backlog),
            running=sum(len(worker.held) for worker in self._workers),
            drawn=self._counts.drawn,
            failed=self._counts.failed,
            abandoned=self._counts.abandoned,
            stalls=self._counts.stalls,
            batch_sizes=dict(sizes),
            max_rows=tuple(worker.batch.max_rows for worker in self._workers),
            queue_p50_ms=percentile(self._queue_ms, 0.5),
            queue_p95_ms=percentile(self._queue_ms, 0.95),
            service_p50_ms=percentile(self._service_ms, 0.5),
            service_p95_ms=percentile(self._service_ms, 0.95),
            seconds_per_picture=self.seconds_per_picture,
            peak_memory_bytes=max((pipeline.peak_memory() for pipeline in loaded), default=0),
        )

    def noted(self, drawn: Drawn) -> None:
        """Count a finished picture."""
        self._counts.drawn += 1
        self._queue_ms.append(drawn.queue_ms)
        self._service_ms.append(drawn.pipeline_ms)

    def settled(self, ticket: Ticket, error: BaseException | None) -> None:
        """Forget a ticket whose outcome is known, and whatever of it still waits or runs."""
        self._tickets.discard(ticket)
        if error is None:
            return
        for job in ticket.jobs:
            job.abandoned = True
            self._backlog.remove(job)
        if isinstance(error, Abandoned | asyncio.CancelledError):
            self._counts.abandoned += len(ticket.jobs)
        else:
            self._counts.failed += len(ticket.jobs)

    def worker_ready(self, worker: DeviceWorker[Any]) -> None:
        """Hear from a worker's thread that it can draw."""
        self._post(lambda: self._on_ready(worker))

    def worker_failed(self, worker: DeviceWorker[Any], error: BaseException) -> None:
        """Hear from a worker's thread that it has ended."""
        self._post(lambda: self._on_failed(worker, error))

    def _hire(self, maker: MakePipeline, name: str, inherited: Sequence[Job] = ()) -> None:
        worker: DeviceWorker[Any] = DeviceWorker(
            maker,
            name=name,
            backlog=self._backlog,
            supervisor=self,
            budget=self._budget,
            inherited=inherited,
        )
        self._workers.append(worker)
        worker.start()

    def _on_ready(self, worker: DeviceWorker[Any]) -> None:
        if worker.retired or worker.pipeline is None:
            return
        self._ready.add(worker)
        log.info(
            "%s is ready: %s on %s, up to %d UNet rows a call",
            worker.name,
            worker.pipeline.model_name,
            worker.pipeline.device_name,
            worker.batch.max_rows,
        )
        if self._state in ("starting", "failed"):
            self._state = "ready"
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)

    def _on_failed(self, worker: DeviceWorker[Any], error: BaseException) -> None:
        """Replace a worker that has drawn before; without any, nothing can be drawn."""
        if worker not in self._workers:
            return
        was_ready = worker in self._ready
        self._workers.remove(worker)
        self._ready.discard(worker)
        for job in worker.jobs:
            job.owner.failed(job, EngineError(reason=type(error).__name__))
        if was_ready and self._state == "ready" and self._replaced < MAX_REPLACED:
            self._replaced += 1
            self._hire(worker.make_pipeline, worker.name)
        if self._workers or self._state in ("stopping", "stopped"):
            return
        self._state = "failed"
        self._has_failed.set()
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_exception(error)
        for ticket in list(self._tickets):
            ticket.settle(EngineError(reason=type(error).__name__))

    async def _watch(self) -> None:
        """Replace workers whose device call does not come back; give up those that never begin."""
        while True:
            await asyncio.sleep(self.stall_seconds / 8)
            now = time.perf_counter()
            for worker in list(self._workers):
                try:
                    self._look_after(worker, now)
                except Exception:
                    # There may be no thread for a new worker; the others are watched all the same.
                    log.exception("%s could not be replaced", worker.name)

    def _look_after(self, worker: DeviceWorker[Any], now: float) -> None:
        call = worker.call
        if call is not None and now - call.started > self._limit(call):
            self._replace(worker, call)
        elif self._is_overdue(worker, now):
            self._give_up(worker)

    def _limit(self, call: Call) -> float:
        return self.patience_seconds if call.overhaul else self.stall_seconds

    def _is_overdue(self, worker: DeviceWorker[Any], now: float) -> bool:
        """Tell whether a worker ought to be ready by now.

        A first start may take its time: whoever started it is watching.
        """
        is_late = now - worker.hired > self.patience_seconds
        return is_late and self._state == "ready" and worker not in self._ready

    def _replace(self, worker: DeviceWorker[Any], call: Call) -> None:
        """Fail what is inside the wedged call, and give the rest to a new thread."""
        # First of all: a call that comes back this instant must not take jobs that nobody counts.
        jobs = worker.hand_over()
        wedged = call.jobs if worker.call is call else ()
        others = [job for job in jobs if job not in wedged and not job.abandoned]
        log.error(
            "%s has been inside one %s for over %g s with %d pictures; replacing it",
            worker.name,
            "overhaul" if call.overhaul else "device call",
            self._limit(call),
            len(wedged),
        )
        self._workers.remove(worker)
        self._ready.discard(worker)
        self._counts.stalls += 1
        self._counts.batch_sizes.update(worker.batch_sizes)
        for job in wedged:
            job.owner.failed(job, EngineStalled(seconds=self.stall_seconds))
        self._hire(worker.make_pipeline, worker.name, others)

    def _give_up(self, worker: DeviceWorker[Any]) -> None:
        """Go on without a worker that is still loading: the next would wait behind the same."""
        log.error("%s is not ready after %g s; giving it up", worker.name, self.patience_seconds)
        worker.retire()
        self._on_failed(worker, EngineStalled(seconds=self.patience_seconds))

    def _post(self, message: Callable[[], None]) -> None:
        assert self._loop is not None
        # A loop that closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(message)


def percentile(values: Sequence[float] | deque[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed (nearest rank); 0 for none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
