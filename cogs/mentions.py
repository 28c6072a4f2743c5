"""Mentions: `@turbocord make it snow` in reply to any picture, or by itself as /imagine."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import discord
from discord.ext import commands

from bot.errors import BadPicture, NotAllowed, SeveralPictures
from bot.flags import parse_prompt
from bot.request import Asker, PictureSource, Wish
from cogs.common.delivery import describe
from cogs.common.interaction_reply import InteractionReply
from cogs.common.message_reply import MessageReply
from cogs.common.options import asker_of, is_age_restricted, parent_of
from cogs.common.pictures import pictures_in
from cogs.common.which import WhichPicture

if TYPE_CHECKING:
    from bot.client import TurboBot

log = logging.getLogger(__name__)

DEFAULT_FILE_LIMIT: Final = 10 * 1024 * 1024


class Mentions(commands.Cog):
    """Drawing by talking to the bot."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    async def cog_load(self) -> None:
        """Take over the answers to every question ever asked."""
        WhichPicture.on_choice = self.chosen
        self.bot.add_dynamic_items(WhichPicture)

    async def cog_unload(self) -> None:
        """Let go of them."""
        self.bot.remove_dynamic_items(WhichPicture)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Answer a message whose text mentions the bot.

        The mention must be written out. Replying to one of the bot's own messages pings it too,
        and people talk about pictures without wanting another one.
        """
        assert self.bot.user is not None
        if message.author.bot or message.webhook_id is not None:
            return
        if not self._mention.search(message.content):
            return
        if not await self.bot.takes(message.id):
            return

        async def wish() -> Wish:
            return await self._wish(message)

        locale = str(message.guild.preferred_locale) if message.guild else "en-US"
        await self.bot.studio.draw(
            MessageReply(message, locale=locale), wish, asker_of_message(message), kind="mention"
        )

    async def chosen(
        self, interaction: discord.Interaction[TurboBot], mention_id: int, picture: int
    ) -> None:
        """Draw what a mention says from the picture its author chose, in place of the question."""
        assert interaction.channel_id is not None
        # By its guild it is known that the message can be asked for again.
        place = self.bot.get_partial_messageable(
            interaction.channel_id, guild_id=interaction.guild_id
        )
        try:
            message = await place.fetch_message(mention_id)
        except discord.HTTPException as error:
            log.info("a mention is not readable: %s", describe(error))
            raise BadPicture("message_deleted") from error
        if message.author.id != interaction.user.id:
            raise NotAllowed("only_author_chooses")

        async def wish() -> Wish:
            return await self._wish(message, picture)

        outcome = await self.bot.studio.draw(
            InteractionReply(interaction), wish, asker_of(interaction), kind="mention"
        )
        if outcome.result is not None and interaction.message is not None:
            try:
                await interaction.message.delete()
            except discord.HTTPException as error:
                log.info("an answered question stays: %s", describe(error))

    @property
    def _mention(self) -> re.Pattern[str]:
        """How the bot is mentioned in text."""
        assert self.bot.user is not None
        return re.compile(rf"<@!?{self.bot.user.id}>")

    async def _wish(self, message: discord.Message, picture: int | None = None) -> Wish:
        """Return what a mention says; `picture` is the place of the one it means.

        Raises BadParameter for a flag, BadPicture for a picture; SeveralPictures where it was not
        said which.
        """
        wish = parse_prompt(self._mention.sub(" ", message.content).strip())
        sources = await self._sources(message)
        if picture is None and len(sources) > 1:
            raise SeveralPictures(tuple(source.filename for source in sources))
        if not sources:
            return wish
        return replace(wish, sources=(sources[min(picture or 0, len(sources) - 1)],))

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
        # In a direct message Discord empties nothing.
        if message.guild is not None and self._may_be_hidden(target):
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
        parent_channel_id=parent_of(message.channel),
        role_ids=frozenset(role.id for role in member.roles) if member else frozenset(),
        age_restricted=is_age_restricted(message.channel),
        manages_guild=bool(member and member.guild_permissions.manage_guild),
        max_bytes=message.guild.filesize_limit if message.guild else DEFAULT_FILE_LIMIT,
    )


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Mentions(bot))
