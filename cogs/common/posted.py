"""Reading back from a sent message where its pictures live."""

from __future__ import annotations

import discord

from bot.journal import Posted
from bot.request import ImageResult
from bot.store import PostedPicture
from cogs.common.pictures import pictures_in


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
