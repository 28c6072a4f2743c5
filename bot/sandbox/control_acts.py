"""Control routes by which a program acts as a member."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from bot.sandbox import acting, invoking, lookup, typed
from bot.sandbox.control_call import ControlCall, Routes
from bot.sandbox.errors import ControlError
from bot.sandbox.models import LOADING, Interaction, Json, Message, User
from bot.sandbox.view import channel_view, interaction_view, message_view

LONGEST_WAIT_S: Final = 600.0


async def send_message(call: ControlCall) -> Json:
    """Send a message."""
    data, state = call.data, call.core.state
    user = call.user()

    def named(key: str) -> Message | None:
        return lookup.message(state, data[key]) if data.get(key) else None

    message = acting.send(
        call.core,
        user,
        call.channel(),
        str(data.get("content") or ""),
        call.body.files,
        reply_to=named("reply_to"),
        forward=named("forward"),
        ping=bool(data.get("ping", True)),
    )
    return message_view(call.core, message, user.id)


async def list_messages(call: ControlCall) -> list[Json]:
    """Return what a member sees of a channel, oldest first."""
    user, channel = call.user(), call.channel()
    after, limit = int(call.query.get("after", 0)), int(call.query.get("limit", 50))
    messages = list(call.core.state.messages.get(channel.id, {}).values())
    seen = [m for m in messages if m.id > after and call.core.state.sees(user.id, m)]
    return [message_view(call.core, message, user.id) for message in seen[-limit:]]


def _seen(call: ControlCall, user: User) -> Message:
    message = lookup.message(call.core.state, call.params["message"])
    if not call.core.state.sees(user.id, message):
        raise ControlError(f"{user.username} cannot see that message.", status=403)
    return message


async def get_message(call: ControlCall) -> Json:
    """Return one message."""
    user = call.user()
    return message_view(call.core, _seen(call, user), user.id)


async def edit_message(call: ControlCall) -> Json:
    """Change one's own message."""
    user = call.user()
    message = _seen(call, user)
    acting.edit(call.core, user, message, str(call.data.get("content", "")))
    return message_view(call.core, message, user.id)


async def delete_message(call: ControlCall) -> None:
    """Delete a message."""
    user = call.user()
    acting.delete(call.core, user, _seen(call, user))


async def dismiss_message(call: ControlCall) -> None:
    """Put away an ephemeral message."""
    user = call.user()
    acting.dismiss(call.core, user, _seen(call, user))


async def typing(call: ControlCall) -> None:
    """Show that a member is typing."""
    user, channel = call.user(), call.channel()
    data: Json = {
        "channel_id": str(channel.id),
        "user_id": str(user.id),
        "timestamp": int(call.core.clock.now()),
    }
    if channel.guild_id is not None:
        data["guild_id"] = str(channel.guild_id)
    private = channel.guild_id is None
    call.core.gateway.dispatch("TYPING_START", data, guild_id=channel.guild_id, private=private)
    call.core.events.typing(channel, user.id)


async def open_dm(call: ControlCall) -> Json:
    """Open a private channel, with the bot unless others are named."""
    state, user = call.core.state, call.user()
    others = call.data.get("with") or [state.application_id]
    ids = [lookup.user(state, one).id for one in (others if isinstance(others, list) else [others])]
    channel = state.private_channel(user.id, *ids)
    return channel_view(call.core, channel, user.id)


