"""The front's hold on one engine: its credit, what is on its way, whether it still answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from PIL import Image

from bot.engine.backlog import Job, JobOwner
from bot.engine.remote_actor import Build
from bot.engine.remote_cluster import Cluster, Slot
from bot.engine.remote_wire import (
    PackedDraw,
    PackedPicture,
    Reply,
    Report,
    checked,
    pack_source,
    unpack_error,
)
from bot.engine.scheduler import EngineStats
from bot.errors import (
    BadOutput,
    EngineError,
    EngineStalled,
    EngineStopping,
    OutOfMemory,
    StartupError,
    WeightsUnavailable,
)
from bot.request import Draw, Drawn, EncodedPicture

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
BROKEN_SECONDS: Final = 30.0
"""How long an engine that could not load its model is left alone before the next attempt."""

SUSPICIOUS: Final = 3
"""Requests that fail in a row, on an engine that draws nothing else, before it is replaced."""

REMIND_SECONDS: Final = 30.0
KEPT_SOURCES: Final = 16


class LinkOffice(Protocol):
    """What a link asks of the front. Called on the event loop."""

    @property
    def demand(self) -> int:
        """How many guilds have pictures waiting."""

    def home_of(self, job: Job) -> tuple[int | None, int]:
        """Return the guild's id, None outside guilds, and the member's."""

    def link_ready(self, link: EngineLink) -> None:
        """The engine can draw."""

    def link_broken(self, link: EngineLink, error: StartupError) -> None:
        """The engine could not load its model."""

    def link_free(self, link: EngineLink) -> None:
        """The engine has room for more."""

    def link_lost(self, link: EngineLink, jobs: Sequence[Job]) -> None:
        """The engine is gone; `jobs` were with it."""

    def again(self, job: Job, link: EngineLink, error: Exception) -> None:
        """One picture was not drawn, for a reason that may be the engine's."""


