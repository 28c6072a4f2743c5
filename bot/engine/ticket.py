"""What a submitter holds while its pictures are drawn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from bot.engine.backlog import Job
from bot.errors import Abandoned
from bot.request import Drawn


class TicketOffice(Protocol):
    """What a ticket asks of the scheduler that wrote it. Called on the event loop."""

    def noted(self, drawn: Drawn) -> None:
        """One of its pictures is finished."""

    def settled(self, ticket: Ticket, error: BaseException | None) -> None:
        """The outcome is known; after an error nobody waits for what is left of its jobs."""

    def ahead(self, job: Job) -> int | None:
        """Return how many waiting pictures go before `job`; None when it is not waiting."""

    def estimate(self, *, ahead: int, own: int) -> float:
        """Return the seconds until `own` pictures with `ahead` pictures before them are done."""


class Ticket:
    """One request's place in the engine: its pictures come out together, in the order asked for.

    Lives on the event loop; only `drawn` and `failed` may be called from other threads. Cancelling
    whoever awaits `result` cancels the ticket.
    """

    def __init__(self, office: TicketOffice, loop: asyncio.AbstractEventLoop) -> None:
        self.jobs: list[Job] = []
        self.future: asyncio.Future[list[Drawn]] = loop.create_future()
        self._office = office
        self._loop = loop
        self._pictures: dict[int, Drawn] = {}
        self.future.add_done_callback(self._settled)

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self.future.done()

    @property
    def position(self) -> int:
        """Pictures waiting ahead of ours; 0 once the first of ours is being drawn."""
        places = [self._office.ahead(job) for job in self.jobs]
        if self.done or None in places:
            return 0
        return min(place for place in places if place is not None)

    @property
    def estimate_seconds(self) -> float:
        """Seconds until the last of our pictures is done, as far as can be told now."""
        if self.done:
            return 0.0
        left = [job for job in self.jobs if job.index not in self._pictures]
        places = [place for job in left if (place := self._office.ahead(job)) is not None]
        if not places:
            return self._office.estimate(ahead=0, own=len(left))
        # The last one's place already counts those of ours that go before it.
        return self._office.estimate(ahead=max(places), own=1)

    async def result(self) -> list[Drawn]:
        """Return one Drawn per Draw, in order.

        Raises Abandoned after `cancel`, Refused for a draw that the model cannot do, and
        EngineError when the engine failed.
        """
        return await self.future

    def cancel(self) -> None:
        """Give up: waiting pictures leave the queue, running ones the batch at its next step."""
        self.settle(Abandoned())

    def settle(self, error: Exception) -> None:
        """Fail the whole request, unless its outcome is known already."""
        if not self.done:
            # At once, not when the future's callbacks run: the device may be between two calls.
            for job in self.jobs:
                job.abandoned = True
            self.future.set_exception(error)

    def drawn(self, job: Job, drawn: Drawn) -> None:
        """Take a finished picture, from any thread."""
        self._post(lambda: self._take(job, drawn))

    def failed(self, job: Job, error: Exception) -> None:
        """Take the reason why a picture could not be drawn, from any thread."""
        self._post(lambda: self.settle(error))

    def _take(self, job: Job, drawn: Drawn) -> None:
        self._pictures[job.index] = drawn
        self._office.noted(drawn)
        if len(self._pictures) == len(self.jobs) and not self.done:
            self.future.set_result([self._pictures[index] for index in range(len(self.jobs))])

    def _settled(self, future: asyncio.Future[list[Drawn]]) -> None:
        # Asking for the exception also keeps asyncio from reporting it as never retrieved.
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        self._office.settled(self, error)

    def _post(self, message: Callable[[], None]) -> None:
        # A loop that closed while a picture was drawn has nobody left to give it to.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(message)
