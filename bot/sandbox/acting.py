"""What members do with messages: send, reply, forward, edit, delete, dismiss."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.sandbox import mentions, permissions, posting
from bot.sandbox.body import Upload
from bot.sandbox.clock import iso
from bot.sandbox.errors import ApiError, ControlError
from bot.sandbox.models import Channel, Json, Message, User

if TYPE_CHECKING:
    from bot.sandbox.core import Core


def enter(core: Core, user: User, channel: Channel, *needed: int) -> None:
    """Check that a member may do something in a channel. Raises ControlError in words."""
    bits = core.state.may(user.id, channel)
    if not bits & permissions.VIEW_CHANNEL:
        raise ControlError(f"{user.username} cannot see #{channel.name or channel.id}.", status=403)
    for bit in needed:
        if not bits & bit:
            right = permissions.NAMES[bit]
            raise ControlError(
                f"{user.username} lacks {right} in #{channel.name or channel.id}.", status=403
            )


def send(
    core: Core,
    user: User,
    channel: Channel,
    content: str,
    files: list[Upload],
    *,
    reply_to: Message | None = None,
    forward: Message | None = None,
    ping: bool = True,
) -> Message:
    """Send a message as a member; `@name` in the text becomes a mention, as a client makes it.

    Raises ControlError where the member may not, or where Discord would refuse the message.
    """
    needed = [permissions.SEND_MESSAGES] + ([permissions.ATTACH_FILES] if files else [])
    enter(core, user, channel, *needed)
    message = posting.blank(core, channel, user.id)
    replied_to = None
    if forward is not None:
        _forward(core, message, forward)
        if content or files:
            raise ControlError("A forwarded message carries no text or files of its own.")
        posting.publish(core, message)
        return message
    if reply_to is not None:
        message.kind, message.reference = 19, _reference(reply_to, 0)
        # Discord does not ping an application for replies to its answers of interactions.
        if ping and reply_to.webhook_id is None:
            replied_to = reply_to.author_id
    terms = posting.terms_for(core, channel, user.id, webhook=False)
    payload: Json = {
        "content": _with_mentions(core, content),
        "allowed_mentions": mentions.MESSAGE_DEFAULT,
    }
    try:
        posting.write(core, message, payload, files, terms, replied_to=replied_to)
    except ApiError as error:
        raise ControlError(f"Discord refuses this message: {error.rule}") from error
    posting.publish(core, message)
    return message


def _reference(target: Message, kind: int) -> Json:
    reference: Json = {
        "type": kind,
        "message_id": str(target.id),
        "channel_id": str(target.channel_id),
    }
    if target.guild_id is not None:
        reference["guild_id"] = str(target.guild_id)
    return reference


def _forward(core: Core, message: Message, source: Message) -> None:
    message.reference = _reference(source, 1)
    message.flags |= 1 << 14
    message.snapshots = [
        {
            "type": source.kind,
            "content": source.content,
            "embeds": source.embeds,
            "components": source.components,
            "timestamp": iso(source.created_at),
            "edited_timestamp": iso(source.edited_at) if source.edited_at else None,
            "flags": source.flags,
            "mentions": [],
            "mention_roles": [],
            "files": [one for one in source.attachments if not one.consumed],
        }
    ]


def _with_mentions(core: Core, content: str) -> str:
    by_name = {user.username: user.id for user in core.state.users.values()}

    def replaced(match: re.Match[str]) -> str:
        user_id = by_name.get(match.group(1).lower())
        return f"<@{user_id}>" if user_id is not None else match.group(0)

    return re.sub(r"(?<![\w<])@([\w.]+)", replaced, content)


def edit(core: Core, user: User, message: Message, content: str) -> None:
    """Change the text of one's own message. Raises ControlError."""
    if message.author_id != user.id:
        raise ControlError(f"{user.username} did not write that message.", status=403)
    channel = core.state.channels[message.channel_id]
    terms = posting.terms_for(core, channel, user.id, webhook=False)
    try:
        posting.write(core, message, {"content": _with_mentions(core, content)}, [], terms)
    except ApiError as error:
        raise ControlError(f"Discord refuses this message: {error.rule}") from error
    message.edited_at = core.clock.now()
    posting.announce_edit(core, message)


def delete(core: Core, user: User, message: Message) -> None:
    """Delete a message: one's own, or another's with the permission. Raises ControlError."""
    channel = core.state.channels[message.channel_id]
    if message.author_id != user.id:
        enter(core, user, channel, permissions.MANAGE_MESSAGES)
    posting.delete(core, message)


def dismiss(core: Core, user: User, message: Message) -> None:
    """Put away an ephemeral message; the bot is not told. Raises ControlError."""
    if message.ephemeral_for != user.id:
        raise ControlError("Only a message that only you see can be dismissed.")
    message.dismissed = True
    for attachment in message.attachments:
        core.cdn.drop(attachment.id)
    core.events.message_delete(message, only_for=user.id)
