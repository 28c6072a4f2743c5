"""Finding the pictures of a message: attachments, galleries, embeds, forwarded snapshots."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import discord

from bot.errors import BadPicture
from bot.request import PictureSource

if TYPE_CHECKING:
    from bot.client import TurboBot

log = logging.getLogger(__name__)

PICTURE_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp"}


def pictures_in(message: discord.Message) -> list[PictureSource]:
    """Return every picture of a message, its own first, then a forward's, then its embeds'.

    Discord's content types are claims and may be missing, so a picture's file name counts too;
    the bytes decide later. A forward carries pictures only in its snapshots. An embed's picture
    is taken by Discord's proxy alone, never from the address its author wrote.
    """
    found: list[PictureSource] = []
    found.extend(_attached(message.attachments, message.channel.id, message.id))
    found.extend(_in_galleries(message.components, message.channel.id, message.id))
    for snapshot in message.message_snapshots:
        found.extend(_attached(snapshot.attachments, None, None))
        found.extend(_in_galleries(snapshot.components, None, None))
        found.extend(_embedded(snapshot.embeds))
    found.extend(_embedded(message.embeds))
    return found


def _attached(
    attachments: list[discord.Attachment], channel_id: int | None, message_id: int | None
) -> Iterator[PictureSource]:
    for attachment in attachments:
        claimed = attachment.content_type or ""
        suffix = PurePosixPath(attachment.filename).suffix.lower()
        if claimed.startswith("image/") or suffix in PICTURE_SUFFIXES:
            yield PictureSource(
                url=attachment.url,
                filename=attachment.filename,
                claimed_bytes=attachment.size,
                channel_id=channel_id,
                message_id=message_id,
                attachment_id=attachment.id,
            )


def _in_galleries(
    components: Sequence[Any], channel_id: int | None, message_id: int | None
) -> Iterator[PictureSource]:
    """Yield the pictures a Components V2 message shows, which `attachments` leaves out."""
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            for item in component.items:
                yield PictureSource(
                    url=item.media.url,
                    filename=PurePosixPath(urlsplit(item.media.url).path).name or "picture",
                    channel_id=channel_id,
                    message_id=message_id,
                    attachment_id=item.media.attachment_id,
                )
        elif isinstance(component, discord.Container):
            yield from _in_galleries(component.children, channel_id, message_id)


def _embedded(embeds: list[discord.Embed]) -> Iterator[PictureSource]:
    for embed in embeds:
        for media in (embed.image, embed.thumbnail):
            if media.proxy_url:
                yield PictureSource(url=media.proxy_url, filename="embed")
                break


async def refreshed(bot: TurboBot, source: PictureSource) -> PictureSource:
    """Return `source` with an address signed anew, by asking for its message again.

    Addresses expire after about a day, attachments stay. Raises BadPicture when the message or
    the picture on it is gone, or may not be read.
    """
    if source.channel_id is None or source.message_id is None:
        if source.url is None or "?" not in source.url:
            raise BadPicture("source_gone")
        return source
    channel = bot.get_partial_messageable(source.channel_id)
    try:
        message = await channel.fetch_message(source.message_id)
    except discord.HTTPException as error:
        log.info("source message is not readable: HTTP %d", error.status)
        raise BadPicture("source_gone") from error
    for one in pictures_in(message):
        if one.attachment_id == source.attachment_id:
            return replace(one, weight=source.weight)
    raise BadPicture("source_gone")
