"""Finding the pictures of a message: attachments, galleries, embeds, forwarded snapshots."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    here = _Place(message.channel.id, message.id, keep=not _is_reachable(message))
    found: list[PictureSource] = []
    found.extend(_attached(message.attachments, here))
    found.extend(_in_galleries(message.components, here))
    for snapshot in message.message_snapshots:
        found.extend(_attached(snapshot.attachments, here))
        found.extend(_in_galleries(snapshot.components, here))
        found.extend(_embedded(snapshot.embeds, here))
    found.extend(_embedded(message.embeds, here))
    return found


def pictures_under(interaction: discord.Interaction[Any]) -> list[PictureSource]:
    """Return the pictures of the message whose control was used.

    In a conversation between members the bot can answer, but not read.
    """
    assert interaction.message is not None
    found = pictures_in(interaction.message)
    if interaction.context.private_channel:
        return [replace(one, keep=True) for one in found]
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """The message by which a picture can be asked for again, or, to be kept, cannot."""

    channel_id: int
    message_id: int
    keep: bool


def _is_reachable(message: discord.Message) -> bool:
    """Return whether the bot can ask for `message` again, because it is where that hangs.

    A menu shows it messages of places it is no member of, where somebody installed it for
    themselves; it knows no channels there. What only one member sees nobody can ask for.
    """
    if message.flags.ephemeral:
        return False
    if message.guild is None:
        return isinstance(message.channel, discord.DMChannel)
    channel = message.guild.get_channel_or_thread(message.channel.id)
    return channel is not None and _may_read(channel)


def _may_read(channel: discord.abc.GuildChannel | discord.Thread) -> bool:
    """Return whether the bot may ask for messages of `channel`; commands are answered anyway."""
    try:
        granted = channel.permissions_for(channel.guild.me)
    except discord.ClientException:
        # A thread tells by the channel it hangs on, and that is not known.
        return False
    return granted.view_channel and granted.read_message_history


def _attached(attachments: list[discord.Attachment], place: _Place) -> Iterator[PictureSource]:
    for attachment in attachments:
        claimed = attachment.content_type or ""
        suffix = PurePosixPath(attachment.filename).suffix.lower()
        if claimed.startswith("image/") or suffix in PICTURE_SUFFIXES:
            yield PictureSource(
                url=attachment.url,
                filename=attachment.filename,
                claimed_bytes=attachment.size,
                channel_id=place.channel_id,
                message_id=place.message_id,
                attachment_id=attachment.id,
                keep=place.keep,
                spoiler=attachment.is_spoiler(),
            )


def _in_galleries(
    components: Sequence[Any], place: _Place, *, hidden: bool = False
) -> Iterator[PictureSource]:
    """Yield the pictures a Components V2 message shows, which `attachments` leaves out.

    `hidden` says that they are in a container which is behind a spoiler as a whole.
    """
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            for item in component.items:
                yield PictureSource(
                    url=item.media.url,
                    filename=PurePosixPath(urlsplit(item.media.url).path).name or "picture",
                    channel_id=place.channel_id,
                    message_id=place.message_id,
                    attachment_id=item.media.attachment_id,
                    keep=place.keep,
                    spoiler=hidden or item.spoiler,
                )
        elif isinstance(component, discord.Container):
            yield from _in_galleries(component.children, place, hidden=hidden or component.spoiler)


def _embedded(embeds: list[discord.Embed], place: _Place) -> Iterator[PictureSource]:
    for embed in embeds:
        for media in (embed.image, embed.thumbnail):
            if media.proxy_url:
                yield PictureSource(
                    url=media.proxy_url,
                    filename="embed",
                    channel_id=place.channel_id,
                    message_id=place.message_id,
                    keep=place.keep,
                )
                break


async def refreshed(bot: TurboBot, source: PictureSource) -> PictureSource:
    """Return `source` so that it can be fetched now: our copy, or its address signed anew.

    Addresses expire after about a day, attachments stay. A copy stays the only one, so that it is
    gone for everyone once the member whose request it was kept for deletes it. Raises BadPicture
    when the copy, the message or the picture on it is gone, or may not be read; StoreError when the
    store is away.
    """
    if source.kept_as is not None:
        data = await bot.store.read_source(*source.kept_as)
        if data is None:
            raise BadPicture("source_forgotten")
        return replace(source, url=None, data=data, keep=False)
    if source.channel_id is None or source.message_id is None:
        raise BadPicture("source_gone")
    channel = bot.get_partial_messageable(source.channel_id)
    try:
        message = await channel.fetch_message(source.message_id)
    except discord.Forbidden as error:
        raise BadPicture("source_unreadable") from error
    except discord.HTTPException as error:
        log.info("source message is not readable: HTTP %d", error.status)
        raise BadPicture("source_gone") from error
    found = pictures_in(message)
    if not found and not bot.intents.message_content and message.author != bot.user:
        raise BadPicture("picture_hidden")
    for one in found:
        if _is_same(one, source):
            # It was there for the asking just now, so that no copy is needed.
            return replace(
                one, weight=source.weight, spoiler=one.spoiler or source.spoiler, keep=False
            )
    raise BadPicture("source_gone")


def _is_same(one: PictureSource, other: PictureSource) -> bool:
    """Return whether two sources are one picture; an embed's is known by its address alone."""
    if other.attachment_id is not None:
        return one.attachment_id == other.attachment_id
    return (one.url or "").partition("?")[0] == (other.url or "").partition("?")[0]
