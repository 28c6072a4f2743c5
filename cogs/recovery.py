"""Taking over, once connected, what a process accepted that is no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from discord.ext import commands

from bot.recovery import Recovery
from bot.request import Asker, Wish
from cogs.common.options import is_age_restricted, parent_of
from cogs.common.pictures import refreshed
from cogs.common.recovered_reply import RecoveredReply

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.store import Job


class Recover(commands.Cog):
    """Keeps looking for unanswered requests while the bot is connected."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot
        self.recovery = Recovery(
            bot.studio, reply_for=self.reply_for, asker_of=self.asker_of, refresh=self.refreshed
        )
        self._looking: asyncio.Task[None] | None = None

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Begin to look; Discord may send READY again, which changes nothing."""
        if self._looking is None:
            self._looking = asyncio.create_task(self.recovery.run(), name="recovery")

    async def cog_unload(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()

    def reply_for(self, job: Job) -> RecoveredReply | None:
        """Return the way to answer `job`; None where no way to it is left.

        That is so once the token of a private one, or of one outside guilds, has ended.
        """
        guild = self.bot.get_guild(job.guild_id) if job.guild_id else None
        locale = str(guild.preferred_locale) if guild else "en-US"
        reply = RecoveredReply(self.bot, job, locale=locale)
        return reply if reply.has_token or reply.has_channel else None

    def asker_of(self, job: Job) -> Asker:
        """Return who asked for `job`, where; a channel that is not known is for everyone.

        A guild that is not known has the app for its user alone.
        """
        channel = self.bot.get_channel(job.channel_id) if job.channel_id else None
        return Asker(
            user_id=job.user_id,
            guild_id=job.guild_id,
            channel_id=job.channel_id,
            parent_channel_id=parent_of(channel),
            age_restricted=is_age_restricted(channel),
            by_guild=self.bot.get_guild(job.guild_id or 0) is not None,
        )

    async def refreshed(self, wish: Wish) -> Wish:
        """Return `wish` with its sources signed anew. Raises BadPicture where they are gone."""
        sources = [await refreshed(self.bot, source) for source in wish.sources]
        return replace(wish, sources=tuple(sources))


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Recover(bot))
