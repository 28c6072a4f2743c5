"""Endpoints of channels and their messages, with the permissions each needs."""

from __future__ import annotations

from typing import Final

from bot.sandbox import permissions as may
from bot.sandbox import posting, wire
from bot.sandbox.errors import ApiError, bad_form, missing_access, missing_permissions, unknown
from bot.sandbox.models import DM, Channel, Json, Message
from bot.sandbox.ratelimits import Bucket
from bot.sandbox.rest.pipeline import NO_CONTENT, Call, Endpoint, Handler, Reply

CHANNEL: Final = "/channels/{channel_id}"
MESSAGES: Final = CHANNEL + "/messages"
NONCE_LIVES_S: Final = 300.0
"""How long `enforce_nonce` remembers; Discord says "the past few minutes"."""


def _channel(call: Call, *needed: int) -> Channel:
    """Return the channel of a call the bot may do these things in. Raises ApiError."""
    state = call.core.state
    channel = state.channel(call.id("channel_id"))
    bits = state.may(state.application_id, channel)
    if not bits & may.VIEW_CHANNEL:
        raise missing_access()
    for bit in needed:
        if not bits & bit:
            raise missing_permissions(may.NAMES[bit])
    return channel


def _message(call: Call, channel: Channel) -> Message:
    message = call.core.state.message(channel.id, call.id("message_id"))
    if message.ephemeral_for is not None:
        raise unknown("message")
    return message


def _written(call: Call, message: Message) -> Json:
    return wire.bot_message_json(call.core.state, call.core.cdn, message)


async def create_message(call: Call) -> Reply:
    """Send a message, or answer one."""
    core = call.core
    needed = [may.SEND_MESSAGES] + ([may.ATTACH_FILES] if call.files else [])
    channel = _channel(call, *needed)
    payload = call.payload
    if channel.kind == DM:
        other = next(one for one in channel.recipients if one != core.state.application_id)
        if not core.state.users[other].accepts_dms:
            raise ApiError(403, 50007, "Cannot send messages to this user")
    bot_id = core.state.application_id
    sent = _sent_before(call, channel, payload)
    if sent is not None:
        return Reply(_written(call, sent))
    message = posting.blank(core, channel, bot_id)
    message.nonce, message.tts = payload.get("nonce"), bool(payload.get("tts"))
    replied_to = _take_reference(call, channel, message, payload.get("message_reference"))
    if not core.state.may(bot_id, channel) & may.EMBED_LINKS:
        payload = {key: value for key, value in payload.items() if key != "embeds"}
    terms = posting.terms_for(core, channel, bot_id, webhook=False)
    posting.write(core, message, payload, call.files, terms, replied_to=replied_to)
    posting.publish(core, message)
    return Reply(_written(call, message))


def _sent_before(call: Call, channel: Channel, payload: Json) -> Message | None:
    """Return the bot's own recent message with the same nonce, where uniqueness is asked for."""
    nonce = payload.get("nonce")
    if nonce is None or not payload.get("enforce_nonce"):
        return None
    since = call.core.clock.now() - NONCE_LIVES_S
    for message in reversed(call.core.state.messages[channel.id].values()):
        if message.created_at < since:
            return None
        if message.author_id == call.core.state.application_id and message.nonce == nonce:
            return message
    return None