class Codec:
    """Packs sources and checks pictures in threads.

    A source that several draws share is packed once.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(thread_name_prefix="codec")
        self._sources: OrderedDict[int, tuple[Image.Image, asyncio.Future[PackedPicture]]]
        self._sources = OrderedDict()

    async def pack(self, draw: Draw) -> PackedDraw:
        """Return the draw as it travels."""
        if not draw.sources:
            return PackedDraw(draw)
        packed = await asyncio.gather(*(asyncio.shield(self._pack(one)) for one in draw.sources))
        return PackedDraw(replace(draw, sources=()), tuple(packed))

    async def unpack(self, reply: Reply) -> EncodedPicture:
        """Return the picture of a reply. Raises its error."""
        if reply.picture is None:
            raise unpack_error(reply.error) if reply.error else EngineError(reason="empty reply")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, checked, reply.picture)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pack(self, source: Image.Image) -> asyncio.Future[PackedPicture]:
        # The picture itself is kept beside its bytes, so that its id cannot be another's.
        if (kept := self._sources.get(id(source))) is None:
            loop = asyncio.get_running_loop()
            kept = source, loop.run_in_executor(self._pool, pack_source, source)
            self._sources[id(source)] = kept
            if len(self._sources) > KEPT_SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(id(source))
        return kept[1]


_NUMBERS = itertools.count()
"""By which pictures are cancelled: of all links, as an engine remembers longer than one lasts."""


class EngineLink:
    """Sends pictures to the engine of one slot as far as its credit goes, and watches over it.

    An engine that does not answer for `silent_seconds` counts as lost and is ended. `used` and
    `credit` are UNet rows.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        front: str,
        office: LinkOffice,
        cluster: Cluster,
        codec: Codec,
        build: Build,
        idle_seconds: float,
        silent_seconds: float,
    ) -> None:
        self.slot = slot
        self.ready = False
        self.retiring = False
        self.credit = 0
        self.used = 0
        self.pid = 0
        self.stats: EngineStats | None = None
        self._front = front
        self._office = office
        self._cluster = cluster
        self._codec = codec
        self._build = build
        self._idle_seconds = idle_seconds
        self._silent_seconds = silent_seconds
        self._handle: Any = None
        self._flights: dict[Job, tuple[int, asyncio.Task[None]]] = {}
        self._suspects: set[JobOwner] = set()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=slot.name)

    @property
    def jobs(self) -> list[Job]:
        """The pictures that are with this engine."""
        return list(self._flights)

    @property
    def load(self) -> float:
        """The share of the credit that is in use."""
        return self.used / self.credit if self.credit else 1.0

    def has_room(self, rows: int) -> bool:
        """Whether a picture of `rows` UNet rows may be sent; one alone always may."""
        if not self.ready or self.retiring:
            return False
        return self.used == 0 or self.used + rows <= self.credit

    def send(self, job: Job, rows: int) -> None:
        """Have one picture drawn; it uses `rows` of the credit meanwhile."""
        self.used += rows
        job.taken = time.perf_counter()
        number = next(_NUMBERS)
        task = asyncio.create_task(self._fly(job, rows, number), name=f"{self.slot.name}-{number}")
        self._flights[job] = number, task

    def cancel(self, job: Job) -> None:
        """Tell the engine that nobody waits for a picture any more."""
        if job in self._flights:
            number, _ = self._flights[job]
            self._tell(partial(self._cancel, number))

    def retire(self) -> None:
        """Send no more; once the last picture is back, give the place up."""
        if not self.retiring:
            log.info("%s is drained: its node leaves", self.slot.name)
            self.retiring = True
        if not self._flights:
            self._task.cancel()
            self.ready = False
            self._tell(lambda: self._cluster.kill(self._handle, restart=False))

    @property
    def retired(self) -> bool:
        """Whether a link that was told to retire has nothing left to do."""
        return self.retiring and self._task.cancelled()

    async def close(self, timeout: float = 2.0) -> None:
        """Say goodbye to the engine; it stays for other fronts."""
        self._task.cancel()
        for _, task in self._flights.values():
            task.cancel()
        if self.ready:
            self.ready = False
            try:
                await asyncio.wait_for(_answer(self._handle.leave.remote(self._front)), timeout)
            except Exception as error:
                log.info("%s did not hear the goodbye: %s", self.slot.name, _brief(error))

    async def _run(self) -> None:
        """Find or make the engine, watch it, and begin again when it is lost."""
        while True:
            try:
                pause = await self._attend()
            except Exception:
                log.exception("%s could not be seen to", self.slot.name)
                pause = BROKEN_SECONDS
            await asyncio.sleep(pause)

    async def _attend(self) -> float:
        """Return, once the engine is lost, the seconds until it is begun with again."""
        try:
            self._handle = await asyncio.to_thread(
                self._cluster.engine, self.slot, self._build, idle_seconds=self._idle_seconds
            )
            await self._load()
            await self._watch()
        except StartupError as error:
            self._tell(lambda: self._cluster.kill(self._handle, restart=False))
            self._office.link_broken(self, error)
            return BROKEN_SECONDS
        except TimeoutError:
            self._lose(f"no answer for {self._silent_seconds:g} s")
            self._tell(lambda: self._cluster.kill(self._handle, restart=True))
        except Exception as error:
            is_fault = self._cluster.is_fault(error)
            if not is_fault:
                log.exception("%s cannot be reached", self.slot.name)
            self._lose(_brief(error))
            return RETRY_SECONDS if is_fault else BROKEN_SECONDS
        return RETRY_SECONDS

    async def _load(self) -> None:
        """Wait for the engine's place and its model, however long that takes."""
        answer = asyncio.ensure_future(_answer(self._report()))
        try:
            while not (await asyncio.wait([answer], timeout=REMIND_SECONDS))[0]:
                log.info("Still waiting for %s: its device or its model", self.slot.name)
            self._take(answer.result())
        finally:
            answer.cancel()
        self._wake.clear()
        self._suspects.clear()
        self.ready = True
        self._office.link_ready(self)

    async def _watch(self) -> None:
        """Ask how the engine fares, again and again, until it is lost."""
        while self.ready:
            try:
                await asyncio.wait_for(self._wake.wait(), BEAT_SECONDS)
            except TimeoutError:
                report = await asyncio.wait_for(_answer(self._report()), self._silent_seconds)
                self._take(report)
                self._office.link_free(self)

    def _report(self) -> Any:
        return self._handle.report.remote(self._front, self._office.demand)

    def _take(self, report: Report) -> None:
        if report.failure:
            raise StartupError(report.failure, exit_code=report.exit_code)
        self.pid, self.stats, self.credit = report.pid, report.stats, report.credit

    async def _fly(self, job: Job, rows: int, number: int) -> None:
        """See one picture there and back."""
        try:
            packed = await self._codec.pack(job.draw)
            guild_id, user_id = self._office.home_of(job)
            reply: Reply = await self._handle.draw.remote(
                self._front, self._office.demand, number, packed, guild_id, user_id
            )
            self.credit = reply.credit
            self._land(job, rows)
            picture = await self._codec.unpack(reply)
        except EngineStopping as error:
            self._office.again(job, self, error)
            self._lose(_brief(error))
        except (OutOfMemory, BadOutput, EngineStalled) as error:
            job.owner.failed(job, error)
        except EngineError as error:
            self._office.again(job, self, error)
            # A file that is missing there is no fault of the engine's.
            if not isinstance(error, WeightsUnavailable):
                self._suspect(job)
        except Exception as error:
            if self._cluster.is_loss(error):
                self._lose(_brief(error))
                return
            self._land(job, rows)
            if self._cluster.is_fault(error):
                log.warning("A picture was lost on its way: %s; again", _brief(error))
                self._office.again(job, self, EngineError(reason=_brief(error)))
            else:
                job.owner.failed(job, error)
        else:
            self._suspects.clear()
            total_ms = (time.perf_counter() - job.submitted) * 1000
            job.owner.drawn(
                job,
                Drawn(
                    picture=picture,
                    queue_ms=max(0.0, total_ms - reply.pipeline_ms),
                    pipeline_ms=reply.pipeline_ms,
                ),
            )

    def _land(self, job: Job, rows: int) -> None:
        """Free the credit of a picture that is back."""
        if self._flights.pop(job, None) is not None:
            self.used -= rows
            self._office.link_free(self)

    def _suspect(self, job: Job) -> None:
        """Replace an engine that fails one request after another without any success."""
        self._suspects.add(job.owner)
        if len(self._suspects) >= SUSPICIOUS and self.ready:
            self._lose(f"{SUSPICIOUS} requests failed in a row")
            self._tell(lambda: self._cluster.kill(self._handle, restart=True))

    def _lose(self, reason: str) -> None:
        """Take back what is with a lost engine, once."""
        if not self.ready:
            return
        self.ready = False
        flights, self._flights = self._flights, {}
        self.used = 0
        log.warning(
            "%s is lost (%s); its %d pictures are drawn elsewhere",
            self.slot.name,
            reason,
            len(flights),
        )
        current = asyncio.current_task()
        for number, task in flights.values():
            if task is not current:
                task.cancel()
            self._tell(partial(self._cancel, number))
        self._wake.set()
        self._office.link_lost(self, list(flights))

    def _cancel(self, number: int) -> None:
        self._handle.cancel.remote(self._front, number)

    def _tell(self, call: Callable[[], object]) -> None:
        """Make a call whose success nobody depends on."""
        try:
            call()
        except Exception as error:
            log.debug("%s did not take a message: %s", self.slot.name, _brief(error))


async def _answer(reference: Any) -> Any:
    """Await a reference; asyncio's own functions want a coroutine."""
    return await reference


def _brief(error: BaseException) -> str:
    """Return the kind of an error: Ray's own words run over many lines."""
    return type(error).__name__
