"""The audit channel: one line for every picture, where a guild asked for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import discord
from discord.ext import commands

from bot.replies import quote
from bot.words import DEFAULT_LOCALE, has, say
from cogs.common.delivery import describe
from cogs.common.posted import link_to

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.conversation import Outcome
    from bot.request import ImageRequest

log = logging.getLogger(__name__)

SHOWN_NEGATIVE: Final = 150


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
        line = self._line(outcome, request, guild_id, locale=rules.locale)
        channel = self.bot.get_partial_messageable(rules.audit_channel_id)
        try:
            await channel.send(line, allowed_mentions=discord.AllowedMentions.none())
        except (discord.HTTPException, OSError) as error:
            log.warning("audit channel of guild %d: %s", guild_id, describe(error))

    def _line(
        self, outcome: Outcome, request: ImageRequest, guild_id: int, *, locale: str | None
    ) -> str:
        """Return what moderators read of a request, in `locale` or the guild's own."""
        guild, posted = self.bot.get_guild(guild_id), outcome.posted
        locale = locale or (str(guild.preferred_locale) if guild else DEFAULT_LOCALE)
        parts = [
            f"<@{request.user_id}>",
            kind_text(outcome.kind, locale=locale),
            f"**{quote(request.prompt) or '–'}**",
        ]
        if request.negative_prompt:
            negative = quote(request.negative_prompt, SHOWN_NEGATIVE)
            parts.append(say(locale, "result.without", negative=negative))
        if outcome.result is None:
            parts.append(say(locale, "audit.held_back"))
            return " · ".join(parts)
        if outcome.result.held_back:
            parts.append(say(locale, "result.held_back", count=outcome.result.held_back))
        where = None
        if posted and not request.private:
            where = link_to(self.bot, guild_id, posted.channel_id, posted.message_id)
        parts.append(where or "–")
        return " · ".join(parts)


def kind_text(kind: str, *, locale: str) -> str:
    """Return a kind of request by what members type or press for it."""
    keys = (f"command.{kind}.name", f"button.{kind}", f"live.{kind}", f"audit.{kind}")
    return next((say(locale, key) for key in keys if has(key)), kind)


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Audit(bot))