def _take_reference(
    call: Call, channel: Channel, message: Message, reference: Json | None
) -> int | None:
    if not reference:
        return None
    state = call.core.state
    target = state.messages[int(reference.get("channel_id") or channel.id)].get(
        int(reference.get("message_id") or 0)
    )
    if target is None or target.ephemeral_for is not None:
        if reference.get("fail_if_not_exists", True):
            error = {"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}
            raise bad_form({"message_reference": {"_errors": [error]}})
        return None
    if not state.may(state.application_id, channel) & may.READ_MESSAGE_HISTORY:
        raise ApiError(403, 160002, "Cannot reply without permission to read message history")
    message.kind = 19
    message.reference = {
        "type": 0,
        "message_id": str(target.id),
        "channel_id": str(target.channel_id),
    }
    if target.guild_id is not None:
        message.reference["guild_id"] = str(target.guild_id)
    return target.author_id


async def list_messages(call: Call) -> Reply:
    """Read a channel's history, newest first; without the permission for it, nothing."""
    channel = _channel(call)
    state = call.core.state
    if not state.may(state.application_id, channel) & may.READ_MESSAGE_HISTORY:
        return Reply([])
    seen = [one for one in state.messages[channel.id].values() if not one.ephemeral_for]
    limit = call.number("limit", 50, 1, 100)
    before, after, around = (call.query.get(key, "") for key in ("before", "after", "around"))
    if before.isdecimal():
        seen = [one for one in seen if one.id < int(before)]
    if around.isdecimal():
        seen.sort(key=lambda one: abs(one.id - int(around)))
        seen = sorted(seen[:limit], key=lambda one: one.id)
    if after.isdecimal():
        seen = [one for one in seen if one.id > int(after)][:limit]
    return Reply([_written(call, one) for one in reversed(seen[-limit:])])


async def get_message(call: Call) -> Reply:
    """Read one message; the addresses of its files are signed afresh."""
    return Reply(_written(call, _message(call, _channel(call, may.READ_MESSAGE_HISTORY))))


async def edit_message(call: Call) -> Reply:
    """Change one of the bot's own messages."""
    core = call.core
    channel = _channel(call)
    message = _message(call, channel)
    if message.author_id != core.state.application_id:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")
    terms = posting.terms_for(core, channel, core.state.application_id, webhook=False)
    posting.write(core, message, call.payload, call.files, terms)
    message.edited_at = core.clock.now()
    posting.announce_edit(core, message)
    return Reply(_written(call, message))


async def delete_message(call: Call) -> Reply:
    """Delete a message: one's own, or any with permission to manage messages."""
    channel = _channel(call)
    message = _message(call, channel)
    state = call.core.state
    if message.author_id != state.application_id:
        if channel.guild_id is None:
            raise ApiError(403, 50003, "Cannot execute action on a DM channel")
        _channel(call, may.MANAGE_MESSAGES)
    posting.delete(call.core, message)
    return NO_CONTENT


async def typing(call: Call) -> Reply:
    """Show that the bot is typing."""
    channel = _channel(call, may.SEND_MESSAGES)
    call.core.events.typing(channel, call.core.state.application_id)
    return NO_CONTENT


async def get_channel(call: Call) -> Reply:
    """Read a channel."""
    state = call.core.state
    return Reply(wire.channel_json(state, _channel(call), viewer=state.application_id))


async def open_private(call: Call) -> Reply:
    """Open the private channel with a user."""
    state = call.core.state
    recipient = int(call.payload.get("recipient_id") or 0)
    if recipient not in state.users:
        raise unknown("user")
    if recipient == state.application_id:
        raise ApiError(400, 50007, "Cannot send messages to this user")
    channel = state.private_channel(state.application_id, recipient)
    return Reply(wire.channel_json(state, channel, viewer=state.application_id))


def _endpoint(
    method: str, path: str, handler: Handler, name: str, limit: int, per_s: float
) -> Endpoint:
    major = "channel_id" if path.startswith(CHANNEL) else None
    return Endpoint(method, path, handler, Bucket(name, limit, per_s), major=major)


ENDPOINTS: Final = [
    _endpoint("POST", MESSAGES, create_message, "create_message", 5, 5.0),
    _endpoint("GET", MESSAGES, list_messages, "list_messages", 5, 5.0),
    _endpoint("GET", MESSAGES + "/{message_id}", get_message, "get_message", 10, 5.0),
    _endpoint("PATCH", MESSAGES + "/{message_id}", edit_message, "edit_message", 5, 5.0),
    _endpoint("DELETE", MESSAGES + "/{message_id}", delete_message, "delete_message", 5, 1.0),
    _endpoint("POST", CHANNEL + "/typing", typing, "typing", 5, 5.0),
    _endpoint("GET", CHANNEL, get_channel, "get_channel", 50, 1.0),
    _endpoint("POST", "/users/@me/channels", open_private, "open_private", 10, 10.0),
]
