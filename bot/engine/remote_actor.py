"""The engine's side: an actor that owns one GPU, with a whole BatchScheduler inside."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bot import exit_codes
from bot.engine.remote_shares import Shares
from bot.engine.remote_wire import (
    PackedDraw,
    Reply,
    Report,
    encode,
    pack_error,
    unpack_draw,
)
from bot.engine.scheduler import BatchScheduler
from bot.engine.ticket import Ticket
from bot.errors import StartupError, TurbocordError

log = logging.getLogger(__name__)

CREDIT: Final = 2
"""Batches that an engine gives credit for: one on the device, one waiting, packed or travelling."""

ENDLESS: Final = 1_000_000
"""The bound of the queue in here: how much may wait is the front's business."""

REMEMBERED: Final = 1024
"""So many of the latest pictures that were given up before they came are known when they do."""

Build = Callable[..., BatchScheduler]
"""Makes an engine's own scheduler; called with the bounds of its queue as keywords."""


class EngineActor:
    """Draws for any number of fronts. Every method runs on the actor's one event loop.

    `build` makes the scheduler for the one device that this process was given. The model is loaded
    by the first call and stays. Without any front for `idle_seconds` the process ends itself by
    `leave_cluster`, so that nobody's GPU is held for ever.
    """

    def __init__(
        self,
        build: Build,
        *,
        node: str = "",
        idle_seconds: float = 120.0,
        leave_cluster: Callable[[], None] | None = None,
    ) -> None:
        self._build = build
        self._node = node
        self._idle_seconds = idle_seconds
        self._leave_cluster = leave_cluster
        self._shares = Shares(1)
        self._tickets: dict[tuple[str, int], Ticket] = {}
        # A front packs what it sends, so that its giving up can be here first.
        self._given_up: dict[tuple[str, int], None] = {}
        self._starting: asyncio.Task[BatchScheduler] | None = None
        self._idle: asyncio.Task[None] | None = None
        self._packing = ThreadPoolExecutor(thread_name_prefix="packing")

    async def report(self, front: str, demand: int) -> Report:
        """Load the model if it is not there yet; tell how the engine fares.

        `front` is the asker's name and `demand` how many guilds wait there.
        """
        try:
            scheduler = await self._ready()
        except Exception as error:
            log.exception("The engine cannot start")
            known = isinstance(error, StartupError)
            return Report(
                pid=os.getpid(),
                node=self._node,
                failure=str(error) if known else f"{type(error).__name__}: {error}",
                exit_code=error.exit_code if isinstance(error, StartupError) else exit_codes.MODEL,
            )
        _end_without_device(scheduler)
        stats = scheduler.stats()
        self._shares.rows = CREDIT * max(1, sum(stats.max_rows))
        return Report(
            pid=os.getpid(),
            node=self._node,
            credit=self._shares.hear(front, demand, time.monotonic()),
            stats=stats,
        )

    async def draw(
        self,
        front: str,
        demand: int,
        number: int,
        packed: PackedDraw,
        guild_id: int | None,
        user_id: int,
    ) -> Reply:
        """Draw one picture; failures are returned, not raised.

        `number` is the front's own for this picture, by which it may `cancel`.
        """
        key = (front, number)
        loop = asyncio.get_running_loop()
        picture, error, pipeline_ms = None, None, 0.0
        scheduler: BatchScheduler | None = None
        try:
            scheduler = await self._ready()
            draw = packed.draw
            if packed.sources:
                draw = await loop.run_in_executor(self._packing, unpack_draw, packed)
            ticket = scheduler.submit([draw], guild_id=guild_id, user_id=user_id)
            self._tickets[key] = ticket
            if key in self._given_up:
                ticket.cancel()
            (drawn,) = await ticket.result()
            pipeline_ms = drawn.pipeline_ms
            picture = await loop.run_in_executor(self._packing, encode, drawn.pixels)
        except TurbocordError as failed:
            error = pack_error(failed)
        except Exception as failed:
            log.exception("Drawing failed outside the device thread")
            error = pack_error(failed)
        finally:
            self._tickets.pop(key, None)
            self._given_up.pop(key, None)
        if error is not None and scheduler is not None:
            _end_without_device(scheduler)
        credit = self._shares.hear(front, demand, time.monotonic())
        return Reply(credit, picture=picture, error=error, pipeline_ms=pipeline_ms)

    async def cancel(self, front: str, number: int) -> None:
        """Give up one picture, whether it is here or still on its way."""
        key = (front, number)
        if ticket := self._tickets.get(key):
            ticket.cancel()
            return
        self._given_up[key] = None
        if len(self._given_up) > REMEMBERED:
            # Most of them had been drawn already.
            self._given_up.pop(next(iter(self._given_up)))

    async def leave(self, front: str) -> None:
        """Hear that a front has ended: what it still waited for is given up."""
        for (owner, _), ticket in list(self._tickets.items()):
            if owner == front:
                ticket.cancel()
        for key in [key for key in self._given_up if key[0] == front]:
            del self._given_up[key]
        self._shares.leave(front)

    async def _ready(self) -> BatchScheduler:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="engine-start")
        # Shielded: a front that goes away while the model loads must not stop the others' loading.
        return await asyncio.shield(self._starting)

    async def _start(self) -> BatchScheduler:
        # Importing torch and looking for devices takes seconds, in which calls must be answered.
        scheduler = await asyncio.to_thread(
            self._build, max_pictures=ENDLESS, max_per_guild=ENDLESS, max_per_member=ENDLESS
        )
        await scheduler.start()
        if self._leave_cluster is not None:
            self._idle = asyncio.create_task(self._watch(scheduler), name="engine-idle")
        return scheduler

    async def _watch(self, scheduler: BatchScheduler) -> None:
        """End the engine when no front has been here for long."""
        assert self._leave_cluster is not None
        last_used = time.monotonic()
        while True:
            await asyncio.sleep(min(5.0, self._idle_seconds / 4))
            now = time.monotonic()
            if not self._shares.alone(now) or self._tickets:
                last_used = now
            if now - last_used > self._idle_seconds:
                log.info("No front for %g s; giving the device back", self._idle_seconds)
                try:
                    await scheduler.stop(0)
                finally:
                    # Whatever is left of the scheduler ends with the process.
                    self._leave_cluster()
                return


def _end_without_device(scheduler: BatchScheduler) -> None:
    """End the process if its device is lost, so that a new one is started.

    The fronts notice, and have what was here drawn elsewhere.
    """
    if scheduler.stats().state == "failed":
        log.error("The engine's device is lost; ending this process")
        os._exit(exit_codes.INTERNAL)
