"""A sandbox, a real bot connected to it, and members who act over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot import client
from bot.app import App, connected
from bot.config import Settings, load_settings
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.sandbox import Sandbox, SandboxClient
from bot.trial import text_of
from tests.contract import CONTRACT, contract_errors

MESSAGE_CONTENT = 1 << 15

# The sandbox sends all guilds in one go, and every test would wait for more.
client.GUILDS_SECONDS = 0.05


@dataclass
class Town:
    """Everything an end-to-end test needs."""

    sandbox: Sandbox
    app: App
    member: SandboxClient
    expected_rules: list[str] = field(default_factory=list)
    tolerated_codes: set[str] = field(default_factory=set)

    async def command(self, text: str, user: str = "ada", **options: Any) -> dict[str, Any]:
        """Send a command as typed and return the record of its answer."""
        options.setdefault("channel", "general")
        interaction = await self.member.command(text, user=user, **options)
        return await self.answer(interaction)

    async def press(self, message_id: str, label: str, user: str = "ada") -> dict[str, Any]:
        """Press a button and return the record of the answer."""
        return await self.answer(await self.member.press(message_id, label, user=user))

    async def answer(self, interaction: str) -> dict[str, Any]:
        """Return the record of an answer, and not of the note on a wait that came before it."""
        async with asyncio.timeout(60):
            record = await self.member.wait_response(interaction, timeout=60)
            while record["response"] and asks_for_patience(record["response"]):
                await asyncio.sleep(0.05)
                record = await self.member.interaction(interaction)
            return record


async def eventually(holds: Callable[[], Awaitable[bool]], *, timeout: float = 20.0) -> None:
    """Return once `holds` does. Raises TimeoutError when it never comes to."""
    async with asyncio.timeout(timeout):
        while not await holds():  # noqa: ASYNC110  what is awaited lies behind a socket
            await asyncio.sleep(0.02)


def items(components: list[dict[str, Any]], kind: int) -> list[dict[str, Any]]:
    """Return every component of a type (2 button, 3 select, 5 user select …), however deep."""
    found = [one for one in components if one["type"] == kind]
    for one in components:
        found += items(one.get("components", []), kind)
    return found


def asks_for_patience(message: dict[str, Any]) -> bool:
    """Say whether a message is the note on a wait, which alone has a button to cancel it."""
    return any(
        one.get("custom_id", "").startswith("tc:cancel:") for one in items(message["components"], 2)
    )


def words(message: dict[str, Any]) -> str:
    """Return what a message says, in content or components."""
    return message["content"] or text_of(message["components"])


def settings_for(sandbox: Sandbox, folder: Path, **overrides: Any) -> Settings:
    """Return settings that point a bot at `sandbox`, its store in `folder`."""
    return load_settings(
        **{
            "api_base": sandbox.base_url,
            "gateway": sandbox.gateway_url,
            "token": sandbox.token,
            "model": "tiny",
            "database_url": f"sqlite+aiosqlite:///{folder / 'turbocord.db'}",
            **overrides,
        }
    )


def null_scheduler(**options: Any) -> BatchScheduler:
    """Return an engine without a model, for what does not depend on the pixels."""
    return BatchScheduler([lambda: NullPipeline(**options)])


@asynccontextmanager
async def town(
    folder: Path,
    *,
    scheduler: BatchScheduler | None = None,
    sandbox_options: dict[str, Any] | None = None,
    **overrides: Any,
) -> AsyncIterator[Town]:
    """Yield a sandbox with a bot in it; `scheduler` None draws with a null engine."""
    options = {"privileged_intents": MESSAGE_CONTENT, **(sandbox_options or {})}
    async with Sandbox(**options) as sandbox, sandbox.client() as member:
        settings = settings_for(sandbox, folder, **overrides)
        async with connected(settings, scheduler=scheduler or null_scheduler()) as app:
            yield Town(sandbox, app, member)


@asynccontextmanager
async def lawful_town(folder: Path, **options: Any) -> AsyncIterator[Town]:
    """Yield a town; at its end every REST call is held to Discord's rules and contract.

    A test that provokes an answer other than success lists it in `expected_rules`; a code in
    `tolerated_codes` may come any number of times.
    """
    async with town(folder, **options) as place:
        yield place
        traffic = await place.member.traffic()
    broken = [
        entry["rule"]
        for entry in traffic
        if entry.get("rule") and entry["rule"].split(":")[0] not in place.tolerated_codes
    ]
    assert broken == place.expected_rules
    if CONTRACT.is_file():
        assert contract_errors(traffic) == []
