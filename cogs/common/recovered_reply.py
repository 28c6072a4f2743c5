"""Answering for a process that died: by the stored token, else in the channel, else by mail."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import discord

from bot.journal import Line, Posted
from bot.replies import Outgoing, result_message
from bot.request import ImageResult
from bot.studio import PASSING
from cogs.common.controls import control_rows
from cogs.common.delivery import Rung, climb_down
from cogs.common.posted import posted_of
from cogs.common.refusal import refusal_message
from cogs.common.rungs import ORIGINAL, TokenWays, channel_rungs, send_once
from cogs.common.shrink import within_limit

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.engine.ticket import Ticket
    from bot.store import Job

log = logging.getLogger(__name__)

UPLOAD_SECONDS: Final = 20.0
"""A token with less than this left to live is not started with."""


class RecoveredReply:
    """The `Reply` of a job that another process accepted.

    The member looks at "thinking…" since then, or at nothing where the process died before it
    could acknowledge. Editing the original response twice leaves one answer, and messages carry
    the job's own nonce, so that an answer which was given but not written down is not doubled.

    The original response to a press in a live panel is the panel itself, whose controls ended with
    its process: a picture takes its place, with the controls that last.
    """

    def __init__(self, bot: TurboBot, job: Job, *, locale: str) -> None:
        self.bot = bot
        self.job = job
        self.locale = locale
        self.hidden = bool(job.parameters.get("private", False))

    @property
    def line(self) -> Line:
        """The stored token."""
        job = self.job
        return Line(job.application_id, job.interaction_token, job.token_expires_at)

    @property
    def has_token(self) -> bool:
        """Whether the interaction's token lives long enough to answer by it."""
        ends = self.job.token_expires_at
        return (
            self.job.interaction_token is not None
            and self.job.application_id is not None
            and ends is not None
            and ends - time.time() > UPLOAD_SECONDS
        )

    @property
    def has_channel(self) -> bool:
        """Whether the bot may write where it was asked, for all there to see.

        Outside guilds it may where it was mentioned: nobody can mention it but to itself.
        """
        job = self.job
        is_ours = job.guild_id is not None or job.kind == "mention"
        return not self.hidden and is_ours and job.channel_id is not None

    def open(self, *, soon: bool) -> None:
        """Leave the acknowledgement: it was given, or its three seconds are long over."""

    def hasten(self) -> None:
        """Do nothing: there is nothing left to acknowledge."""

    async def acknowledged(self) -> None:
        """Wait for nothing: there is nothing left to acknowledge."""

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Say nothing about the wait."""

    async def deliver(self, result: ImageResult) -> Posted:
        """Hand over the pictures by the first way that works. Raises DeliveryFailed."""

        async def send(result: ImageResult) -> discord.Message:
            seeds = [picture.seed for picture in result.pictures]
            return await self._send(
                result_message(
                    result,
                    locale=self.locale,
                    rows=lambda: control_rows(self.job.job_id, seeds, locale=self.locale),
                ),
                f"{self.job.job_id}r",
            )

        return posted_of(await within_limit(result, send), result)

    async def refuse(self, error: BaseException, job_id: str) -> None:
        """Say in one sentence why there is no picture. Raises DeliveryFailed."""
        message = refusal_message(error, locale=self.locale, job_id=job_id)
        # A sentence must not take away the picture that a panel shows. Where a panel is still
        # "thinking", Discord puts the first follow-up in the place of that.
        beside = self.job.kind in PASSING
        await self._send(message, f"{self.job.job_id}e", beside=beside)

    def close(self) -> None:
        """Do nothing: nothing is under way."""

    async def _send(
        self, message: Outgoing, nonce: str, *, beside: bool = False
    ) -> discord.Message:
        job = self.job
        rungs: list[Rung[Any]] = []
        place = self.bot.get_partial_messageable(job.channel_id or 0)
        if self.has_token:
            webhook = discord.Webhook.partial(
                job.application_id or 0, job.interaction_token or "", client=self.bot
            )
            # Else discord.py takes it for one of a channel, which may say nothing in private.
            webhook.type = discord.WebhookType.application
            ways = TokenWays(
                webhook,
                message,
                edit=lambda: _edit(webhook, message),
                hidden=self.hidden,
                place=place,
            )
            rungs += ways.rungs()
            if beside:
                rungs.reverse()
        if self.has_channel:
            rungs += channel_rungs(place, message, nonce, waiting_id=None)
        rungs.append(("direct message", lambda: self._direct(message, nonce)))
        return await climb_down(rungs)

    async def _direct(self, message: Outgoing, nonce: str) -> discord.Message:
        channel = await self.bot.create_dm(discord.Object(self.job.user_id))
        return await send_once(channel, message, nonce)


async def _edit(webhook: discord.Webhook, message: Outgoing) -> discord.Message:
    edited: discord.Message = await webhook.edit_message(
        ORIGINAL,  # type: ignore[call-overload]  # Discord takes the word for an id here
        view=message.view(),
        attachments=message.files(),
    )
    return edited
