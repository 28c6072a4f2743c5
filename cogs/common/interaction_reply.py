"""Answering one interaction: acknowledged within three seconds, delivered exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot.errors import Flagged
from bot.journal import Line, Posted
from bot.replies import (
    Outgoing,
    is_refusal,
    result_message,
    waiting_view,
    when,
)
from bot.request import ImageResult
from bot.words import say
from cogs.common.controls import cancel_button, control_rows
from cogs.common.delivery import (
    ALREADY_ACKNOWLEDGED,
    Rung,
    TooLarge,
    asked_pause,
    climb_down,
    describe,
    is_too_large,
    is_transient,
)
from cogs.common.posted import posted_of
from cogs.common.refusal import refusal_message
from cogs.common.rungs import TokenWays, channel_rungs, send_once
from cogs.common.shrink import within_limit

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.engine.ticket import Ticket

log = logging.getLogger(__name__)

DIRECT_WINDOW = 0.9
"""Seconds a picture that comes soon may take to be the first response; Discord allows three."""

REFUSAL_WINDOW = 0.15
"""Seconds an early refusal may take to be the first response, seen by its member alone."""

LATE = 1.0
"""An interaction this old when it reaches us is acknowledged at once."""

ACK_SECONDS = 2.7
"""How old an interaction may be when the last try to acknowledge it begins."""

ACK_TIMEOUT = 0.9
"""Seconds one try to acknowledge may take; several fit into Discord's three."""

ACK_PAUSE = 0.1

RESPONSE_TIMEOUT = 1.5
"""Seconds a direct answer may take before it is deferred instead."""

TELL_AFTER = 2.0
"""Seconds of waiting that are worth telling a member about."""

TELL_AGAIN = 10.0

TOLD_WITHIN = 2.5
"""Seconds that an answer waits for a note on the wait which is on its way to Discord."""

TOKEN_SECONDS = 14.5 * 60
"""An interaction token lives fifteen minutes; the last half is left for the upload."""


def line_of(interaction: discord.Interaction[Any]) -> Line:
    """Return the interaction's token, which answers for fifteen minutes, whoever holds it."""
    created = discord.utils.snowflake_time(interaction.id).timestamp()
    return Line(interaction.application_id, interaction.token, created + 15 * 60)


