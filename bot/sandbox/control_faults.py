"""Control routes that order faults."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

from bot.sandbox import answering, lookup
from bot.sandbox.control_call import ControlCall, Routes
from bot.sandbox.errors import ControlError
from bot.sandbox.models import Json
from bot.sandbox.sessions import Connection

GATEWAY_KINDS: Final = (
    "drop",
    "reset",
    "reconnect",
    "invalidate",
    "zombie",
    "refuse_resume",
    "malformed",
)


async def list_faults(call: ControlCall) -> list[Json]:
    """Return the rules in force with their counts."""
    return [fault.to_json() for fault in call.core.faults]


async def add_fault(call: ControlCall) -> Json:
    """Put a rule in force."""
    options = dict(call.data)
    target, kind = str(options.pop("target", "rest")), str(options.pop("kind", ""))
    return call.core.faults.add(target, kind, **options).to_json()


async def clear_faults(call: ControlCall) -> None:
    """Take one rule or all out of force."""
    if "fault" in call.params:
        call.core.faults.remove(int(call.params["fault"]))
    else:
        call.core.faults.clear()


async def gateway_fault(call: ControlCall) -> Json:
    """Deal a blow to every gateway connection, or to one shard's."""
    data, gateway = call.data, call.core.gateway
    kind = str(data.get("kind", ""))
    if kind not in GATEWAY_KINDS:
        raise ControlError(
            f"There is no gateway fault {kind!r}: there are {', '.join(GATEWAY_KINDS)}."
        )
    if kind == "refuse_resume":
        call.core.faults.refuse_next_resumes(int(data.get("times", 1)))
        return {"connections": 0}
    hit = [
        connection
        for connection in list(gateway.connections)
        if data.get("shard") is None
        or (connection.session is not None and connection.session.shard[0] == data["shard"])
    ]
    for connection in hit:
        await _strike(call, connection, kind, data)
    entry = call.core.traffic.new("gateway", "out", f"fault {kind}")
    entry.fault = kind
    call.core.traffic.add(entry)
    return {"connections": len(hit)}


async def _strike(call: ControlCall, connection: Connection, kind: str, data: Json) -> None:
    gateway = call.core.gateway
    if kind == "drop":
        code = int(data.get("code", 4000))
        await gateway.close(connection, code, "Unknown error." if code == 4000 else "")
    elif kind == "reset":
        _abort(connection)
    elif kind == "reconnect":
        connection.send({"op": 7, "t": None, "s": None, "d": None})
    elif kind == "invalidate":
        resumable = bool(data.get("resumable", False))
        session = connection.session
        if session is not None and not resumable:
            gateway.sessions.pop(session.id, None)
        connection.send({"op": 9, "t": None, "s": None, "d": resumable})
    elif kind == "zombie":
        connection.zombie = bool(data.get("on", True))
    elif kind == "malformed":
        _malformed(connection, data)


def _malformed(connection: Connection, data: Json) -> None:
    """Send an event whose data is not what its name promises, or any frame as it is written."""
    if "frame" in data:
        connection.send_text(str(data["frame"]))
        return
    event: Any = data.get("event", "INTERACTION_CREATE")
    body = data.get("data", {"id": "1", "type": 2, "token": "x", "version": 1})
    if connection.session is not None:
        connection.session.push(event, body)
    else:
        connection.send_text(json.dumps({"op": 0, "t": event, "s": 1, "d": body}))


def _abort(connection: Connection) -> None:
    transport = connection.socket._writer.transport if connection.socket._writer else None
    if transport is None:
        return
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def expire_token(call: ControlCall) -> None:
    """Make an interaction's token worthless."""
    answering.invalidate(call.core, lookup.interaction(call.core.state, call.get("interaction")))


ROUTES: Final[Routes] = [
    ("GET", "/sandbox/faults", list_faults),
    ("POST", "/sandbox/faults", add_fault),
    ("DELETE", "/sandbox/faults", clear_faults),
    ("DELETE", "/sandbox/faults/{fault}", clear_faults),
    ("POST", "/sandbox/faults/gateway", gateway_fault),
    ("POST", "/sandbox/faults/expire", expire_token),
]
