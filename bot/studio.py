"""One request from acceptance to answer: recorded, drawn, delivered, and never left hanging.

The studio sits between the cogs and the ImageService. It knows that a conversation exists, by the
`Reply` protocol, but not that it is Discord's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from bot.conversation import Outcome, Reply
from bot.door import Door
from bot.errors import (
    Abandoned,
    DeliveryFailed,
    EngineStopping,
    Flagged,
    Refused,
    StoreError,
    TurbocordError,
)
from bot.imaging.metadata import Metadata
from bot.journal import Journal, Posted
from bot.open_requests import OpenRequests
from bot.policy import Defaults, Quotas, check, choose_model, on_flagged, quotas, resolve
from bot.ratelimit import Remaining
from bot.request import (
    Asker,
    ImageRequest,
    ImageResult,
    ModelChoice,
    PictureSource,
    Style,
    Wish,
)
from bot.service import ImageService
from bot.sharing import shared_result
from bot.source_copies import SourceCopies
from bot.store import GuildSettings, Job, JobState

log = logging.getLogger(__name__)

SOON_SECONDS = 0.8
"""Below this expected wait a picture may be the interaction's first response."""

PASSING = frozenset({"live"})
"""Kinds whose answers have no lasting controls of their own, so that nothing is gone back to."""

ANSWER_SECONDS = 6.0
"""How long a draining studio waits for its last sentences to arrive."""

WishMaker = Callable[[], Awaitable[Wish]]

Accept = Callable[[], Awaitable[tuple[ImageRequest, Quotas]]]
"""Makes a request of a wish, writes it down, and tells the quotas it is counted by."""


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[ImageResult]
    user_id: int
    is_stopped: bool = False


