"""Each gateway event is acted on once, though it may reach us several times.

Two processes that hold the same shard both hear a command, as during a restart with overlap; a
resumed connection may repeat what arrived just before the old one broke. Whoever writes the event's
id into the store first acts on it.

The policy while the store is away, or says nothing for `patience_seconds`: act. Every process then
still leaves out what it has seen itself, and Discord takes only one first response to an
interaction; what another process with the same shard does in that time is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from bot.errors import StoreError
from bot.store import Store

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 1.0
"""How long the store may take to decide; Discord's three seconds to answer are running."""

HEAD_START_SECONDS: Final = 0.25
"""How long a process with little reason to act leaves an event to the others."""

REMEMBERED: Final = 10_000


class Arrivals:
    """Decides whether an interaction or a message is this process's to act on.

    `repeated` counts events that were left out, `undecided` those acted on without the store's
    word.
    """

    def __init__(self, store: Store, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.store = store
        self.repeated = 0
        self.undecided = 0
        self.patience_seconds = patience_seconds
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._is_silent = False

    async def take(self, event_id: int, *, eager: bool = True) -> bool:
        """Return whether to act on the event with this snowflake; True only once.

        One that is not `eager` gives other processes a head start.
        """
        mine = self._remember(event_id) and await self._is_ours(event_id, eager)
        if not mine:
            self.repeated += 1
            log.info("event %x was taken before and is left out", event_id)
        return mine

    async def take_if_left(self, event_id: int) -> bool:
        """Return whether nobody has acted on the event although everyone had time; then it is ours.

        Unlike with `take`, it is nothing to count when somebody has.
        """
        await asyncio.sleep(HEAD_START_SECONDS)
        return self._remember(event_id) and await self._is_ours(event_id, eager=True)

    def _remember(self, event_id: int) -> bool:
        """Note an event; return whether this process sees it for the first time."""
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    async def _is_ours(self, event_id: int, eager: bool) -> bool:
        if not eager:
            await asyncio.sleep(HEAD_START_SECONDS)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[event_id] = future
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="arrivals")
        try:
            async with asyncio.timeout(self.patience_seconds):
                return await future
        except TimeoutError:
            self.undecided += 1
            if not self._is_silent:
                self._is_silent = True
                log.warning("the store is slow to tell whose events are: acting on all of them")
            return True

    async def _ask(self) -> None:
        """Ask for everything that waits, in one transaction, until nothing does.

        What arrives during a transaction shares the next, so that a storm costs few of them.
        """
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            ours: set[int] = set(batch)
            try:
                ours = await self.store.take_events(batch)
                self._is_silent = False
            except StoreError:
                self.undecided += sum(not one.done() for one in batch.values())
            except Exception:
                log.exception("whose events are cannot be told: acting on all of them")
            for event_id, future in batch.items():
                if not future.done():
                    future.set_result(event_id in ours)
        self._asking = None
