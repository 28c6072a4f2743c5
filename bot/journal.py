"""What is written down of each request, so that buttons last and a restart loses nothing.

The store may be away: drawing goes on without it, and the log says what was not kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.errors import StoreError
from bot.recall import parameters_of
from bot.request import Asker, ImageRequest, ImageResult
from bot.store import Job, JobState, PostedPicture, Store

log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 7 * 24 * 3600
CLAIM_SECONDS: Final = 15.0
ASKING_SECONDS: Final = 15 * 60
"""How long a request that may have been taken over can still be answered: as a token lives."""
FORGET_EVERY_SECONDS: Final = 3600.0
REMEMBERED_ENDS: Final = 10_000
"""Ends that the store would not take and that are told it again; beyond this the oldest go."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The message that carries a result; ids are Discord snowflakes."""

    channel_id: int
    message_id: int
    pictures: tuple[PostedPicture, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """By what an answer can be given later: the interaction's token and when it ends (Unix time).

    Both are None for a mention, which is answered in its channel.
    """

    application_id: int | None = None
    token: str | None = None
    expires_at: float | None = None


class Journal:
    """Writes requests down; a store that fails costs a log line, never a picture.

    What this process accepts it also claims, for `claim_seconds` at a time; while it lives the
    claims are renewed. Requests whose claim has lapsed belong to whoever takes them.
    """

    def __init__(self, store: Store, *, claim_seconds: float = CLAIM_SECONDS) -> None:
        self.store = store
        self.claim_seconds = claim_seconds
        self.owner = secrets.token_hex(8)
        self._renewed_at = time.monotonic()
        self._asks_until = self._renewed_at
        self._untold: dict[str, Callable[[], Awaitable[object]]] = {}

    async def accept(
        self, request: ImageRequest, asker: Asker, line: Line, *, kind: str, parent: str | None
    ) -> None:
        """Write down that the request was accepted, and how to answer it after a restart."""
        await self._try(
            "accept",
            self.store.accept_job(
                job_id=request.job_id,
                kind=kind,
                guild_id=asker.guild_id,
                channel_id=asker.channel_id,
                user_id=asker.user_id,
                application_id=line.application_id,
                interaction_token=line.token,
                token_expires_at=line.expires_at,
                parent_job_id=parent,
                parameters=parameters_of(request),
                owner=self.owner,
                ttl=self.claim_seconds,
            ),
        )

    async def keep_claims(self) -> None:
        """Renew this process's claims until cancelled."""
        pause = self.claim_seconds / 3
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            if await self._try("claims", self.store.renew_claims(self.owner, self.claim_seconds)):
                now = time.monotonic()
                if now - self._renewed_at >= self.claim_seconds:
                    # Others may have taken what lapsed: only what they left has been renewed.
                    self._asks_until = now + ASKING_SECONDS
                self._renewed_at = began
                await self._tell_ends()
                pause = self.claim_seconds / 3
            else:
                # A store that is busy for a moment must not cost us what we are working on.
                pause = self.claim_seconds / 15

    async def forget_old(self, after_seconds: float) -> None:
        """Forget, at once and every hour, what nobody touched for `after_seconds`."""
        while True:
            await self._try("forgetting", self.store.purge(time.time() - after_seconds))
            await asyncio.sleep(FORGET_EVERY_SECONDS)

    async def release(self) -> None:
        """Let go of what is not answered, so that the next process need not wait for it."""
        await self._tell_ends()
        await self._try("release", self.store.release_claims(self.owner))

    async def orphans(self) -> list[Job]:
        """Return unanswered requests that no living process works on. Raises StoreError.

        What was answered here while the store was away is told to it first, and is no orphan.
        """
        await self._tell_ends()
        found = await self.store.unfinished_jobs(orphaned=True)
        return [job for job in found if job.job_id not in self._untold]

    async def take(self, job_id: str) -> bool:
        """Claim an orphan; return whether it is ours now, and unanswered. Raises StoreError."""
        return await self.store.take_job(job_id, self.owner, self.claim_seconds)

    async def may_answer(self, job_id: str) -> bool:
        """Return whether no other process has taken `job_id` over.

        That can only be where our claims lapsed, because the store was away or this process was
        held up, now or within `ASKING_SECONDS`; otherwise nothing is asked.
        """
        now = time.monotonic()
        if now >= self._asks_until and now - self._renewed_at < self.claim_seconds:
            return True
        try:
            return await self.store.get_job(job_id) is None or await self.take(job_id)
        except StoreError as error:
            log.warning("whose job=%s is cannot be told: %s", job_id, error)
            return True

    async def done(self, job_id: str, posted: Posted) -> None:
        """Write down what was drawn and where it hangs."""
        await self._end(
            job_id,
            JobState.DONE,
            message_id=posted.message_id,
            channel_id=posted.channel_id,
            attachments=posted.pictures,
        )

    async def keep(self, result: ImageResult) -> None:
        """Keep pictures that could not be delivered until their member fetches them.

        That may be anywhere, so what the picture check flagged comes behind a spoiler.
        """
        for picture in result.pictures:
            hides = picture.spoiler or picture.flagged
            await self._try(
                "kept picture",
                self.store.keep_picture(
                    job_id=result.request.job_id,
                    filename=f"SPOILER_{picture.filename}" if hides else picture.filename,
                    data=picture.data,
                    expires_at=time.time() + KEEP_SECONDS,
                ),
            )

    async def keep_sources(self, job_id: str, copies: Mapping[int, bytes]) -> None:
        """Keep what a job was drawn from, by place, so that it can be drawn from again."""
        for position, data in copies.items():
            await self._try("source", self.store.keep_source(job_id, position, data))

    async def ended(self, job_id: str, state: JobState, *, code: str | None = None) -> None:
        """Write down that there is no picture, and why."""
        await self._end(job_id, state, error_code=code)

    async def _end(self, job_id: str, state: JobState, **values: Any) -> None:
        """Write down how a job ended, or remember it until the store works again.

        A job that was answered and does not say so would be taken for an orphan, and drawn twice.
        """

        def finish() -> Awaitable[object]:
            return self.store.finish_job(job_id, state, **values)

        if not await self._try(state, finish()):
            self._untold[job_id] = finish
            if len(self._untold) > REMEMBERED_ENDS:
                del self._untold[next(iter(self._untold))]

    async def _tell_ends(self) -> None:
        """Tell the store the ends it would not take, until it refuses one again."""
        for job_id, finish in list(self._untold.items()):
            if not await self._try("end", finish()):
                return
            self._untold.pop(job_id, None)

    async def _try(self, what: str, writing: Awaitable[object]) -> bool:
        """Return whether the store did it."""
        try:
            await writing
        except StoreError as error:
            log.warning("not kept (%s): %s", what, error)
            return False
        except Exception:
            # What keeps the claims must go on: others would draw what is being drawn here.
            log.exception("not kept (%s)", what)
            return False
        return True
