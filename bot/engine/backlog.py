"""What passes between the event loop and the device threads: jobs, and the queue they wait in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.engine.fair_queue import FairQueue
from bot.request import Draw, Drawn


class JobOwner(Protocol):
    """Where a job's outcome goes. Called from device threads; must only pass it on."""

    def drawn(self, job: Job, drawn: Drawn) -> None:
        """Take a finished picture."""

    def failed(self, job: Job, error: Exception) -> None:
        """Take the reason why there is none."""


@dataclass(slots=True, eq=False)
class Job:
    """One picture of one request. `submitted` and `taken` are monotonic seconds."""

    draw: Draw
    index: int
    owner: JobOwner
    submitted: float
    taken: float = 0.0
    abandoned: bool = field(default=False)
    """Set on the event loop once nobody waits for it; device threads look before each call."""


class Backlog:
    """A fair queue that device threads take from directly, so that no one waits for the loop."""

    def __init__(self, queue: FairQueue[Job]) -> None:
        self._queue = queue
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def push(
        self, jobs: Sequence[Job], *, guild: Hashable, member: Hashable, seconds_each: float
    ) -> None:
        """Queue all jobs of one request, or none. Raises QueueFull."""
        with self._changed:
            self._queue.push(jobs, guild=guild, member=member, seconds_each=seconds_each)
            self._changed.notify_all()

    def peek(
        self, among: Callable[[Job], bool] | None = None, *, timeout: float = 0.0
    ) -> Job | None:
        """Return the job whose turn it is, of those `among` allows; None when there is none.

        Waits up to `timeout` seconds for one to come, and not after the backlog is woken.
        """
        with self._changed:
            if timeout > 0 and not len(self._queue) and not self._closed:
                self._changed.wait(timeout)
            return self._queue.peek(among)

    def take(
        self,
        limit: int,
        fits: Callable[[Job], bool],
        *,
        among: Callable[[Job], bool] | None = None,
    ) -> list[Job]:
        """Take up to `limit` jobs in fair order, of those `among` allows, while the next one fits.

        Returns an empty list when there is none.
        """
        with self._changed:
            taken: list[Job] = []
            while len(taken) < limit and (job := self._queue.pop(fits, among=among)) is not None:
                job.taken = time.perf_counter()
                taken.append(job)
            return taken

    def remove(self, job: Job) -> bool:
        """Take a job out unserved; False when it is not waiting."""
        with self._changed:
            return self._queue.remove(job)

    def clear(self) -> list[Job]:
        """Take everything out unserved."""
        with self._changed:
            return self._queue.clear()

    def ahead(self, job: Job) -> int | None:
        """Return how many waiting pictures go before `job`; None when it is not waiting."""
        with self._changed:
            return self._queue.ahead(job) if job in self._queue else None

    def wake(self) -> None:
        """Wake every thread that waits for work, to look around."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Make nobody wait for work any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
