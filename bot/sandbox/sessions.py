"""Gateway sessions: what a shard was sent, so that it can be sent again on resume."""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections import deque
from typing import Any, Final

from aiohttp import web

KEPT_EVENTS: Final = 2000
"""Events a session can replay; whoever missed more starts anew."""


class Connection:
    """One WebSocket: an outbox, one deflate context for its whole life, and its health."""

    def __init__(self, socket: web.WebSocketResponse, *, compressed: bool) -> None:
        self.socket = socket
        self.session: Session | None = None
        self.zombie = False
        self.received: deque[float] = deque()
        self.last_heartbeat = asyncio.get_running_loop().time()
        self._deflate = zlib.compressobj() if compressed else None
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, payload: dict[str, Any]) -> None:
        """Queue a payload."""
        self.send_text(json.dumps(payload, separators=(",", ":")))

    def send_text(self, text: str) -> None:
        """Queue a payload already written out; a zombie sends nothing."""
        if not self.zombie:
            self._outbox.put_nowait(text)

    async def write_out(self) -> None:
        """Send what is queued, in order, until the connection closes."""
        while (text := await self._outbox.get()) is not None and not self.socket.closed:
            if self._deflate is None:
                await self.socket.send_str(text)
            else:
                data = self._deflate.compress(text.encode())
                await self.socket.send_bytes(data + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> None:
        """Let `write_out` end once the queue is empty."""
        self._outbox.put_nowait(None)


class Session:
    """A shard's sequence of events, alive across connections."""

    def __init__(self, intents: int, shard: tuple[int, int], resume_url: str) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.shard = shard
        self.resume_url = resume_url
        self.connection: Connection | None = None
        self.sequence = 0
        self._sent: deque[tuple[int, str]] = deque(maxlen=KEPT_EVENTS)

    def owns(self, guild_id: int | None) -> bool:
        """Say whether this shard hears of a guild; private events go to shard 0."""
        index, count = self.shard
        return (0 if guild_id is None else (guild_id >> 22) % count) == index

    def push(self, event: str, data: Any) -> None:
        """Send an event, or keep it until the shard is back."""
        self.sequence += 1
        payload = {"op": 0, "t": event, "s": self.sequence, "d": data}
        text = json.dumps(payload, separators=(",", ":"))
        self._sent.append((self.sequence, text))
        if self.connection is not None:
            self.connection.send_text(text)

    def can_resume(self, sequence: int) -> bool:
        """Say whether everything after a sequence number is still kept."""
        if not 0 <= sequence <= self.sequence:
            return False
        return sequence == self.sequence or self._sent[0][0] <= sequence + 1

    def replay(self, connection: Connection, sequence: int) -> int:
        """Attach a connection and send what it missed; return how many events that was."""
        self.connection = connection
        connection.session = self
        missed = [text for number, text in self._sent if number > sequence]
        for text in missed:
            connection.send_text(text)
        return len(missed)
