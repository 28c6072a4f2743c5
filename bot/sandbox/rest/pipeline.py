"""The way of every REST call: log, read, faults, token, rate limit, handler, answer."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.sandbox.body import Body, Upload, read_body
from bot.sandbox.errors import ApiError, bad_form, unauthorized
from bot.sandbox.faults import Fault
from bot.sandbox.models import Json
from bot.sandbox.ratelimits import Bucket, Verdict
from bot.sandbox.traffic import HIDDEN, Entry, redact

if TYPE_CHECKING:
    from bot.sandbox.core import Core

log = logging.getLogger(__name__)

PREFIX: Final = "/api/v10"
KEPT_RESPONSE: Final = 20_000
"""Answers longer than this many characters are left out of the traffic log."""


@dataclass
class Call:
    """One call of one endpoint, read and told apart."""

    core: Core
    route: str
    params: dict[str, str]
    query: dict[str, str]
    body: Body = field(default_factory=Body)
    is_bot: bool = False

    def id(self, name: str) -> int:
        """Return a path parameter as a snowflake. Raises ApiError 50035 where it is none."""
        value = self.params[name]
        if not value.isdecimal():
            error = {"code": "NUMBER_TYPE_COERCE", "message": f'Value "{value}" is not snowflake.'}
            raise bad_form({name: {"_errors": [error]}})
        return int(value)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return a query parameter as a number held between two."""
        value = self.query.get(name, "")
        return min(high, max(low, int(value))) if value.isdecimal() else default

    @property
    def payload(self) -> Json:
        """The JSON object sent. Raises ApiError 50035 where it is none."""
        if not isinstance(self.body.payload, dict):
            error = {"code": "MODEL_TYPE_CONVERT", "message": "Only dictionaries may be used here"}
            raise bad_form({"_errors": [error]})
        return self.body.payload

    @property
    def files(self) -> list[Upload]:
        """The files sent."""
        return self.body.files


@dataclass(frozen=True)
class Reply:
    """What a handler answers."""

    data: Any = None
    status: int = 200


NO_CONTENT: Final = Reply(status=204)

Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True)
class Endpoint:
    """One route: its method, its path in the contract's own words, and how it is guarded."""

    method: str
    path: str
    handler: Handler
    bucket: Bucket | None = None
    needs_token: bool = True
    major: str | None = None


class _Reset(Exception):
    """The connection is to be cut instead of answered."""


def register(app: web.Application, core: Core, endpoints: list[Endpoint]) -> None:
    """Add endpoints to an application, and an answer for what is none of them."""
    for endpoint in endpoints:
        app.router.add_route(endpoint.method, PREFIX + endpoint.path, _serve(core, endpoint))
    app.router.add_route(
        "*", "/api/{tail:.*}", _serve(core, Endpoint("*", "", _nowhere, needs_token=False))
    )


async def _nowhere(call: Call) -> Reply:
    raise ApiError(404, 0, "404: Not Found", rule=f"the sandbox has no route {call.route}")


