"""Reading back from a sent message where its pictures live."""

from __future__ import annotations

import discord

from bot.request import ImageResult
from bot.store import PostedPicture
from bot.studio import Posted


def posted_of(message: discord.Message, result: ImageResult) -> Posted:
    """Return the ids under which Discord keeps the pictures of `result`, in their order."""
    pictures = tuple(
        PostedPicture(attachment_id=attachment.id, filename=picture.filename, seed=picture.seed)
        for attachment, picture in zip(message.attachments, result.pictures, strict=False)
    )
    return Posted(channel_id=message.channel.id, message_id=message.id, pictures=pictures)
