"""Helpers of the sandbox's tests: a bot of no project in particular, pictures, raw REST."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import discord
from discord import app_commands
from PIL import Image

from bot.sandbox import Sandbox

Answer = Callable[[discord.Interaction], Awaitable[None]]


def picture(width: int = 64, height: int = 48, colour: str = "red", form: str = "PNG") -> bytes:
    """Return a small picture's bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, form)
    return buffer.getvalue()


def as_file(name: str = "a.png", data: bytes | None = None) -> discord.File:
    """Return a file to upload."""
    return discord.File(io.BytesIO(picture() if data is None else data), name)


def answering(answer: Answer, **options: Any) -> Callable[[Bot], None]:
    """Return a preparation that registers /go, answered by `answer`."""

    def prepare(bot: Bot) -> None:
        bot.tree.add_command(
            app_commands.Command(name="go", description="Go", callback=_callback(answer), **options)
        )

    return prepare


def _callback(answer: Answer) -> Any:
    async def go(interaction: discord.Interaction) -> None:
        await answer(interaction)

    return go


class Held:
    """An answer that stops after handing the interaction to the test."""

    def __init__(self) -> None:
        self.interaction: asyncio.Future[discord.Interaction] = asyncio.Future()

    async def __call__(self, interaction: discord.Interaction) -> None:
        self.interaction.set_result(interaction)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition of objects that announce nothing. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- a library's cache has no event to wait for
            await asyncio.sleep(0.01)


class Rest:
    """Raw calls of the REST API with the bot's token."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **options: Any
    ) -> tuple[int, Any, Any]:
        """Return status, JSON and headers."""
        headers = {"Authorization": f"Bot {token or self.sandbox.token}"}
        url = f"{self.sandbox.base_url}/api/v10{path}"
        if body is not None:
            options["json"] = body
        async with self.session.request(method, url, headers=headers, **options) as response:
            data = await response.json(content_type=None) if response.status != 204 else None
            return response.status, data, response.headers

    def channel(self, name: str) -> int:
        """Return a channel's id by name."""
        return next(c.id for c in self.sandbox.state.channels.values() if c.name == name)


class Bot(discord.Client):
    """A small bot of no project in particular, kept off the real Discord."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("intents", discord.Intents(guilds=True, messages=True))
        # The sandbox sends all guilds in one go.
        options.setdefault("guild_ready_timeout", 0.05)
        super().__init__(**options)
        self.tree = app_commands.CommandTree(self)
        self.ready = asyncio.Event()
        self.resumed = asyncio.Event()
        self.heard: list[discord.Message] = []
        self.errors: list[BaseException] = []

        @self.tree.error
        async def _(_interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
            self.errors.append(getattr(error, "original", error))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Identify at once; the library waits five seconds for the real Discord's sake."""

    async def on_ready(self) -> None:
        self.ready.set()

    async def on_resumed(self) -> None:
        self.resumed.set()

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)


class ShardedBot(Bot, discord.AutoShardedClient):
    """The same with several shards in one process."""

    async def on_shard_resumed(self, _shard_id: int) -> None:
        self.resumed.set()


Connect = Callable[..., Awaitable[Bot]]
