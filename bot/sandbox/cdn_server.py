"""Serving the CDN's addresses, faults included."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from bot.sandbox.cdn import describe
from bot.sandbox.faults import Fault
from bot.sandbox.rest.pipeline import cut
from bot.sandbox.traffic import Entry

if TYPE_CHECKING:
    from bot.sandbox.core import Core

GONE: Final = "This content is no longer available."
CHUNK: Final = 4096
FOLDERS: Final = ("attachments", "ephemeral-attachments")


def add_routes(app: web.Application, core: Core) -> None:
    """Add the addresses of attachments, and the media proxy's copies of them, to a server."""

    async def serve(request: web.Request) -> web.StreamResponse:
        entry = core.traffic.new("cdn", "in", f"GET {request.path}")
        entry.method, entry.path = "GET", request.path
        entry.route = f"/{request.path.removeprefix('/media').split('/')[1]}"
        began = asyncio.get_running_loop().time()
        try:
            return await _serve(core, request, entry)
        finally:
            entry.ms = round((asyncio.get_running_loop().time() - began) * 1000, 3)
            core.traffic.add(entry)

    for prefix in ("", "/media"):
        for folder in FOLDERS:
            path = f"{prefix}/{folder}/{{channel_id}}/{{attachment_id:\\d+}}/{{filename}}"
            app.router.add_get(path, serve)


async def _serve(core: Core, request: web.Request, entry: Entry) -> web.StreamResponse:
    path = request.path.removeprefix("/media")
    fault = core.faults.match("cdn", "GET", path, request.path)
    if fault is not None:
        entry.fault = f"{fault.kind} (rule {fault.id})"
    query = request.query
    refusal = core.cdn.refusal(path, query.get("ex", "0"), query.get("is", ""), query.get("hm", ""))
    data = core.cdn.get(int(request.match_info["attachment_id"]))
    if fault is not None and fault.kind == "expired":
        refusal = "the address has expired (fault)"
    if refusal is not None or data is None:
        entry.status, entry.rule = 404, refusal
        return web.Response(status=404, text=GONE)
    if fault is not None and fault.kind == "error":
        entry.status = fault.status
        return web.Response(status=fault.status, text=fault.message or "fault injected")
    filename = request.match_info["filename"]
    content_type = describe(filename, data)[0] or "application/octet-stream"
    entry.status = 200
    if fault is not None:
        return await _spoiled(request, fault, data, content_type)
    return web.Response(body=data, content_type=content_type)


async def _spoiled(
    request: web.Request, fault: Fault, data: bytes, content_type: str
) -> web.StreamResponse:
    """Send a file as a fault says: late, cut, slow, or under a false length or type."""
    if fault.kind in ("reset", "stall"):
        if fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
        cut(request)
        return web.Response(status=500)
    if fault.kind == "type":
        return web.Response(body=data, content_type=fault.content_type)
    claimed = len(data)
    if fault.kind == "truncate":
        data = data[: fault.length if fault.length is not None else len(data) // 2]
    elif fault.kind == "length":
        claimed = fault.length if fault.length is not None else len(data) * 2
        data = data[:claimed]
    head = (
        "HTTP/1.1 200 OK\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {claimed}\r\nConnection: close\r\n\r\n"
    )
    transport = request.transport
    if transport is None:
        return web.Response(status=500)
    # Written past aiohttp, which would not let a header and a body disagree.
    transport.write(head.encode())
    step = CHUNK if fault.kind != "slow" else max(1, fault.bytes_per_second // 10)
    for begin in range(0, len(data), step):
        if transport.is_closing():
            break
        transport.write(data[begin : begin + step])
        await asyncio.sleep(0.1 if fault.kind == "slow" else 0)
    transport.close()
    return web.Response(status=200)
