"""Fixtures that give a test a Discord of its own; pytest finds them as `turbocord-sandbox`.

    sandbox          a started `Sandbox`, new for each test
    sandbox_client   a `SandboxClient` of it, to act as its members
    sandbox_discord  points discord.py at it for the length of the test; returns the sandbox

`sandbox_options` may be overridden by a fixture of the project's own that returns the keyword
arguments of `Sandbox`. The fixtures need pytest-asyncio, in either of its modes; a project
without it can use `Sandbox` as an async context manager.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox import Sandbox, SandboxClient

if TYPE_CHECKING:
    from pytest_asyncio import fixture as async_fixture
else:
    try:
        from pytest_asyncio import fixture as async_fixture
    except ImportError:
        # The plugin is loaded wherever the package is installed; it must not break other suites.
        async_fixture = pytest.fixture


@pytest.fixture
def sandbox_options() -> dict[str, Any]:
    """Return the keyword arguments of the test's `Sandbox`."""
    return {}


@async_fixture
async def sandbox(sandbox_options: dict[str, Any]) -> AsyncIterator[Sandbox]:
    """Yield a running sandbox on a free port of this machine."""
    async with Sandbox(**sandbox_options) as server:
        yield server


@async_fixture
async def sandbox_client(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    """Yield a client by which the test acts as any member of the sandbox."""
    async with sandbox.client() as client:
        yield client


@pytest.fixture
def sandbox_discord(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Point discord.py at the sandbox until the test ends.

    The three attributes are all that knows Discord's address; they are named by text, since the
    sandbox itself works without discord.py.
    """
    yarl = pytest.importorskip("yarl", reason="discord.py's URLs need yarl")
    monkeypatch.setattr("discord.http.Route.BASE", f"{sandbox.base_url}/api/v10")
    monkeypatch.setattr(
        "discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY", yarl.URL(sandbox.gateway_url)
    )
    monkeypatch.setattr("discord.asset.Asset.BASE", sandbox.base_url)
    return sandbox
