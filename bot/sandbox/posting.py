"""Making, changing and removing messages, whoever asks; and telling those who see them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox import mentions, permissions, uploads
from bot.sandbox.body import Upload
from bot.sandbox.components import check_components, complete, text_of
from bot.sandbox.embeds import check_embeds
from bot.sandbox.errors import ApiError
from bot.sandbox.form import Form
from bot.sandbox.models import COMPONENTS_V2, LOADING, Channel, Json, Message
from bot.sandbox.wire import member_json

if TYPE_CHECKING:
    from bot.sandbox.core import Core

SUPPRESS_EMBEDS: Final = 1 << 2
SUPPRESS_NOTIFICATIONS: Final = 1 << 12
SETTABLE: Final = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2


@dataclass(frozen=True)
class Terms:
    """What holds for one write: the most bytes a file may have, and what pings by default."""

    limit: int
    default_mentions: dict[str, Any]
    may_ping_everyone: bool = False


def terms_for(core: Core, channel: Channel, author_id: int, *, webhook: bool) -> Terms:
    """Return the terms of an author writing in a channel."""
    guild = core.state.guild_of(channel)
    bits = core.state.may(author_id, channel)
    return Terms(
        permissions.upload_limit(guild.premium_tier if guild else 0),
        mentions.INTERACTION_DEFAULT if webhook else mentions.MESSAGE_DEFAULT,
        bool(bits & permissions.MENTION_EVERYONE),
    )


def write(
    core: Core,
    message: Message,
    payload: Json,
    files: list[Upload],
    terms: Terms,
    *,
    replied_to: int | None = None,
) -> None:
    """Apply a body to a message, new or old, or leave it as it was.

    Raises ApiError: 40005 for a file too large, 50035 for a malformed body, 50006 when nothing
    would be left to show.
    """
    form = Form()
    fresh = copy.copy(message)
    fresh.components, fresh.embeds = copy.deepcopy(message.components), list(message.embeds)
    _take_flags(form, fresh, message, payload)
    v2 = bool(fresh.flags & COMPONENTS_V2)
    if "content" in payload:
        if payload["content"] is not None:
            form.length(("content",), payload["content"], 0, 2000)
        fresh.content = payload["content"] if isinstance(payload["content"], str) else ""
    if "embeds" in payload:
        embeds = [] if payload["embeds"] is None else payload["embeds"]
        check_embeds(form, embeds)
        fresh.embeds = copy.deepcopy(embeds)
    if "components" in payload:
        components = [] if payload["components"] is None else payload["components"]
        check_components(form, components, v2=v2)
        fresh.components = copy.deepcopy(components)
    elif v2 and not message.flags & COMPONENTS_V2:
        fresh.components = []
    if payload.get("nonce") is not None and len(str(payload["nonce"])) > 25:
        form.add(("nonce",), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    mentions.check_allowed(form, payload.get("allowed_mentions"))
    names = uploads.check_uploads(form, payload, files, message.attachments, terms.limit)
    if form.sound:
        uploads.check_media(form, fresh.components, names)
    if v2:
        _forbid_old_fields(form, fresh)
    form.check()
    if not (fresh.content or fresh.embeds or fresh.components or names):
        raise ApiError(400, 50006, "Cannot send an empty message")
    fresh.attachments = uploads.store(
        core.state,
        core.cdn,
        payload,
        files,
        message.attachments,
        channel_id=message.channel_id,
        ephemeral=message.ephemeral_for is not None,
    )
    uploads.resolve_media(core.state, fresh, fresh.attachments)
    complete(fresh.components)
    fresh.flags &= ~LOADING
    vars(message).update(vars(fresh))
    _ping(core, message, payload, terms, replied_to)


def _take_flags(form: Form, fresh: Message, message: Message, payload: Json) -> None:
    flags = payload.get("flags")
    if flags is None:
        return
    if not isinstance(flags, int) or isinstance(flags, bool) or flags < 0:
        form.add(("flags",), "NUMBER_TYPE_COERCE", f'Value "{flags}" is not int.')
        return
    if message.flags & COMPONENTS_V2 and not flags & COMPONENTS_V2:
        form.add(
            ("flags",),
            "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG",
            "The IS_COMPONENTS_V2 flag cannot be removed from a message",
        )
    fresh.flags = (message.flags & ~SETTABLE) | (flags & SETTABLE)


def _forbid_old_fields(form: Form, fresh: Message) -> None:
    for name in ("content", "embeds"):
        if getattr(fresh, name):
            form.add(
                (name,),
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )
    if not fresh.components:
        form.add(("components",), "BASE_TYPE_REQUIRED", "This field is required")


def _ping(
    core: Core, message: Message, payload: Json, terms: Terms, replied_to: int | None
) -> None:
    allowed = payload.get("allowed_mentions")
    found = mentions.resolve(
        core.state,
        core.state.guilds.get(message.guild_id or 0),
        f"{message.content}\n{text_of(message.components)}",
        terms.default_mentions if allowed is None else allowed,
        may_ping_everyone=terms.may_ping_everyone,
        replied_to=replied_to,
    )
    message.mentions, message.mention_roles = found.users, found.roles
    message.mention_everyone = found.everyone


def blank(core: Core, channel: Channel, author_id: int, *, kind: int = 0) -> Message:
    """Return a message with nothing in it, not yet stored."""
    return Message(
        core.state.ids.next(),
        channel.id,
        channel.guild_id,
        author_id,
        core.clock.now(),
        kind=kind,
    )


def publish(core: Core, message: Message) -> None:
    """Store a new message and tell those who see it; an ephemeral one is not told to the bot."""
    core.state.messages[message.channel_id][message.id] = message
    channel = core.state.channels[message.channel_id]
    channel.last_message_id = message.id
    if message.ephemeral_for is None and core.bot_hears(channel.id):
        core.gateway.dispatch_message("MESSAGE_CREATE", message, _author(core, message))
    core.events.message("message_create", message)


def announce_edit(core: Core, message: Message) -> None:
    """Stamp a changed message and tell those who see it."""
    if message.ephemeral_for is None and core.bot_hears(message.channel_id):
        core.gateway.dispatch_message("MESSAGE_UPDATE", message, _author(core, message))
    core.events.message("message_update", message)


def _author(core: Core, message: Message) -> Json:
    """Return what guild events add to a message: guild_id, and the author as a member."""
    if message.guild_id is None:
        return {"channel_type": core.state.channels[message.channel_id].kind}
    guild = core.state.guilds[message.guild_id]
    extra: Json = {"guild_id": str(message.guild_id), "channel_type": 0}
    member = guild.members.get(message.author_id)
    if member is not None and message.webhook_id is None:
        extra["member"] = member_json(core.state, member, with_user=False)
    return extra


def delete(core: Core, message: Message) -> None:
    """Remove a message with its files and tell those who saw it."""
    core.state.messages[message.channel_id].pop(message.id, None)
    for attachment in message.attachments:
        core.cdn.drop(attachment.id)
    if message.ephemeral_for is None and core.bot_hears(message.channel_id):
        data: Json = {"id": str(message.id), "channel_id": str(message.channel_id)}
        if message.guild_id is not None:
            data["guild_id"] = str(message.guild_id)
        core.gateway.dispatch(
            "MESSAGE_DELETE", data, guild_id=message.guild_id, private=message.guild_id is None
        )
    core.events.message_delete(message, only_for=message.ephemeral_for)
