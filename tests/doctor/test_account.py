from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.config import Settings
from bot.doctor.account import PERMISSIONS, check_account, check_permissions, check_token
from bot.doctor.check import Check, Grade

BOT_ID = "1189000000000000001"
TOKEN = f"{base64.urlsafe_b64encode(BOT_ID.encode()).decode().rstrip('=')}.GabcdE.{'x' * 38}"
ALL = sum(PERMISSIONS.values())


@dataclass
class Discord:
    """The three answers the doctor asks for."""

    status: int = 200
    flags: int = 0
    flags_status: int = 200
    guilds: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    url: str = ""

    def settings(self, **values: Any) -> Settings:
        """Return settings that point here."""
        return Settings.model_validate({"token": TOKEN, "api_base": self.url, **values})

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.seen.append((request.path, headers.get("Authorization"), headers.get("User-Agent")))
        if headers.get("Authorization") != f"Bot {TOKEN}":
            return web.json_response({"message": "401: Unauthorized", "code": 0}, status=401)
        match request.path:
            case "/api/v10/users/@me":
                return web.json_response({"id": BOT_ID, "username": "turbo"}, status=self.status)
            case "/api/v10/users/@me/guilds":
                return web.json_response(self.guilds)
            case "/api/v10/applications/@me":
                return web.json_response({"flags": self.flags}, status=self.flags_status)
            case _:
                return web.json_response({"flags": self.flags})


@pytest.fixture
async def discord() -> AsyncIterator[Discord]:
    """Discord's side of it, on a real socket."""
    discord = Discord(guilds=[{"name": "Here", "permissions": str(ALL)}])
    app = web.Application()
    app.router.add_get("/{path:.*}", discord.answer)
    async with TestServer(app) as server:
        discord.url = str(server.make_url("/")).rstrip("/")
        yield discord


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_well_formed_token_shows_its_id_alone() -> None:
    check = check_token(TOKEN)

    assert (check.grade, check.detail) == (Grade.OK, f"well formed, of the bot {BOT_ID}")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "is not set"),
        (f"Bot {TOKEN}", "something around the token"),
        (f'"{TOKEN}"', "something around the token"),
        (f"{TOKEN}\n", "something around the token"),
        ("b6YzGkIrZHJ3zVnIkqGQTlmtbBRhhvXq", "32 characters, does not look like"),
        (f"{'x' * 26}.GabcdE.{'x' * 38}", "does not look like"),
        (TOKEN.rpartition(".")[0], "does not look like"),
    ],
)
def test_what_is_no_token_is_told_apart_without_showing_it(token: str, words: str) -> None:
    check = check_token(token)

    assert check.grade is Grade.FAIL
    assert words in check.detail
    assert check.advice
    assert not token.strip() or token.strip() not in f"{check.detail} {check.advice}"


async def test_everything_in_order(discord: Discord) -> None:
    checks = await check_account(discord.settings())

    assert [(check.name, check.grade) for check in checks] == [
        ("Account", Grade.OK),
        ("Intents", Grade.OK),
        ("Permissions", Grade.OK),
    ]
    assert checks[0].detail == f"turbo ({BOT_ID})"
    assert all(agent and agent.startswith("DiscordBot (") for _, _, agent in discord.seen)


async def test_a_token_that_is_not_accepted(discord: Discord) -> None:
    other = discord.settings(token=TOKEN[:-1] + "y")

    (check,) = await check_account(other)

    assert (check.grade, check.detail) == (Grade.FAIL, "Discord does not accept the token")
    assert len(discord.seen) == 1


@pytest.mark.parametrize("flags", [1 << 18, 1 << 19 | 1 << 23])
async def test_an_enabled_intent_is_recognised(discord: Discord, flags: int) -> None:
    discord.flags = flags

    found = by_name(await check_account(discord.settings(message_content=True)))

    assert found["Intents"].grade is Grade.OK


async def test_an_intent_that_is_not_enabled_fails_before_the_gateway_does(
    discord: Discord,
) -> None:
    discord.flags = 1 << 23

    found = by_name(await check_account(discord.settings(message_content=True)))

    assert found["Intents"].grade is Grade.FAIL
    assert "Privileged Gateway Intents" in found["Intents"].advice


async def test_the_older_path_serves_where_the_newer_does_not(discord: Discord) -> None:
    discord.flags_status = 404
    discord.flags = 1 << 19

    found = by_name(await check_account(discord.settings(message_content=True)))

    assert found["Intents"].grade is Grade.OK
    assert "/api/v10/oauth2/applications/@me" in [path for path, _, _ in discord.seen]


async def test_discord_out_of_order(discord: Discord) -> None:
    discord.status = 503

    (check,) = await check_account(discord.settings())

    assert check.grade is Grade.FAIL
    assert check.detail.endswith("answered 503")


async def test_discord_out_of_reach() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"

        (check,) = await check_account(Discord(url=base).settings())

    assert check.grade is Grade.FAIL
    assert check.detail == f"{base} cannot be reached"


def test_missing_permissions_are_named_by_guild() -> None:
    check = check_permissions(
        [
            {"name": "Full", "permissions": str(ALL)},
            {"name": "Admin", "permissions": str(1 << 3)},
            {"name": "Poor", "permissions": str(ALL - PERMISSIONS["Attach Files"])},
        ]
    )

    assert check.grade is Grade.WARN
    assert check.detail == "Poor lacks Attach Files"


def test_many_poor_guilds_are_counted() -> None:
    check = check_permissions([{"name": f"G{n}", "permissions": "0"} for n in range(8)])

    assert check.detail.endswith("and 3 more guilds")


def test_a_bot_in_no_guild_is_told_how_to_be_invited() -> None:
    check = check_permissions([])

    assert check.grade is Grade.WARN
    assert "applications.commands" in check.advice