class InteractionReply:
    """The `Reply` of a slash command, button, modal or context menu.

    A picture that is ready within the window is the first response: one REST call. Otherwise the
    window's end defers, and the picture edits the deferred response: two calls. A lock keeps the
    two apart, because Discord refuses a second first response (40060).
    """

    def __init__(
        self, interaction: discord.Interaction[TurboBot], *, ephemeral: bool = False
    ) -> None:
        self.interaction = interaction
        self.ephemeral = ephemeral
        self.locale = str(interaction.locale)
        self.message_id: int | None = None
        self.job_id: str | None = None
        self._acknowledged = False
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledgement: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._telling = asyncio.Lock()
        self._may_be_told_late = False

    @property
    def line(self) -> Line:
        """By what another process can answer."""
        return line_of(self.interaction)

    # Acknowledging

    def open(self, *, soon: bool) -> None:
        """Acknowledge after the window that `soon` allows, unless an answer came first."""
        window = DIRECT_WINDOW if soon else REFUSAL_WINDOW
        if self._age() > LATE:
            window = 0.0
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(window, self._begin_to_acknowledge)

    def hasten(self) -> None:
        """Acknowledge now, unless an answer came first."""
        if self._timer is not None:
            self._timer.cancel()
            self._begin_to_acknowledge()

    async def acknowledged(self) -> None:
        """Return when no acknowledgement is on its way any more."""
        if self._acknowledgement is not None:
            await asyncio.wait({self._acknowledgement})

    def _age(self) -> float:
        """Return the interaction's age in seconds by its id; 0 when the clocks disagree."""
        created = discord.utils.snowflake_time(self.interaction.id).timestamp()
        age = time.time() - created
        return age if 0 <= age < TOKEN_SECONDS else 0.0

    def _begin_to_acknowledge(self) -> None:
        self._timer = None
        self._acknowledgement = asyncio.create_task(self._acknowledge_unless_answered())

    async def _acknowledge_unless_answered(self) -> None:
        async with self._lock:
            if not self._is_acknowledged:
                await self._acknowledge(self.ephemeral)

    @property
    def _is_acknowledged(self) -> bool:
        return self._acknowledged or self.interaction.response.is_done()

    async def _acknowledge(self, ephemeral: bool) -> None:
        """Defer, trying as often as Discord's three seconds allow; what fails is only logged.

        The picture is drawn all the same: the ladder's lower rungs need no acknowledgement.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + max(ACK_TIMEOUT, ACK_SECONDS - self._age())
        while True:
            try:
                # Its turn is waited for outside the timeout: in a rush, trying again what only
                # has to queue would make the queue longer.
                async with self.interaction.client.acknowledging, asyncio.timeout(ACK_TIMEOUT):
                    answer = await self.interaction.response.defer(
                        ephemeral=ephemeral, thinking=True
                    )
            except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
                if isinstance(error, discord.HTTPException) and error.code == ALREADY_ACKNOWLEDGED:
                    # An earlier try was cut off after Discord had taken it.
                    self._acknowledged = True
                    return
                log.warning("acknowledging failed: %s", describe(error))
                pause = asked_pause(error) or ACK_PAUSE
                if not is_transient(error) or clock() + pause >= until:
                    return
                await asyncio.sleep(pause)
            else:
                if answer is not None:
                    self.message_id = answer.message_id
                self._watch()
                return

    def _watch(self) -> None:
        """Once both are known, tie the waiting message to the job it waits for."""
        if self.message_id is not None and self.job_id is not None:
            self.interaction.client.watch_reply(self.message_id, self.job_id)

    async def _settle(self) -> None:
        """Stop a pending acknowledgement, or wait for one that is on its way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task = self._acknowledgement
        if task is not None:
            if not self._lock.locked():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._waiting is not None and not self._waiting.done():
            await self._stop_telling(self._waiting)

    async def _stop_telling(self, waiting: asyncio.Task[None]) -> None:
        """End the notes on the wait; one that is on its way is waited for, but not for ever.

        Cutting it off does not call it back: Discord may put it over whatever came meanwhile.
        """
        try:
            async with asyncio.timeout(TOLD_WITHIN), self._telling:
                waiting.cancel()
        except TimeoutError:
            log.warning("a note on the wait is still on its way, and may come over the answer")
            self._may_be_told_late = True
            waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Note the place in the queue, to tell the member about a wait worth telling."""
        self.job_id = job_id
        self._watch()
        self._waiting = asyncio.create_task(self._tell_wait(ticket, job_id))

    async def _tell_wait(self, ticket: Ticket, job_id: str) -> None:
        """Say the place in the queue, at most twice, with a button to leave it."""
        for pause in (TELL_AFTER, TELL_AGAIN):
            await asyncio.sleep(pause)
            # The acknowledgement may be late, and is what the words are put into.
            await self.acknowledged()
            if ticket.done or ticket.estimate_seconds < TELL_AFTER or self.message_id is None:
                return
            ahead = ticket.position
            text = say(
                self.locale,
                "wait.queued" if ahead else "wait.next",
                ahead=ahead,
                when=when(ticket.estimate_seconds, time.time()),
            )
            try:
                async with self._telling:
                    await self.interaction.edit_original_response(
                        view=waiting_view(text, cancel_button(job_id, locale=self.locale))
                    )
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                log.info("the wait could not be told: %s", describe(error))

    # Answering

    async def deliver(self, result: ImageResult) -> Posted:
        """Hand over the pictures by the first way that works. Raises DeliveryFailed."""

        async def send(result: ImageResult) -> discord.Message:
            return await self._send(self.message(result), result.request.job_id)

        return posted_of(await within_limit(result, send), result)

    def message(self, result: ImageResult) -> Outgoing:
        """Return the message that carries the result: its pictures with the lasting controls."""
        return result_message(
            result,
            locale=self.locale,
            rows=lambda: control_rows(
                result.request.job_id,
                [picture.seed for picture in result.pictures],
                locale=self.locale,
            ),
        )

    async def refuse(self, error: BaseException, job_id: str) -> None:
        """Say in one sentence why there is no picture, to the member alone where possible."""
        await self._settle()
        # Once everyone has seen "thinking", everyone may see what takes its place.
        public = self._is_acknowledged and not self.ephemeral
        message = refusal_message(error, locale=self.locale, job_id=job_id, public=public)
        alone = isinstance(error, Flagged) and self.interaction.guild_id is not None
        await self._send(message, job_id, quietly=is_refusal(error), alone=alone)

    def close(self) -> None:
        """Neither acknowledge nor tell of the wait any more."""
        for pending in (self._timer, self._waiting):
            if pending is not None:
                pending.cancel()
        self.interaction.client.forget_reply(self.message_id)

    async def _send(
        self, message: Outgoing, job_id: str, *, quietly: bool = False, alone: bool = False
    ) -> discord.Message:
        await self._settle()
        self.interaction.client.forget_reply(self.message_id)
        hidden = self.ephemeral or quietly
        if not self._is_acknowledged:
            answer = await self._respond(message, hidden)
            if answer is not None:
                return answer
        rungs = self._rungs(message, job_id, hidden)
        if alone and not self.ephemeral:
            rungs.insert(0, ("word in private", lambda: self._tell_alone(message)))
        return await climb_down(rungs)

    async def _tell_alone(self, message: Outgoing) -> discord.Message:
        """Take the "thinking" that everyone sees away, and tell its member alone.

        What somebody's picture looked like to the picture check is nobody else's business.
        """
        with contextlib.suppress(discord.NotFound):
            await self.interaction.delete_original_response()
        return await self.interaction.followup.send(view=message.view(), ephemeral=True, wait=True)

    def _rungs(self, message: Outgoing, job_id: str, hidden: bool) -> list[Rung[Any]]:
        """Return the ways left after the first response, best first."""
        nonce = f"{job_id}r" if message.files() else f"{self.interaction.id}e"
        interaction, client = self.interaction, self.interaction.client
        place = client.get_partial_messageable(interaction.channel_id or 0)
        ways = TokenWays(
            interaction.followup,
            message,
            edit=lambda: interaction.edit_original_response(
                view=message.view(), attachments=message.files()
            ),
            hidden=hidden,
            place=place,
        )
        rungs = ways.rungs()
        if self._may_be_told_late:
            rungs.insert(0, ("answer of its own", lambda: self._answer_anew(ways)))
        if not hidden and interaction.guild_id is not None:
            rungs += channel_rungs(place, message, nonce, waiting_id=self.message_id)
        rungs.append(("direct message", lambda: send_once(interaction.user, message, nonce)))
        return rungs

    async def _answer_anew(self, ways: TokenWays) -> discord.Message:
        """Take the original response away, so that a late note finds nothing; answer below it.

        In this order: the first follow-up would take the place of a response that is "thinking".
        """
        if self._may_be_told_late:
            with contextlib.suppress(discord.NotFound):
                await self.interaction.delete_original_response()
            self._may_be_told_late = False
        return await ways.follow_up()

    async def _respond(self, message: Outgoing, hidden: bool) -> discord.Message | None:
        """Answer with the first response; None, deferred, where that does not work in time."""
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT):
                answer = await self.interaction.response.send_message(
                    view=message.view(), files=message.files(), ephemeral=hidden
                )
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("first response did not work: %s", describe(error))
            # After a cut-off try Discord may hold the response already; this then finds out.
            await self._acknowledge(hidden)
            if is_too_large(error):
                raise TooLarge from error
            return None
        assert isinstance(answer.resource, discord.InteractionMessage)
        return answer.resource
