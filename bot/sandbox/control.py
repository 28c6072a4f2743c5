"""The control API: any program acts as a member, arranges the world, and reads the wire.

Bodies are JSON, or a form with `payload_json` and files where a route takes files. `user`,
`channel` and `guild` are ids or names ("ada", "#art", "Turbo Town"); left out, they are the
first member, the first guild and its first channel. Messages come as Discord's JSON with `files`
(every attachment), `ephemeral_for`, `loading`, `pinged`, `interaction_id`. A refusal is a status
of 400 or above with `{"message": sentence}`.

    GET    /sandbox                           addresses, token, application id, time
    GET    /sandbox/world?user=               what one member's client shows: guilds, channels,
                                              members, private channels, commands
    GET    /sandbox/events?user=&traffic=1    WebSocket of what a member sees as it happens
    Acting as a member
    POST   /sandbox/messages                  user, channel, guild, content, reply_to, forward,
                                              ping; files in any field → the message
    GET    /sandbox/messages?channel=&guild=&user=&limit=&after=   → messages, oldest first
    GET    /sandbox/messages/{message}?user=  → the message, addresses signed afresh
    PATCH  /sandbox/messages/{message}        user, content → the message
    DELETE /sandbox/messages/{message}?user=  → 204
    POST   /sandbox/messages/{message}/dismiss   user → 204; ephemeral messages only
    POST   /sandbox/typing                    user, channel → 204
    POST   /sandbox/dms                       user, with → the private channel; `with` is a list
                                              of users, the bot where left out
    POST   /sandbox/interactions              one of the acts below, or a list of them (all sent at
                                              once); files by option or field → {"id"}, or a list of
                                              {"id"} and, for acts refused, {"message"}
             kind "command"       text, or name and options; user, channel, guild
             kind "autocomplete"  name, focused, options
             kind "context_menu"  name, and message or target_user
             kind "button"        message, custom_id (or its label)
             kind "select"        message, custom_id, values
             kind "modal"         interaction (which opened it), values by custom_id
    GET    /sandbox/interactions/{interaction}?wait=&until=   → its record; waits up to `wait`
             seconds until it is acknowledged ("ack"), answered ("answer", the default), or an
             answer holds files ("files")
    POST   /sandbox/interactions/{interaction}/close_modal    → 204
    Arranging the world
    POST   /sandbox/users                     name, locale, has_installed → user
    PATCH  /sandbox/users/{user}              locale, has_installed, accepts_dms → user
    POST   /sandbox/guilds                    name, owner, channels, members, bot → guild
    PATCH  /sandbox/guilds/{guild}            name, premium_tier, locale, bot → guild
    PATCH  /sandbox/guilds/{guild}/members/{user}   permissions, nick, present → guild
    POST   /sandbox/channels                  guild, name, nsfw, topic → channel
    PATCH  /sandbox/channels/{channel}        name, nsfw, topic → channel
    PUT    /sandbox/channels/{channel}/overwrites/{target}   allow, deny → channel
    DELETE /sandbox/channels/{channel}        → 204
    PATCH  /sandbox/settings                  privileged_intents, rate_limits → settings
    POST   /sandbox/clock                     advance (seconds) → {"now"}
    The wire
    GET    /sandbox/traffic?after=&kind=&broken=1&limit=   → entries (rest, gateway, cdn), the
                                              newest `limit` of them
    DELETE /sandbox/traffic                   → 204
    GET    /sandbox/faults                    → rules in force
    POST   /sandbox/faults                    target ("rest", "cdn"), kind, options → rule;
                                              see `bot.sandbox.faults.Fault` for the options
    POST   /sandbox/faults/gateway            kind: drop (code), reset, reconnect, invalidate
                                              (resumable), zombie (on), refuse_resume (times),
                                              malformed (event, data; or frame, a text)
                                              → {"connections"}
    POST   /sandbox/faults/expire             interaction → 204; its token works no longer
    DELETE /sandbox/faults[/{fault}]          → 204

The server answers only to its own addresses and origin, so that no web page can drive it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from bot.sandbox.body import read_body
from bot.sandbox.control_acts import ROUTES as ACTS
from bot.sandbox.control_call import ControlCall, ControlHandler
from bot.sandbox.control_faults import ROUTES as FAULTS
from bot.sandbox.control_stream import stream
from bot.sandbox.control_world import ROUTES as WORLD
from bot.sandbox.errors import ApiError, ControlError

if TYPE_CHECKING:
    from bot.sandbox.core import Core

LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def add_routes(app: web.Application, core: Core) -> None:
    """Add the control API to a server."""
    for method, path, handler in [*ACTS, *WORLD, *FAULTS]:
        app.router.add_route(method, path, _serve(core, handler))

    async def events(request: web.Request) -> web.StreamResponse:
        _local_only(core, request)
        return await stream(core, request)

    app.router.add_get("/sandbox/events", events)


def _serve(
    core: Core, handler: ControlHandler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            _local_only(core, request)
            body = await read_body(request)
            result = await handler(
                ControlCall(core, dict(request.match_info), dict(request.query), body)
            )
        except ControlError as error:
            return _json({"message": str(error)}, error.status)
        except ApiError as error:
            return _json({"message": error.message, "code": error.code}, error.status)
        except (ValueError, TypeError, KeyError) as error:
            return _json({"message": f"The request cannot be read: {error!r}"}, 400)
        return web.Response(status=204) if result is None else _json(result, 200)

    return serve


def _json(data: Any, status: int) -> web.Response:
    body = json.dumps(data, separators=(",", ":")).encode()
    return web.Response(status=status, body=body, content_type="application/json")


def _local_only(core: Core, request: web.Request) -> None:
    """Refuse what comes by another name or from another page. Raises HTTPForbidden."""
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in LOCAL or (origin is not None and urlsplit(origin).netloc != request.host):
        raise web.HTTPForbidden(text="The control API answers this machine's own pages only.")
