"""A sandbox, a client of its control API, and stock discord.py bots connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import discord
import pytest
import yarl
from discord import app_commands

from bot.sandbox import Sandbox, SandboxClient


class Bot(discord.Client):
    """A small bot of no project in particular, kept off the real Discord."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("intents", discord.Intents(guilds=True, messages=True))
        super().__init__(**options)
        self.tree = app_commands.CommandTree(self)
        self.ready = asyncio.Event()
        self.resumed = asyncio.Event()
        self.heard: list[discord.Message] = []
        self.errors: list[BaseException] = []

        @self.tree.error
        async def _(_interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
            self.errors.append(getattr(error, "original", error))

    async def on_ready(self) -> None:
        self.ready.set()

    async def on_resumed(self) -> None:
        self.resumed.set()

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)


Connect = Callable[..., Awaitable[Bot]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with sandbox.client() as one:
        yield one


@pytest.fixture
async def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """Connect a bot: its commands synced, its gateway ready."""
    monkeypatch.setattr(discord.http.Route, "BASE", f"{sandbox.base_url}/api/v10")
    gateway = yarl.URL(sandbox.gateway_url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    running: list[tuple[Bot, asyncio.Task[None]]] = []

    async def start(
        prepare: Callable[[Bot], None] | None = None, *, wait: bool = True, **options: Any
    ) -> Bot:
        bot = Bot(guild_ready_timeout=0.05, **options)
        if prepare is not None:
            prepare(bot)
        await bot.login(sandbox.token)
        if bot.tree.get_commands() or bot.tree._context_menus:
            await bot.tree.sync()
        task = asyncio.create_task(bot.connect(reconnect=True))
        running.append((bot, task))
        if wait:
            ready = asyncio.create_task(bot.ready.wait())
            await asyncio.wait({task, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                ready.cancel()
                running.pop()
                await bot.close()
                await task
        return bot

    yield start
    for bot, task in running:
        await bot.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
