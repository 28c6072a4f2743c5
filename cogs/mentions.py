"""Mentions: `@turbocord make it snow` in reply to any picture, or by itself as /imagine."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import discord
from discord.ext import commands

from bot.errors import BadPicture
from bot.flags import parse_prompt
from bot.request import Asker, PictureSource, Wish
from cogs.common.delivery import describe
from cogs.common.message_reply import MessageReply
from cogs.common.pictures import pictures_in

if TYPE_CHECKING:
    from bot.client import TurboBot

log = logging.getLogger(__name__)

DEFAULT_FILE_LIMIT: Final = 10 * 1024 * 1024


class Mentions(commands.Cog):
    """Drawing by talking to the bot."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Answer a message whose text mentions the bot.

        The mention must be written out. Replying to one of the bot's own messages pings it too,
        and people talk about pictures without wanting another one.
        """
        assert self.bot.user is not None
        if message.author.bot or message.webhook_id is not None:
            return
        mention = re.compile(rf"<@!?{self.bot.user.id}>")
        if not mention.search(message.content):
            return
        if not await self.bot.takes(message.id):
            return
        text = mention.sub(" ", message.content).strip()

        async def wish() -> Wish:
            sources = await self._sources(message)
            return replace(parse_prompt(text), sources=tuple(sources[:1]))

        locale = str(message.guild.preferred_locale) if message.guild else "en-US"
        await self.bot.studio.draw(
            MessageReply(message, locale=locale), wish, asker_of_message(message), kind="mention"
        )

    async def _sources(self, message: discord.Message) -> list[PictureSource]:
        """Return the pictures a mention is about: its own, else those it replies to.

        Raises BadPicture when it replies to something without a picture that we may see.
        """
        own = pictures_in(message)
        if own or message.reference is None:
            return own
        if message.reference.type is not discord.MessageReferenceType.default:
            return own
        target = await self._referenced(message)
        pictures = pictures_in(target)
        if pictures:
            return pictures
        if self._may_be_hidden(target):
            raise BadPicture("picture_hidden")
        raise BadPicture("no_picture_there")

    async def _referenced(self, message: discord.Message) -> discord.Message:
        """Return the message replied to. Raises BadPicture when it is deleted or unreadable."""
        assert message.reference is not None
        resolved = message.reference.resolved
        if isinstance(resolved, discord.Message):
            return resolved
        if isinstance(resolved, discord.DeletedReferencedMessage):
            raise BadPicture("message_deleted")
        try:
            return await message.channel.fetch_message(message.reference.message_id or 0)
        except discord.HTTPException as error:
            log.info("a replied-to message is not readable: %s", describe(error))
            raise BadPicture("message_deleted") from error

    def _may_be_hidden(self, target: discord.Message) -> bool:
        """Return whether Discord may have emptied `target` for want of the content intent."""
        assert self.bot.user is not None
        return not self.bot.intents.message_content and target.author.id != self.bot.user.id


def asker_of_message(message: discord.Message) -> Asker:
    """Return who asks by `message`."""
    author = message.author
    member = author if isinstance(author, discord.Member) else None
    return Asker(
        user_id=author.id,
        guild_id=message.guild.id if message.guild else None,
        channel_id=message.channel.id,
        role_ids=frozenset(role.id for role in member.roles) if member else frozenset(),
        age_restricted=bool(getattr(message.channel, "nsfw", False)),
        manages_guild=bool(member and member.guild_permissions.manage_guild),
        max_bytes=message.guild.filesize_limit if message.guild else DEFAULT_FILE_LIMIT,
    )


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Mentions(bot))
