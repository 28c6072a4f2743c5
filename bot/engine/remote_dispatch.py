"""Which waiting picture goes to which engine, and what becomes of those that come back undrawn."""

from __future__ import annotations

import logging
from collections import Counter, deque
from functools import partial
from typing import Final

from bot.engine.backlog import Job
from bot.engine.fair_queue import FairQueue
from bot.engine.protocol import unet_rows
from bot.engine.remote_link import EngineLink

log = logging.getLogger(__name__)

TRIES: Final = 3
"""Engines a picture may fail on. The last has it alone: if it is at fault, nobody goes with it."""


class Dispatch:
    """Sends pictures to engines as far as their credit goes, the least loaded first.

    Pictures that an engine was lost with go before those in the queue.
    """

    def __init__(self, queue: FairQueue[Job]) -> None:
        self.queue = queue
        self.links: dict[str, EngineLink] = {}
        self._again: deque[Job] = deque()
        self._tries: Counter[Job] = Counter()
        self._avoided: dict[Job, EngineLink] = {}

    def __len__(self) -> int:
        return len(self.queue) + len(self._again)

    def ready_links(self) -> list[EngineLink]:
        """Return the links whose engines can draw."""
        return [link for link in self.links.values() if link.ready]

    def ahead(self, job: Job) -> int | None:
        """Return how many waiting pictures go before `job`; None when it is not waiting."""
        return self.queue.ahead(job) + len(self._again) if job in self.queue else None

    def run(self) -> None:
        """Send out whatever there is room for."""
        while self._again:
            job = self._again[0]
            if not job.abandoned:
                if (link := self._choose(job)) is None:
                    return
                link.send(job, self._rows(job, link))
            self._again.popleft()
        while (link := self._choose()) is not None:
            waiting = self.queue.pop(partial(self._fits, link))
            if waiting is None:
                return
            link.send(waiting, self._rows(waiting, link))

    def again(self, job: Job, link: EngineLink, error: Exception) -> None:
        """Draw a picture once more, elsewhere if possible; after its last try fail with `error`."""
        if job.abandoned:
            return
        self._tries[job] += 1
        if self._tries[job] >= TRIES:
            log.error("A picture failed on %d engines; giving it up: %s", TRIES, error)
            job.owner.failed(job, error)
            return
        self._avoided[job] = link
        self._again.append(job)
        self.run()

    def forget(self, job: Job) -> None:
        """Drop a picture whose outcome is known, out of the queue if it still waits."""
        self.queue.remove(job)
        self._tries.pop(job, None)
        self._avoided.pop(job, None)

    def _choose(self, again: Job | None = None) -> EngineLink | None:
        """Return the least loaded engine with room, not the one where `again` has just failed."""
        links = self.ready_links()
        if again is not None:
            avoided = self._avoided.get(again)
            links = [link for link in links if link is not avoided] or links
            links = [link for link in links if self._fits(link, again)]
        return min((each for each in links if each.has_room(1)), key=_load, default=None)

    def _fits(self, link: EngineLink, job: Job) -> bool:
        return link.has_room(self._rows(job, link))

    def _rows(self, job: Job, link: EngineLink) -> int:
        """Return the credit a picture takes: all of it, if it is its last try."""
        rows = unet_rows(job.draw)
        return max(rows, link.credit) if self._tries[job] == TRIES - 1 else rows


def _load(link: EngineLink) -> float:
    return link.load
