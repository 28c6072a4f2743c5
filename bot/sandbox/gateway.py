"""The gateway, version 10: sessions, heartbeats and events over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from bot.sandbox import intents, wire
from bot.sandbox.models import Json, Message
from bot.sandbox.sessions import Connection, Session
from bot.sandbox.state import GUILD_MEMBERS_INTENT, MESSAGE_CONTENT_INTENT, PRIVILEGED
from bot.sandbox.traffic import redact

if TYPE_CHECKING:
    from bot.sandbox.core import Core

log = logging.getLogger(__name__)

SENDS_PER_MINUTE: Final = 120
MAX_PAYLOAD: Final = 15 * 1024
GUILDS_PER_SHARD: Final = 2500

EventData = Json | Callable[[Session], Json]


class _Close(Exception):
    """The connection is to be closed with a code."""

    def __init__(self, code: int, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail or intents.CLOSE_REASONS[code]


class Gateway:
    """Accepts shards and sends them events; what it does on an opcode stands in one table."""

    def __init__(self, core: Core, *, heartbeat_interval_s: float = 41.25) -> None:
        self._core = core
        self._interval = heartbeat_interval_s
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.identifies = 0
        self._handlers: dict[int, Callable[[Connection, Any], None]] = {
            1: self._heartbeat,
            2: self._identify,
            3: self._ignore,
            4: self._ignore,
            6: self._resume,
            8: self._request_members,
        }

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Run one connection from hello to close."""
        compression = request.query.get("compress", "")
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_PAYLOAD * 4)
        await socket.prepare(request)
        connection = Connection(socket, compressed=compression == "zlib-stream")
        writer = asyncio.create_task(connection.write_out(), name="sandbox-gateway-writer")
        watch = asyncio.create_task(self._watch(connection), name="sandbox-gateway-watch")
        self.connections.add(connection)
        try:
            if request.query.get("v", "10") != "10":
                raise _Close(4012)
            hello = {"heartbeat_interval": int(self._interval * 1000)}
            self._send(connection, 10, hello | {"_trace": ["sandbox"]})
            await self._read(connection)
        except _Close as close:
            await self.close(connection, close.code, close.detail)
        finally:
            watch.cancel()
            connection.finish()
            with contextlib.suppress(ConnectionError):
                await writer
            self.connections.discard(connection)
            if connection.session is not None and connection.session.connection is connection:
                connection.session.connection = None
        return socket

    async def close(self, connection: Connection, code: int, detail: str = "") -> None:
        """Close a connection with a code, and note it in the traffic log."""
        entry = self._core.traffic.new("gateway", "out", f"CLOSE {code}")
        entry.status = code
        entry.rule = f"{code}: {detail}" if 4000 < code < 4015 else None
        self._core.traffic.add(entry)
        await connection.socket.close(code=code, message=detail.encode()[:120])

    async def _read(self, connection: Connection) -> None:
        async for frame in connection.socket:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            now = asyncio.get_running_loop().time()
            connection.received.append(now)
            while connection.received[0] < now - 60:
                connection.received.popleft()
            if len(connection.received) > SENDS_PER_MINUTE:
                raise _Close(4008)
            try:
                payload = json.loads(frame.data)
                opcode, data = payload["op"], payload.get("d")
            except (ValueError, KeyError, TypeError):
                raise _Close(4002) from None
            if len(frame.data) > MAX_PAYLOAD:
                raise _Close(4002)
            handler = self._handlers.get(opcode)
            if handler is None:
                raise _Close(4001)
            if opcode != 1:
                self._note(connection, "in", f"op {opcode}", data)
            handler(connection, data)

    async def _watch(self, connection: Connection) -> None:
        """Close a connection whose heartbeats have stopped."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval)
            if loop.time() - connection.last_heartbeat > self._interval * 2:
                await self.close(connection, 4009, intents.CLOSE_REASONS[4009])
                return

    def _heartbeat(self, connection: Connection, _data: Any) -> None:
        connection.last_heartbeat = asyncio.get_running_loop().time()
        self._send(connection, 11, None)

    def _ignore(self, connection: Connection, _data: Any) -> None:
        if connection.session is None:
            raise _Close(4003)

    def _identify(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise _Close(4005)
        if not isinstance(data, dict) or not isinstance(data.get("intents"), int):
            raise _Close(4002)
        if data.get("token") != self._core.token:
            raise _Close(4004)
        wanted = data["intents"]
        if wanted < 0 or wanted >= intents.HIGHEST:
            raise _Close(4013)
        if wanted & PRIVILEGED & ~self._core.state.privileged_intents:
            raise _Close(4014)
        index, count = data.get("shard") or (0, 1)
        if not 0 <= index < count:
            raise _Close(4010)
        session = Session(wanted, (index, count), self.url)
        guilds = [guild for guild in self._core.bot_guilds() if session.owns(guild.id)]
        if len(guilds) > GUILDS_PER_SHARD:
            raise _Close(4011)
        self.identifies += 1
        self._forget_abandoned(session.shard)
        session.connection = connection
        connection.session = session
        self.sessions[session.id] = session
        ready = {
            "v": 10,
            "user": wire.user_json(self._core.state.bot) | {"verified": True, "mfa_enabled": True},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": [index, count],
            "application": {"id": str(self._core.state.application_id), "flags": 0},
            "private_channels": [],
            "relationships": [],
        }
        self._push(session, "READY", ready)
        all_members = bool(wanted & GUILD_MEMBERS_INTENT)
        if wanted & intents.GUILDS:
            for guild in guilds:
                data = wire.guild_create_json(self._core.state, guild, all_members=all_members)
                self._push(session, "GUILD_CREATE", data)

    def _forget_abandoned(self, shard: tuple[int, int]) -> None:
        """Drop sessions of a shard that nobody is connected to: it has started anew."""
        for old in list(self.sessions.values()):
            if old.shard == shard and old.connection is None:
                del self.sessions[old.id]

    def _resume(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise _Close(4005)
        if not isinstance(data, dict) or data.get("token") != self._core.token:
            raise _Close(4004)
        session = self.sessions.get(str(data.get("session_id")))
        sequence = data.get("seq")
        if (
            session is None
            or not isinstance(sequence, int)
            or not session.can_resume(sequence)
            or self._core.faults.refuse_resume()
        ):
            if session is not None:
                del self.sessions[session.id]
            self._send(connection, 9, False)
            return
        missed = session.replay(connection, sequence)
        log.info("shard %d resumed, %d events replayed", session.shard[0], missed)
        self._push(session, "RESUMED", {"_trace": ["sandbox"]})

    def _request_members(self, connection: Connection, data: Any) -> None:
        session = connection.session
        if session is None or not isinstance(data, dict):
            raise _Close(4003)
        guild = self._core.state.guilds.get(int(data.get("guild_id", 0)))
        if guild is None:
            return
        wanted = data.get("user_ids") or []
        ids = {int(one) for one in (wanted if isinstance(wanted, list) else [wanted])}
        query, limit = str(data.get("query") or "").lower(), int(data.get("limit") or 0)
        users = self._core.state.users
        found = [
            wire.member_json(self._core.state, member)
            for member in guild.members.values()
            if (member.user_id in ids if ids else users[member.user_id].username.startswith(query))
        ]
        chunk: Json = {
            "guild_id": str(guild.id),
            "members": found[: limit or 1000],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [],
        }
        if data.get("nonce") is not None:
            chunk["nonce"] = data["nonce"]
        self._push(session, "GUILD_MEMBERS_CHUNK", chunk)

    def dispatch(
        self,
        event: str,
        data: EventData,
        *,
        guild_id: int | None,
        private: bool = False,
        intent: int | None = None,
    ) -> None:
        """Send an event to the shards that own its guild and asked for its intent.

        `intent` overrules the one that an event of its name needs; 0 is none.
        """
        needed = intents.needed(event, private=private) if intent is None else intent
        for session in list(self.sessions.values()):
            if session.owns(guild_id) and (not needed or session.intents & needed):
                self._push(session, event, data(session) if callable(data) else data)

    def dispatch_message(self, event: str, message: Message, extra: Json | None = None) -> None:
        """Send MESSAGE_CREATE or MESSAGE_UPDATE, each shard reading what its intents allow."""

        def written(session: Session) -> Json:
            has_intent = bool(session.intents & MESSAGE_CONTENT_INTENT)
            data = wire.bot_message_json(
                self._core.state, self._core.cdn, message, has_intent=has_intent
            )
            return data | (extra or {})

        self.dispatch(event, written, guild_id=message.guild_id, private=message.guild_id is None)

    def _push(self, session: Session, event: str, data: Json) -> None:
        session.push(event, data)
        entry = self._core.traffic.new("gateway", "out", event)
        entry.body, entry.shard = redact(data), session.shard[0]
        self._core.traffic.add(entry)

    def _send(self, connection: Connection, opcode: int, data: Any) -> None:
        connection.send({"op": opcode, "t": None, "s": None, "d": data})
        if opcode != 11:
            self._note(connection, "out", f"op {opcode}", data)

    def _note(self, connection: Connection, direction: str, name: str, data: Any) -> None:
        entry = self._core.traffic.new("gateway", direction, name)
        entry.body = redact(data)
        entry.shard = connection.session.shard[0] if connection.session else None
        self._core.traffic.add(entry)

    async def stop(self) -> None:
        """Close every connection as a server going away does."""
        for connection in list(self.connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)
