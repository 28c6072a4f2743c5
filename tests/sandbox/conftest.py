"""A sandbox, a client of its control API, and stock discord.py bots connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import discord
import pytest
import yarl

from bot.sandbox import Sandbox, SandboxClient
from tests.sandbox.helpers import Bot, Connect, Rest


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with sandbox.client() as one:
        yield one


@pytest.fixture
async def rest(sandbox: Sandbox) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as session:
        yield Rest(sandbox, session)


@pytest.fixture
async def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """Connect a bot: its commands synced, its gateway ready."""
    monkeypatch.setattr(discord.http.Route, "BASE", f"{sandbox.base_url}/api/v10")
    gateway = yarl.URL(sandbox.gateway_url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    running: list[tuple[Bot, asyncio.Task[None]]] = []

    async def start(
        prepare: Callable[[Bot], None] | None = None,
        *,
        wait: bool = True,
        kind: type[Bot] = Bot,
        **options: Any,
    ) -> Bot:
        bot = kind(guild_ready_timeout=0.05, **options)
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