class Studio:
    """Takes wishes from every door and sees each through to a picture or a sentence."""

    def __init__(
        self,
        *,
        service: ImageService,
        journal: Journal,
        defaults: Defaults,
        styles: Mapping[str, Style],
        models: Mapping[str, ModelChoice] | None = None,
    ) -> None:
        self.service = service
        self.journal = journal
        self.copies = SourceCopies(service, journal)
        self.defaults = defaults
        self.styles = styles
        self.models = models or {}
        self.observers: list[Callable[[Outcome], None]] = []
        self._running: dict[str, _Running] = {}
        self._accepted: set[str] = set()
        self.door = Door()
        self.taken_over = 0
        self.open_requests = OpenRequests()
        self.is_draining = False
        self._is_stopped = False

    @property
    def running(self) -> int:
        """Requests that came in and are not answered yet."""
        return self.open_requests.count

    def is_working_on(self, job_id: str) -> bool:
        """Return whether `job_id` is being drawn or delivered here."""
        return job_id in self._accepted

    async def drain(self, seconds: float) -> None:
        """Admit nothing more, finish what runs within `seconds`, answer the rest in words.

        To be called while Discord is still connected. Whoever asks from now on reads that the bot
        restarts.
        """
        self.is_draining = True
        if self.open_requests.count:
            log.info("finishing %d requests, at most %g s", self.open_requests.count, seconds)
        await self.wait_until_idle(seconds)
        self._is_stopped = True
        for running in self._running.values():
            running.is_stopped = True
            running.task.cancel()
        if not await self.wait_until_idle(ANSWER_SECONDS):
            log.error("stopping with %d requests unanswered", self.open_requests.count)

    async def wait_until_idle(self, seconds: float) -> bool:
        """Return whether every request was answered within `seconds`."""
        return await self.open_requests.all_answered(seconds)

    def abandon(self, job_id: str, *, user_id: int | None = None) -> bool:
        """Stop working for `job_id`, if `user_id` asked for it or is None; say whether it ran."""
        running = self._running.get(job_id)
        if running is None or user_id not in (None, running.user_id):
            return False
        running.task.cancel()
        return True

    async def rules_for(self, guild_id: int | None) -> GuildSettings:
        """Return a guild's choices; the operator's alone outside guilds or without the store."""
        if guild_id is None:
            return GuildSettings()
        try:
            return await self.journal.store.get_settings(guild_id)
        except StoreError as error:
            log.warning("guild settings are away, the operator's hold: %s", error)
            return GuildSettings()

    async def defaults_for(self, guild_id: int | None) -> Defaults:
        """Return the defaults and ceilings that hold in a guild, or outside one."""
        return self.defaults_under(await self.rules_for(guild_id))

    async def remaining_for(self, asker: Asker) -> Remaining:
        """Return what a member and their guild, by its own limits, have left now."""
        own = quotas(await self.rules_for(asker.guild_id), asker)
        return await self.service.limiter.remaining(
            guild_id=asker.counted_guild_id,
            user_id=asker.user_id,
            guild_quota=own.guild,
            member_quota=own.member,
        )

    async def read_metadata(self, source: PictureSource) -> Metadata | None:
        """Return what a picture tells of itself, or None. Raises BadPicture and QueueFull."""
        return await self.service.read_metadata(source)

    async def draw(
        self,
        reply: Reply,
        wish: Wish | WishMaker,
        asker: Asker,
        *,
        kind: str,
        parent: str | None = None,
    ) -> Outcome:
        """Answer `wish` through `reply`; every failure becomes a sentence and a log line.

        A wish that takes work to know (a lookup, a download) is given as a coroutine function,
        which runs once the acknowledgement is under way.
        """
        with contextlib.closing(reply), self.open_requests.counted(), self.door.visit(reply):
            # Whoever came in the same moment is counted before anyone is promised anything.
            await asyncio.sleep(0)
            soon = self._soon(wish)
            reply.open(soon=soon)
            if not soon:
                await self.door.enter(reply)

            async def accept() -> tuple[ImageRequest, Quotas]:
                if self.is_draining:
                    raise EngineStopping
                rules = await self.rules_for(asker.guild_id)
                made = wish if isinstance(wish, Wish) else await wish()
                check(made, asker, rules)
                request = self._resolve(made, asker, rules)
                await self.journal.accept(request, asker, reply.line, kind=kind, parent=parent)
                return request, quotas(rules, asker)

            return self._observed(await self._see_through(reply, accept, kind=kind))

    async def resume(self, reply: Reply, wish: WishMaker, job: Job, asker: Asker) -> Outcome:
        """Answer a job that a process accepted and did not live to finish, under its own id.

        It was allowed when it was accepted and stays so; only what a guild may ask, and what the
        channel of `asker` may be shown, holds anew.
        """

        self.taken_over += 1

        async def accept() -> tuple[ImageRequest, Quotas]:
            if self.is_draining:
                raise EngineStopping
            rules = await self.rules_for(job.guild_id)
            made = await wish()
            request = self._resolve(made, asker, rules)
            # The guild's own limits let it pass once, and which roles they have is not known now.
            return replace(request, job_id=job.job_id), Quotas()

        with self.open_requests.counted():
            outcome = await self._see_through(reply, accept, kind=job.kind, job_id=job.job_id)
            return self._observed(outcome)

    async def give_up(self, job: Job) -> None:
        """End a job that a process accepted and whose member can be answered no more."""
        log.warning("job=%s kind=%s outcome=failed code=interrupted", job.job_id, job.kind)
        await self.journal.ended(job.job_id, JobState.FAILED, code="interrupted")
        self._observed(Outcome(job.kind, job.job_id, JobState.FAILED, code="interrupted"))

    def defaults_under(self, rules: GuildSettings, wish: Wish | None = None) -> Defaults:
        """Return what holds under a guild's rules, for the model that `wish` or else they choose.

        Raises BadParameter when the wish names one that is not configured.
        """
        model = choose_model(wish.model if wish else None, rules, self.models)
        return self.defaults.within(rules, model)

    def ceilings_under(self, rules: GuildSettings) -> Defaults:
        """Return the operator's own defaults and ceilings for the model a guild draws with."""
        return self.defaults.of(choose_model(None, rules, self.models))

    def _resolve(self, wish: Wish, asker: Asker, rules: GuildSettings) -> ImageRequest:
        return resolve(wish, asker, self.defaults_under(rules, wish), self.styles)

    def _observed(self, outcome: Outcome) -> Outcome:
        for observer in self.observers:
            observer(outcome)
        return outcome

    async def share(self, reply: Reply, result: ImageResult, asker: Asker, *, kind: str) -> Outcome:
        """Post a finished result once more, for everyone, as a job of its own.

        The guild's rules and its channel may have changed since it was drawn, and hold anew.
        """
        job_id = "-"
        with contextlib.closing(reply), self.open_requests.counted(), self.door.visit(reply):
            reply.open(soon=True)
            try:
                rules = await self.rules_for(asker.guild_id)
                check(Wish(result.request.prompt, result.request.negative_prompt), asker, rules)
                shared = shared_result(result, asker, on_flagged(rules.nsfw_policy, asker))
                request, job_id = shared.request, shared.request.job_id
                self._accepted.add(job_id)
                await self.journal.accept(request, asker, reply.line, kind=kind, parent=None)
                await self.copies.keep_held(request)
                posted = await reply.deliver(shared)
                await self.journal.done(job_id, posted)
            except Refused as error:
                return await self._refuse(reply, error, JobState.REFUSED, kind, job_id)
            except Exception as error:
                if not isinstance(error, TurbocordError):
                    log.exception("job=%s kind=%s outcome=failed", job_id, kind)
                return await self._refuse(reply, error, JobState.FAILED, kind, job_id)
            finally:
                self._accepted.discard(job_id)
        return self._observed(Outcome(kind, job_id, JobState.DONE, result=shared, posted=posted))

    async def _see_through(
        self, reply: Reply, accept: Accept, *, kind: str, job_id: str = "-"
    ) -> Outcome:
        try:
            request, own = await accept()
            job_id = request.job_id
            self._accepted.add(job_id)
            result = await self._work(reply, request, own, kind=kind)
            if not await self.journal.may_answer(job_id):
                log.warning("job=%s kind=%s outcome=left to another process", job_id, kind)
                return Outcome(kind, job_id, JobState.ABANDONED)
            posted = await self._deliver(reply, result)
            await self.journal.done(job_id, posted)
            _log_done(kind, result)
            return Outcome(kind, job_id, JobState.DONE, result=result, posted=posted)
        except Flagged as error:
            log.info("job=%s kind=%s outcome=refused code=%s", job_id, kind, error.code)
            outcome = await self._refuse(reply, error, JobState.REFUSED, kind, job_id)
            return replace(outcome, request=request)
        except Abandoned:
            log.info("job=%s kind=%s outcome=abandoned", job_id, kind)
            await self.journal.ended(job_id, JobState.ABANDONED)
            return Outcome(kind, job_id, JobState.ABANDONED)
        except Refused as error:
            log.info("job=%s kind=%s outcome=refused code=%s", job_id, kind, error.code)
            return await self._refuse(reply, error, JobState.REFUSED, kind, job_id)
        except TurbocordError as error:
            log.error("job=%s kind=%s outcome=failed code=%s", job_id, kind, error.code)
            return await self._refuse(reply, error, JobState.FAILED, kind, job_id)
        except Exception as error:
            log.exception("job=%s kind=%s outcome=failed", job_id, kind)
            return await self._refuse(reply, error, JobState.FAILED, kind, job_id)
        finally:
            self._accepted.discard(job_id)

    async def _work(
        self, reply: Reply, request: ImageRequest, own: Quotas, *, kind: str
    ) -> ImageResult:
        """Run the request where `abandon` and `drain` can reach it.

        Raises Abandoned or EngineStopping when one of them did.
        """
        if self._is_stopped:
            raise EngineStopping
        task = asyncio.create_task(
            self.service.run(
                request,
                guild_quota=own.guild,
                member_quota=own.member,
                on_queued=lambda ticket: reply.queued(ticket, request.job_id),
                on_sources=None if kind in PASSING else self.copies.keep,
            ),
            name=f"job-{request.job_id}",
        )
        running = self._running[request.job_id] = _Running(task, request.user_id)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise (EngineStopping if running.is_stopped else Abandoned) from None
        finally:
            del self._running[request.job_id]

    async def _deliver(self, reply: Reply, result: ImageResult) -> Posted:
        """Hand over the pictures; keep them for the member where Discord would not take them."""
        try:
            return await reply.deliver(result)
        except DeliveryFailed:
            await self.journal.keep(result)
            raise
        except Exception as error:
            log.exception("job=%s could not be delivered", result.request.job_id)
            await self.journal.keep(result)
            raise DeliveryFailed from error

    async def _refuse(
        self, reply: Reply, error: Exception, state: JobState, kind: str, job_id: str
    ) -> Outcome:
        code = error.code if isinstance(error, TurbocordError) else type(error).__name__
        if job_id in self._accepted and not await self.journal.may_answer(job_id):
            log.warning("job=%s kind=%s outcome=left to another process", job_id, kind)
            return Outcome(kind, job_id, JobState.ABANDONED)
        try:
            await reply.refuse(error, job_id)
        except TurbocordError:
            log.error("job=%s the refusal itself could not be delivered", job_id)
        except Exception:
            log.exception("job=%s the refusal itself could not be delivered", job_id)
        # Not before: a process that is killed in between leaves a job that the next one answers.
        await self.journal.ended(job_id, state, code=code)
        return Outcome(kind, job_id, state, code=code)

    def _soon(self, wish: Wish | WishMaker) -> bool:
        """Return whether the picture may be ready before a direct answer would be late."""
        if self.door.wait_seconds >= SOON_SECONDS:
            return False
        images = (wish.count if isinstance(wish, Wish) else None) or self.defaults.count
        scheduler = self.service.scheduler
        return scheduler.estimate(ahead=scheduler.stats().waiting, own=images) < SOON_SECONDS


def _log_done(kind: str, result: ImageResult) -> None:
    """Write the request's one line: ids and stage times, never the prompt."""
    timings = result.timings
    log.info(
        "job=%s kind=%s outcome=done guild=%s user=%s images=%d intake_ms=%.0f queue_ms=%.0f "
        "pipeline_ms=%.0f encode_ms=%.0f total_ms=%.0f",
        result.request.job_id,
        kind,
        result.request.guild_id,
        result.request.user_id,
        len(result.pictures),
        timings.intake_ms,
        timings.queue_ms,
        timings.pipeline_ms,
        timings.encode_ms,
        timings.total_ms,
    )
