"""Requests to the live page as no browser makes them."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.engine.null import NullPipeline
from bot.request import Draw, Pixels
from bot.web.uploads import NOT_HERE
from tests.pictures import sideways_photo
from tests.web.conftest import serving

MARKS = {"meta": {"_type": "gradio.FileData"}}


@dataclass
class Caller:
    """Talks to the page as a script would; `drawn` is what reached the model."""

    url: str
    session: aiohttp.ClientSession
    drawn: list[Draw]

    async def upload(self) -> str:
        form = aiohttp.FormData()
        form.add_field("files", sideways_photo(), filename="photo.jpg")
        async with self.session.post(f"{self.url}gradio_api/upload", data=form) as answer:
            (path,) = await answer.json()
        assert isinstance(path, str)
        return path

    async def post(self, name: str, **what: Any) -> int:
        """Return the status that a request to Gradio's API is answered with."""
        async with self.session.post(f"{self.url}gradio_api/{name}", **what) as answer:
            return answer.status

    async def ask(
        self, *, source: Any = None, prompt: Any = "a cat", strength: Any = 0.7
    ) -> dict[str, Any]:
        """Send one event and return how it ended."""
        values = [prompt, source, strength, 0.0, 1, 42, False, 1.0]
        session = secrets.token_hex(4)
        event = {"data": values, "fn_index": 0, "session_hash": session}
        assert await self.post("queue/join", json=event) == 200
        told = f"{self.url}gradio_api/queue/data?session_hash={session}"
        async with self.session.get(told) as answer:
            async for line in answer.content:
                message = json.loads(line.removeprefix(b"data:")) if line.strip() else {}
                if message.get("msg") == "process_completed":
                    return dict(message)
        raise AssertionError("the event has no end")

    async def refused(self, **what: Any) -> bool:
        """Return whether an event is refused before anything is read or drawn."""
        ended = await self.ask(**what)
        return ended["output"].get("error") == NOT_HERE and self.drawn == []


@asynccontextmanager
async def calling(**options: Any) -> AsyncIterator[Caller]:
    """Yield who talks to a page that is served for it."""
    drawn: list[Draw] = []

    class SeenPipeline(NullPipeline):
        def redo(self, draw: Draw) -> Pixels:
            drawn.append(draw)
            return super().redo(draw)

    async with serving(SeenPipeline, **options) as url, aiohttp.ClientSession() as session:
        yield Caller(url, session, drawn)
