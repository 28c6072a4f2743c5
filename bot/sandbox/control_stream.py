"""The WebSocket on which a member's client follows what happens.

Each frame is a JSON object with a `type`:

    hello             world: what GET /sandbox/world says, first of all
    message_create, message_update    message
    message_delete    id, channel_id
    interaction       interaction: the record of one of the member's own, at each change
    modal             interaction, modal: a modal opened for the member
    typing            channel_id, user_id
    guild_update, channel_update, channel_delete, user_update, commands_update, settings_update
    traffic           entry, where the stream was opened with `traffic=1`
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from bot.sandbox import lookup
from bot.sandbox.errors import ControlError
from bot.sandbox.events import Subscriber
from bot.sandbox.view import world_view

if TYPE_CHECKING:
    from bot.sandbox.core import Core


async def stream(core: Core, request: web.Request) -> web.StreamResponse:
    """Run one stream until the listener closes it."""
    try:
        user = lookup.user(core.state, request.query.get("user"))
    except ControlError as error:
        return web.Response(status=error.status, text=str(error))
    socket = web.WebSocketResponse(heartbeat=30.0)
    await socket.prepare(request)
    with_traffic = request.query.get("traffic", "") in ("1", "true")
    subscriber = core.events.subscribe(user.id, with_traffic=with_traffic)
    subscriber.put({"type": "hello", "world": world_view(core, user.id)})
    sender = asyncio.create_task(_send(socket, subscriber), name="sandbox-events")
    try:
        async for _ in socket:
            continue
    finally:
        core.events.unsubscribe(subscriber)
        sender.cancel()
    return socket


async def _send(socket: web.WebSocketResponse, subscriber: Subscriber) -> None:
    while not socket.closed:
        event = await subscriber.queue.get()
        await socket.send_str(json.dumps(event, separators=(",", ":")))
