"""Answering a message that mentions the bot: an ordinary reply in the channel."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import discord

from bot.errors import SeveralPictures
from bot.journal import Line, Posted
from bot.replies import Outgoing, result_message
from bot.request import ImageResult
from cogs.common.controls import control_rows
from cogs.common.delivery import Rung, climb_down, describe
from cogs.common.posted import posted_of
from cogs.common.refusal import refusal_message
from cogs.common.rungs import send_once
from cogs.common.shrink import within_limit
from cogs.common.which import question

if TYPE_CHECKING:
    from bot.engine.ticket import Ticket

log = logging.getLogger(__name__)

TYPING_SECONDS = 8.0
"""Discord shows "is typing" for about ten seconds a call."""


class MessageReply:
    """The `Reply` of a mention. There is no token: every answer is a channel message."""

    def __init__(self, message: discord.Message, *, locale: str) -> None:
        self.message = message
        self.locale = locale
        self._typing: asyncio.Task[None] | None = None

    @property
    def line(self) -> Line:
        """Nothing but the channel, which the journal knows anyway."""
        return Line()

    def open(self, *, soon: bool) -> None:
        """Show that the bot is at work; nothing has to be acknowledged."""
        self._typing = asyncio.create_task(self._type())

    def hasten(self) -> None:
        """Do nothing more: nothing has to be acknowledged."""

    async def acknowledged(self) -> None:
        """Wait for nothing: nothing has to be acknowledged."""

    async def _type(self) -> None:
        while True:
            try:
                await self.message.channel.typing()
            except Exception as error:  # whatever it was, it is a sign and no more
                log.info("typing is not shown: %s", describe(error))
            await asyncio.sleep(TYPING_SECONDS)

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Leave it at the typing sign: a second message for a wait would be noise."""

    async def deliver(self, result: ImageResult) -> Posted:
        """Reply with the pictures. Raises DeliveryFailed."""

        async def send(result: ImageResult) -> discord.Message:
            return await self._send(
                result_message(
                    result,
                    locale=self.locale,
                    rows=lambda: control_rows(
                        result.request.job_id,
                        [picture.seed for picture in result.pictures],
                        locale=self.locale,
                    ),
                ),
                f"{result.request.job_id}r",
            )

        return posted_of(await within_limit(result, send), result)

    async def refuse(self, error: BaseException, job_id: str) -> None:
        """Reply with the sentence, or the question which picture. Raises DeliveryFailed."""
        if isinstance(error, SeveralPictures):
            message = question(error, self.message.id, locale=self.locale)
        else:
            message = refusal_message(error, locale=self.locale, job_id=job_id, public=True)
        await self._send(message, f"{self.message.id}e")

    def close(self) -> None:
        """Stop typing."""
        if self._typing is not None:
            self._typing.cancel()

    async def _send(self, message: Outgoing, nonce: str) -> discord.Message:
        self.close()
        channel, author = self.message.channel, self.message.author
        answering = self.message.to_reference(fail_if_not_exists=False)
        rungs: list[Rung[Any]] = [
            ("reply", lambda: send_once(channel, message, nonce, reference=answering)),
            ("channel message", lambda: send_once(channel, message, nonce)),
            ("direct message", lambda: send_once(author, message, nonce)),
        ]
        return await climb_down(rungs)