def _act(call: ControlCall, data: Json) -> Interaction:
    """Carry out one act of the body of POST /sandbox/interactions."""
    core, state = call.core, call.core.state
    kind = data.get("kind", "command")
    user = call.user(data.get("user"))
    files = call.files_by_name()
    if kind in ("button", "select", "context_menu") and data.get("message"):
        message = lookup.message(state, data["message"])
        if not state.sees(user.id, message):
            raise ControlError(f"{user.username} cannot see that message.", status=403)
        act = invoking.Act(user, state.channels[message.channel_id], files)
        if kind == "context_menu":
            return invoking.context_menu(core, act, str(data.get("name")), message=message)
        custom_id = str(data.get("custom_id") or data.get("label"))
        if kind == "button":
            return invoking.press(core, act, message, custom_id)
        return invoking.select(core, act, message, custom_id, list(data.get("values") or []))
    if kind == "modal":
        opener = lookup.interaction(state, data.get("interaction"))
        act = invoking.Act(user, state.channel(opener.channel_id), files)
        return invoking.submit(core, act, opener, data.get("values") or {})
    channel = call.channel(data)
    act = invoking.Act(user, channel, files)
    if kind == "context_menu":
        target = lookup.user(state, data.get("target_user"))
        return invoking.context_menu(core, act, str(data.get("name")), user=target)
    if kind not in ("command", "autocomplete"):
        raise ControlError(
            f"There is no act {kind!r}: command, autocomplete, context_menu, button, select, modal."
        )
    if data.get("text"):
        read = typed.parse(core.registry, str(data["text"]), channel.guild_id)
        definition, path, options = read.command, read.path, read.options
    else:
        name = str(data.get("name") or "")
        definition, path = typed.find_command(core.registry, name, channel.guild_id)
        options = dict(data.get("options") or {})
    focused = data.get("focused") if kind == "autocomplete" else None
    if focused is not None:
        options.setdefault(str(focused), "")
    return invoking.command(core, act, definition, path, options, focused=focused)


async def interact(call: ControlCall) -> Any:
    """Carry out one act, or a list of them, of which each fails or goes by itself."""
    if isinstance(call.body.payload, list):
        return [_attempt(call, one) for one in call.body.payload]
    return {"id": str(_act(call, call.data).id)}


def _attempt(call: ControlCall, data: Json) -> Json:
    try:
        return {"id": str(_act(call, data).id)}
    except ControlError as error:
        return {"message": str(error)}


async def get_interaction(call: ControlCall) -> Json:
    """Return an interaction's record, once it is as far as asked for."""
    found = lookup.interaction(call.core.state, call.params["interaction"])
    until = call.query.get("until", "answer")
    wait = min(LONGEST_WAIT_S, float(call.query.get("wait", 0)))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait):
            while not reached(call, found, until):
                await found.changed.wait()
    return interaction_view(call.core, found) | {"reached": reached(call, found, until)}


def reached(call: ControlCall, interaction: Interaction, until: str) -> bool:
    """Say whether an interaction has come as far as "ack", "answer" or "files"."""
    if interaction.failed:
        return True
    if until == "ack":
        return interaction.acked_at is not None
    if until == "answer":
        return interaction.answered_at is not None
    if until != "files":
        raise ControlError(f"One waits until ack, answer or files, not {until!r}.")
    place = call.core.state.messages.get(interaction.channel_id, {})
    ids = [interaction.response_id or 0, *interaction.followup_ids]
    messages = [place[one] for one in ids if one in place]
    return any(one.attachments and not one.flags & LOADING for one in messages)


async def close_modal(call: ControlCall) -> None:
    """Dismiss a modal; the bot is not told."""
    lookup.interaction(call.core.state, call.params["interaction"]).modal_closed = True


ROUTES: Final[Routes] = [
    ("POST", "/sandbox/messages", send_message),
    ("GET", "/sandbox/messages", list_messages),
    ("GET", "/sandbox/messages/{message}", get_message),
    ("PATCH", "/sandbox/messages/{message}", edit_message),
    ("DELETE", "/sandbox/messages/{message}", delete_message),
    ("POST", "/sandbox/messages/{message}/dismiss", dismiss_message),
    ("POST", "/sandbox/typing", typing),
    ("POST", "/sandbox/dms", open_dm),
    ("POST", "/sandbox/interactions", interact),
    ("GET", "/sandbox/interactions/{interaction}", get_interaction),
    ("POST", "/sandbox/interactions/{interaction}/close_modal", close_modal),
]
