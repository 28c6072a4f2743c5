"""Answering one interaction: acknowledged within three seconds, delivered exactly once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import discord

from bot.journal import Line, Posted
from bot.replies import (
    Outgoing,
    error_text,
    is_refusal,
    result_message,
    text_message,
    waiting_view,
    when,
)
from bot.request import ImageResult
from bot.words import say
from cogs.common.controls import cancel_button, control_rows
from cogs.common.delivery import (
    ALREADY_ACKNOWLEDGED,
    Rung,
    climb_down,
    describe,
    with_retries,
)
from cogs.common.posted import posted_of
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

TELL_AFTER = 2.0
"""Seconds of waiting that are worth telling a member about."""

TELL_AGAIN = 10.0

TOKEN_SECONDS = 14.5 * 60
"""An interaction token lives fifteen minutes; the last half is left for the upload."""


class InteractionReply:
    """The `bot.studio.Reply` of a slash command, button, modal or context menu.

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
        self._lock = asyncio.Lock()
        self._acknowledgement: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def line(self) -> Line:
        """The interaction's token, which answers for fifteen minutes, whatever process holds it."""
        created = discord.utils.snowflake_time(self.interaction.id).timestamp()
        return Line(self.interaction.application_id, self.interaction.token, created + 15 * 60)

    # Acknowledging

    def open(self, *, soon: bool) -> None:
        """Acknowledge after the window that `soon` allows, unless an answer came first."""
        window = DIRECT_WINDOW if soon else REFUSAL_WINDOW
        if self._age() > LATE:
            window = 0.0
        self._acknowledgement = asyncio.create_task(self._acknowledge_after(window))

    def _age(self) -> float:
        """Return the interaction's age in seconds by its id; 0 when the clocks disagree."""
        created = discord.utils.snowflake_time(self.interaction.id).timestamp()
        age = time.time() - created
        return age if 0 <= age < TOKEN_SECONDS else 0.0

    async def _acknowledge_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._lock:
            if self.interaction.response.is_done():
                return
            try:
                answer = await with_retries(
                    "acknowledging",
                    lambda: self.interaction.response.defer(
                        ephemeral=self.ephemeral, thinking=True
                    ),
                    tries=2,
                )
            except (discord.HTTPException, OSError, TimeoutError) as error:
                # The picture is drawn all the same: the ladder's lower rungs need no token.
                log.warning("acknowledging failed: %s", describe(error))
            else:
                if answer is not None:
                    self.message_id = answer.message_id
                self._watch()

    def _watch(self) -> None:
        """Once both are known, tie the waiting message to the job it waits for."""
        if self.message_id is not None and self.job_id is not None:
            self.interaction.client.watch_reply(self.message_id, self.job_id)

    async def _settle(self) -> None:
        """Stop a pending acknowledgement, or wait for one that is on its way."""
        task = self._acknowledgement
        if task is not None:
            if not self._lock.locked():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Note the place in the queue, to tell the member about a wait worth telling."""
        self.job_id = job_id
        self._watch()
        self._waiting = asyncio.create_task(self._tell_wait(ticket, job_id))

    async def _tell_wait(self, ticket: Ticket, job_id: str) -> None:
        """Say the place in the queue, at most twice, with a button to leave it."""
        for pause in (TELL_AFTER, TELL_AGAIN):
            await asyncio.sleep(pause)
            if ticket.done or ticket.estimate_seconds < TELL_AFTER or self.message_id is None:
                return
            text = say(
                self.locale,
                "wait.queued",
                ahead=ticket.position,
                when=when(ticket.estimate_seconds, time.time()),
            )
            try:
                await self.interaction.edit_original_response(
                    view=waiting_view(text, cancel_button(job_id, locale=self.locale))
                )
            except (discord.HTTPException, OSError) as error:
                log.info("the wait could not be told: %s", describe(error))

    # Answering

    async def deliver(self, result: ImageResult) -> Posted:
        """Hand over the pictures by the first way that works. Raises DeliveryFailed."""

        async def send(result: ImageResult) -> discord.Message:
            return await self._send(self.message(result))

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
        text = error_text(error, locale=self.locale, now=time.time(), job_id=job_id)
        await self._send(text_message(text), quietly=is_refusal(error))

    async def _send(self, message: Outgoing, *, quietly: bool = False) -> discord.Message:
        await self._settle()
        interaction = self.interaction
        interaction.client.forget_reply(self.message_id)
        rungs: list[Rung[Any]] = []
        if not interaction.response.is_done():
            rungs.append(("first response", lambda: self._respond(message, quietly)))
        rungs.append(("original response", lambda: self._edit(message)))
        rungs.append(("follow-up", lambda: self._follow_up(message, quietly)))
        if not (self.ephemeral or quietly) and interaction.guild_id is not None:
            rungs.append(("channel message", lambda: self._post(message)))
        rungs.append(("direct message", lambda: self._direct(message)))
        return await climb_down(rungs)

    async def _respond(self, message: Outgoing, quietly: bool) -> discord.Message:
        try:
            answer = await self.interaction.response.send_message(
                view=message.view(),
                files=message.files(),
                ephemeral=self.ephemeral or quietly,
            )
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                raise
            # A first try was reset after Discord had taken it: the edit below mends the rest.
            return await self._edit(message)
        assert isinstance(answer.resource, discord.InteractionMessage)
        return answer.resource

    async def _edit(self, message: Outgoing) -> discord.Message:
        return await self.interaction.edit_original_response(
            view=message.view(), attachments=message.files()
        )

    async def _follow_up(self, message: Outgoing, quietly: bool) -> discord.Message:
        return await self.interaction.followup.send(
            view=message.view(),
            files=message.files(),
            ephemeral=self.ephemeral or quietly,
            wait=True,
        )

    async def _post(self, message: Outgoing) -> discord.Message:
        channel = self.interaction.client.get_partial_messageable(self.interaction.channel_id or 0)
        return await channel.send(view=message.view(), files=message.files())

    async def _direct(self, message: Outgoing) -> discord.Message:
        return await self.interaction.user.send(view=message.view(), files=message.files())
