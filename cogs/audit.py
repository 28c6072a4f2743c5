"""The audit channel: one line for every picture, where a guild asked for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.replies import quote
from bot.words import say
from cogs.common.delivery import describe
from cogs.common.posted import link_to

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.conversation import Outcome
    from bot.request import ImageRequest

log = logging.getLogger(__name__)


class Audit(commands.Cog):
    """Tells a guild's moderators who drew what."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot
        self._writing: set[asyncio.Task[None]] = set()

    async def cog_load(self) -> None:
        """Listen to how requests end."""
        self.bot.studio.observers.append(self.ended)

    async def cog_unload(self) -> None:
        """Stop listening."""
        self.bot.studio.observers.remove(self.ended)

    def ended(self, outcome: Outcome) -> None:
        """Write the line of a request that ended in pictures or was held back, in the background.

        What the picture check held back, moderators want to hear of too.
        """
        request = outcome.result.request if outcome.result else outcome.request
        if request is None or request.guild_id is None:
            return
        task = asyncio.create_task(self._write(outcome, request, request.guild_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, outcome: Outcome, request: ImageRequest, guild_id: int) -> None:
        rules = await self.bot.studio.rules_for(guild_id)
        if rules.audit_channel_id is None:
            return
        posted = outcome.posted
        where = (
            link_to(self.bot, guild_id, posted.channel_id, posted.message_id)
            if posted and not request.private
            else None
        )
        line = say(
            rules.locale or "en",
            "audit.line" if outcome.result else "audit.held_back",
            member=f"<@{request.user_id}>",
            kind=outcome.kind,
            prompt=quote(request.prompt),
            where=where or "–",
        )
        channel = self.bot.get_partial_messageable(rules.audit_channel_id)
        try:
            await channel.send(line, allowed_mentions=discord.AllowedMentions.none())
        except (discord.HTTPException, OSError) as error:
            log.warning("audit channel of guild %d: %s", guild_id, describe(error))


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Audit(bot))
