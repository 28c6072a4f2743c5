"""What stands before Gradio: which requests the live page takes, and how much of each.

Gradio serves far more than the page uses. Some of it writes files that nobody deletes, and nearly
all of it reads a body of any size into memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bot.web.quiet import place_of, root_of
from bot.web.uploads import make_room

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

UPLOAD: Final = "/gradio_api/upload"
EVENT: Final = "/gradio_api/queue/join"

ADDRESSES: Final = frozenset(
    {
        *("/", "/config", "/login", "/logout"),
        *("/favicon.ico", "/robots.txt", "/theme.css"),
        *("/gradio_api/app_id", "/gradio_api/queue/data", "/gradio_api/upload_progress"),
        *(UPLOAD, EVENT),
    }
)
FOLDERS: Final = (
    *("/assets/", "/pictures/", "/static/", "/svelte/"),
    *("/gradio_api/file=", "/gradio_api/heartbeat/"),
)
"""All that the page in a browser asks for; there is nothing else here."""

MOST_BYTES: Final = 64 * 1024
"""Of a body that brings no file: a prompt of the greatest length has 12 KiB at most."""

ENVELOPE_BYTES: Final = 64 * 1024
"""What a form may have beside its file."""

MOST_PATH: Final = 4096
MOST_QUERY: Final = 256
"""Gradio keeps the names of sessions and uploads for good."""

SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

UPLOADS_AT_ONCE: Final = 4
UPLOAD_SECONDS: Final = 60.0
"""How long one may take, its wait for the others included."""

KEPT_UPLOADS: Final = 20
"""As many uploads of the greatest size have room; older ones go when there are more."""

FORBIDDEN, MISSING, TIMED_OUT, TOO_LARGE, TOO_LONG = 403, 404, 408, 413, 414
MALFORMED, BROKEN = 400, 500


class BodyTooLarge(Exception):
    """More came than a request may have."""


class Exchange:
    """One request and its answer: counts what comes, and knows whether the answer has begun."""

    def __init__(self, receive: Receive, send: Send, *, most: int) -> None:
        self.has_begun = False
        self.is_too_large = False
        self._receive = receive
        self._send = send
        self._left = most

    async def receive(self) -> Message:
        """Return the next message. Raises BodyTooLarge."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.is_too_large = True
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        """Hand on a message of the answer."""
        # What the application says to a body that was cut short is not what happened.
        if self.is_too_large and not self.has_begun:
            return
        self.has_begun = True
        await self._send(message)

    async def refuse(self, status: int) -> None:
        """Answer `status`, unless there is an answer already."""
        if self.has_begun:
            return
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": []})
        await self._send({"type": "http.response.body", "body": b""})


class Doorkeeper:
    """Lets the requests of the page itself through to `app`, within bounds, and nothing else.

    `folder` is where uploads lie, `max_bytes` the size of the largest; `inputs` has the number of
    values that each event brings.
    """

    def __init__(
        self,
        app: Any,
        *,
        folder: str,
        max_bytes: int,
        inputs: Mapping[int, int],
    ) -> None:
        self._app = app
        self._folder = folder
        self._max_bytes = max_bytes
        self._inputs = inputs
        self._uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._max_bytes + ENVELOPE_BYTES if scope["path"] == UPLOAD else MOST_BYTES
        exchange = Exchange(receive, send, most=most)
        status = refusal(scope, most=most)
        if status is None:
            try:
                status = await self._serve(scope, exchange)
            except Exception as error:
                # Nobody above would leave the words of it out of the log.
                if not (exchange.is_too_large or is_visitors(error)):
                    log.error("the live page failed at a request: %s", place_of(error))
                status = BROKEN
        if exchange.is_too_large:
            status = TOO_LARGE
        if status is not None:
            await exchange.refuse(status)

    async def _serve(self, scope: Scope, exchange: Exchange) -> int | None:
        """Have the request answered, or return with which status it is refused."""
        if scope["path"] == UPLOAD:
            return await self._upload(scope, exchange)
        if scope["path"] == EVENT:
            return await self._event(scope, exchange)
        await self._app(scope, exchange.receive, exchange.send)
        return None

    async def _upload(self, scope: Scope, exchange: Exchange) -> int | None:
        try:
            async with asyncio.timeout(UPLOAD_SECONDS), self._uploads:
                # Before each one, because what is broken off or bears another name than the
                # browser's stays where it was written and is known to nobody.
                await asyncio.to_thread(make_room, self._folder, KEPT_UPLOADS * self._max_bytes)
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            return TIMED_OUT
        return None

    async def _event(self, scope: Scope, exchange: Exchange) -> int | None:
        body = bytearray()
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await exchange.receive()
            body += message.get("body", b"")
        if not is_event(body, self._inputs):
            return MALFORMED
        again = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive() -> Message:
            return again.pop() if again else await exchange.receive()

        await self._app(scope, receive, exchange.send)
        return None


def refusal(scope: Scope, *, most: int) -> int | None:
    """Return with which status a request is refused by what it says of itself, if it is."""
    path = scope["path"]
    # Gradio would fetch the address and hand on what is there.
    if "://" in path:
        return FORBIDDEN
    if len(path) > MOST_PATH or len(scope["query_string"]) > MOST_QUERY:
        return TOO_LONG
    if path not in ADDRESSES and not path.startswith(FOLDERS):
        return MISSING
    if int(dict(scope["headers"]).get(b"content-length", 0)) > most:
        return TOO_LARGE
    return None


def is_event(body: bytes | bytearray, inputs: Mapping[int, int]) -> bool:
    """Return whether this is an event of the page, with as many values as it has inputs."""
    try:
        event = json.loads(body)
        number, values, session = event["fn_index"], event["data"], event["session_hash"]
        return (
            isinstance(number, int)
            and isinstance(values, list)
            and len(values) == inputs.get(number)
            and SESSION.fullmatch(session) is not None
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def is_visitors(error: BaseException) -> bool:
    """Return whether an exception is the visitor's doing: gone away, or asked for what is not."""
    root = root_of(error)
    # Starlette's classes, by name: it comes with Gradio, which may be missing where this is read.
    return type(root).__name__ == "ClientDisconnect" or getattr(root, "status_code", 500) < 500