def _serve(
    core: Core, endpoint: Endpoint
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        entry = _open(core, endpoint, request)
        response: web.StreamResponse
        try:
            response = await _answer(core, endpoint, request, entry)
        except _Reset:
            cut(request)
            response = web.Response(status=500)
        except ConnectionError:
            entry.rule = "the client went away before its body was read"
            response = web.Response(status=400)
        finally:
            entry.ms = round((loop.time() - began) * 1000, 3)
            core.traffic.add(entry)
        return response

    return serve


def _open(core: Core, endpoint: Endpoint, request: web.Request) -> Entry:
    entry = core.traffic.new("rest", "in", f"{request.method} {endpoint.path or request.path}")
    entry.method, entry.route = request.method, endpoint.path or request.path
    entry.path = request.path.removeprefix(PREFIX)
    for name in ("interaction_token", "webhook_token"):
        token = request.match_info.get(name)
        if token:
            entry.path = entry.path.replace(token, token[:6] + HIDDEN)
    entry.query = dict(request.query)
    return entry


async def _answer(
    core: Core, endpoint: Endpoint, request: web.Request, entry: Entry
) -> web.Response:
    call = Call(core, entry.route, dict(request.match_info), entry.query)
    headers: dict[str, str] = {}
    fault = core.faults.match("rest", request.method, endpoint.path, entry.path)
    try:
        if fault is not None and fault.moment == "during":
            await request.content.readany()
            spoiled = await _spoil(fault, entry)
            if spoiled is not None:
                return spoiled
        call.body = await read_body(request)
        entry.body, entry.parts = redact(call.body.payload), call.body.parts()
        if fault is not None and fault.moment == "before":
            spoiled = await _spoil(fault, entry)
            if spoiled is not None:
                return spoiled
        if core.rate_limits.banned:
            return _cloudflare_ban(entry)
        call.is_bot = request.headers.get("Authorization") == f"Bot {core.token}"
        if endpoint.needs_token and not call.is_bot:
            raise unauthorized()
        verdict = _limit(core, endpoint, call)
        if verdict is not None:
            headers = verdict.headers
            if verdict.refused_for_s is not None:
                core.rate_limits.note_invalid()
                entry.rule = f"429: {endpoint.method} {endpoint.path} came too often"
                return _json(429, verdict.body(), headers | {"Via": "1.1 sandbox"}, entry)
        reply = await _handle(endpoint, call)
    except ApiError as error:
        entry.rule = error.rule
        log.info("%s %s refused: %s", entry.method, entry.route, error.rule)
        if error.status in (401, 403):
            core.rate_limits.note_invalid()
        return _json(error.status, error.to_json(), headers, entry)
    if fault is not None and fault.moment == "after":
        spoiled = await _spoil(fault, entry)
        if spoiled is not None:
            return spoiled
    return _json(reply.status, reply.data, headers, entry)


async def _handle(endpoint: Endpoint, call: Call) -> Reply:
    """Run a handler; what it trips over in a body is the caller's fault, and worth a look."""
    try:
        return await endpoint.handler(call)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.exception("%s %s could not be read", endpoint.method, endpoint.path)
        raise bad_form(
            {"_errors": [{"code": "MODEL_TYPE_CONVERT", "message": f"Unreadable: {error!r}"}]}
        ) from error


def _limit(core: Core, endpoint: Endpoint, call: Call) -> Verdict | None:
    if endpoint.bucket is None:
        return None
    major = call.params.get(endpoint.major, "") if endpoint.major else ""
    return core.rate_limits.take(endpoint.bucket, major, count_globally=endpoint.needs_token)


def _json(status: int, data: Any, headers: dict[str, str], entry: Entry) -> web.Response:
    """Answer with JSON whose type is exactly application/json: discord.py compares the string."""
    entry.status = status
    if data is None:
        return web.Response(status=status, headers=headers)
    text = json.dumps(data, separators=(",", ":"))
    if len(text) <= KEPT_RESPONSE:
        entry.response = redact(data)
    return web.Response(
        status=status, body=text.encode(), headers=headers, content_type="application/json"
    )


async def _spoil(fault: Fault, entry: Entry) -> web.Response | None:
    """Do what a fault says; None means that the call goes on, late."""
    entry.fault = f"{fault.kind} (rule {fault.id})"
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.kind == "stall":
        await asyncio.sleep(fault.seconds)
        raise _Reset
    if fault.kind == "reset":
        raise _Reset
    if fault.kind == "rate_limit":
        verdict = Verdict(
            {"Retry-After": f"{fault.retry_after}"}, fault.retry_after, fault.is_global
        )
        scope = {"X-RateLimit-Scope": "global" if fault.is_global else "user"}
        via = {"Via": "1.1 sandbox"} if fault.via else {}
        return _json(429, verdict.body(), verdict.headers | scope | via, entry)
    known = {403: "Missing Access", 404: "Unknown Message", 500: "Internal Server Error"}
    message = fault.message or known.get(fault.status, f"{fault.status}: fault injected")
    return _json(fault.status, {"message": message, "code": fault.code}, {}, entry)


def _cloudflare_ban(entry: Entry) -> web.Response:
    entry.status, entry.rule = 429, "10,000 invalid requests in 10 minutes: the host is banned"
    return web.Response(status=429, text="error code: 1015", headers={"Retry-After": "600"})


def cut(request: web.Request) -> None:
    """End a connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
