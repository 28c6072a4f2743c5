"""Endpoints that answer interactions: the callback, and the webhook its token opens."""

from __future__ import annotations

from typing import Final

from bot.sandbox import answering, wire
from bot.sandbox.errors import unknown
from bot.sandbox.models import Interaction, Json, Message
from bot.sandbox.ratelimits import Bucket
from bot.sandbox.rest.pipeline import NO_CONTENT, Call, Endpoint, Handler, Reply

WEBHOOK: Final = Bucket("webhook", 5, 2.0)


def _truthy(value: str | None) -> bool:
    return value is not None and value.lower() in ("1", "true")


def _written(call: Call, message: Message) -> Json:
    return wire.message_json(call.core.state, call.core.cdn, message)


async def callback(call: Call) -> Reply:
    """Acknowledge an interaction."""
    core = call.core
    interaction = core.state.interactions.get(call.id("interaction_id"))
    if interaction is None or interaction.token != call.params["interaction_token"]:
        raise unknown("interaction")
    payload = call.payload
    kind, data = payload.get("type"), payload.get("data") or {}
    message = answering.acknowledge(core, interaction, kind, data, call.files)
    if not _truthy(call.query.get("with_response")):
        return NO_CONTENT
    written = _written(call, message) if message is not None else None
    return Reply(answering.callback_resource(interaction, interaction.callback_type or 0, written))


def _interaction(call: Call) -> Interaction:
    if call.id("webhook_id") != call.core.state.application_id:
        raise unknown("webhook")
    return answering.by_token(call.core, call.params["webhook_token"])


async def follow_up(call: Call) -> Reply:
    """Send a follow-up."""
    message = answering.follow_up(call.core, _interaction(call), call.payload, call.files)
    return Reply(_written(call, message))


async def get_message(call: Call) -> Reply:
    """Read an answer."""
    name = call.params.get("message_id", "@original")
    return Reply(_written(call, answering.find(call.core, _interaction(call), name)))


async def edit_message(call: Call) -> Reply:
    """Change an answer."""
    interaction = _interaction(call)
    message = answering.find(call.core, interaction, call.params.get("message_id", "@original"))
    answering.edit(call.core, interaction, message, call.payload, call.files)
    return Reply(_written(call, message))


async def delete_message(call: Call) -> Reply:
    """Delete an answer."""
    interaction = _interaction(call)
    message = answering.find(call.core, interaction, call.params.get("message_id", "@original"))
    answering.remove(call.core, interaction, message)
    return NO_CONTENT


def _webhook(method: str, path: str, handler: Handler) -> Endpoint:
    return Endpoint(
        method,
        "/webhooks/{webhook_id}/{webhook_token}" + path,
        handler,
        WEBHOOK,
        needs_token=False,
        major="webhook_token",
    )


ENDPOINTS: Final = [
    Endpoint(
        "POST",
        "/interactions/{interaction_id}/{interaction_token}/callback",
        callback,
        needs_token=False,
    ),
    _webhook("POST", "", follow_up),
    _webhook("GET", "/messages/@original", get_message),
    _webhook("PATCH", "/messages/@original", edit_message),
    _webhook("DELETE", "/messages/@original", delete_message),
    _webhook("GET", "/messages/{message_id}", get_message),
    _webhook("PATCH", "/messages/{message_id}", edit_message),
    _webhook("DELETE", "/messages/{message_id}", delete_message),
]
