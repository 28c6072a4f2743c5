"""Reading back from a sent message where its pictures live, and leading there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

from bot.journal import Posted
from bot.request import ImageResult
from bot.store import PostedPicture
from cogs.common.pictures import pictures_in

if TYPE_CHECKING:
    from bot.client import TurboBot


def posted_of(message: discord.Message, result: ImageResult) -> Posted:
    """Return the ids under which Discord keeps the pictures of `result`, in their order."""
    pictures = tuple(
        PostedPicture(
            attachment_id=shown.attachment_id, filename=picture.filename, seed=picture.seed
        )
        for shown, picture in zip(pictures_in(message), result.pictures, strict=False)
        if shown.attachment_id is not None
    )
    return Posted(channel_id=message.channel.id, message_id=message.id, pictures=pictures)


def link_to(
    bot: TurboBot, guild_id: int | None, channel_id: int | None, message_id: int | None
) -> str | None:
    """Return the address of an answer to what was asked in a guild, or outside one.

    None where it does not hang there: what a guild's channel refused went to the member by mail.
    """
    guild = bot.get_guild(guild_id) if guild_id else None
    if guild is not None and guild.get_channel_or_thread(channel_id or 0) is None:
        return None
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"
