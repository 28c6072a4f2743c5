"""After a crash: what a dead process accepted is drawn and answered by a living one, once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bot.conversation import Reply
from bot.errors import StoreError
from bot.recall import wish_of_job
from bot.request import Asker, Wish
from bot.store import Job
from bot.studio import Studio

log = logging.getLogger(__name__)

TOO_LATE_SECONDS: Final = 15 * 60
"""Beyond this nobody waits for an answer; an interaction's token ends then as well."""

ReplyFor = Callable[[Job], Reply | None]
"""How a job can still be answered; None where no way is left."""

AskerOf = Callable[[Job], Asker]
"""Who asked for a job, and what its channel is like now."""

Refresh = Callable[[Wish], Awaitable[Wish]]
"""Signs a wish's sources anew. Raises BadPicture where they are gone."""


class Recovery:
    """Looks for requests that no living process works on, and sees them through.

    It looks at start and again as often as claims lapse, because the process that died may have
    been another one. A job is claimed before it is touched, so that of several processes one
    answers; the picture has the seed it was accepted with.
    """

    def __init__(
        self,
        studio: Studio,
        *,
        reply_for: ReplyFor,
        asker_of: AskerOf,
        refresh: Refresh,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.studio = studio
        self._reply_for = reply_for
        self._asker_of = asker_of
        self._refresh = refresh
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for orphans until cancelled; a store that is away is asked again later."""
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                log.warning("unanswered requests cannot be looked for: %s", error)
            except Exception:
                log.exception("unanswered requests cannot be looked for")
            await asyncio.sleep(self.studio.journal.claim_seconds / 2)

    async def sweep(self) -> None:
        """Take every orphan there is and start answering it. Raises StoreError."""
        journal = self.studio.journal
        for job in await journal.orphans():
            if self.studio.is_draining:
                return
            if job.job_id in self._tasks or self.studio.is_working_on(job.job_id):
                continue
            if not await journal.take(job.job_id):
                continue
            task = asyncio.create_task(self._answer(job), name=f"resume-{job.job_id}")
            self._tasks[job.job_id] = task

    async def wait(self) -> None:
        """Return once every job taken so far is answered."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _answer(self, job: Job) -> None:
        try:
            await self._answer_or_give_up(job)
        finally:
            del self._tasks[job.job_id]

    async def _answer_or_give_up(self, job: Job) -> None:
        is_late = self._clock() - job.created_at > TOO_LATE_SECONDS
        reply = None if is_late else self._reply_for(job)
        if reply is None:
            await self.studio.give_up(job)
            return
        log.info("job=%s kind=%s taken over from a process that ended", job.job_id, job.kind)

        async def wish() -> Wish:
            return await self._refresh(wish_of_job(job, models=self.studio.models))

        await self.studio.resume(reply, wish, job, self._asker_of(job))
