"""Two bot processes with one half of the gateway each, sharing limits and store."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.app import connected
from bot.sandbox import Sandbox, SandboxClient
from tests.e2e import eventually, null_scheduler, settings_for, words
from tests.servers import PostgresServer, RedisServer, needs_postgres, needs_redis

ROOT = Path(__file__).resolve().parents[1]
GUILDS = 6
QUOTA = 5


@asynccontextmanager
async def bot_process(sandbox: Sandbox, **environment: str) -> AsyncIterator[None]:
    """Run `turbocord run` as an operator would, by environment alone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        cwd=ROOT,
        env={
            **os.environ,
            "DISCORD_TOKEN": sandbox.token,
            "TURBOCORD_API_BASE": sandbox.base_url,
            "TURBOCORD_GATEWAY": sandbox.gateway_url,
            "TURBOCORD_MODEL": "tiny",
            "TURBOCORD_MAX_BATCH": "2",
            "TURBOCORD_MEMBER_IMAGES": str(QUOTA),
            "TURBOCORD_MEMBER_WINDOW": "3600",
            **environment,
        },
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ready_shards(member: SandboxClient) -> set[tuple[int, int]]:
    """Return the shards that have identified, as (id, count)."""
    return {
        tuple(entry["body"]["shard"])
        for entry in await member.traffic(kind="gateway")
        if entry["name"] == "READY"
    }


@pytest.fixture(scope="module")
def redis() -> Any:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Any:
    with PostgresServer() as server:
        yield server


@pytest.mark.timeout(240)  # three processes load a model on the way
@needs_redis
@needs_postgres
async def test_two_processes_split_the_gateway_and_share_the_rest(
    redis: RedisServer, postgres: PostgresServer
) -> None:
    shared = {
        "TURBOCORD_LIMITS_URL": redis.url,
        "TURBOCORD_DATABASE_URL": postgres.create_schema(),
    }
    async with Sandbox() as sandbox, sandbox.client() as member:
        for number in range(GUILDS):
            await member.create_guild(
                f"guild{number}", owner="ada", channels=["room"], members=["ben", "cleo"]
            )
        async with (
            bot_process(sandbox, TURBOCORD_SHARDS="0/2", **shared),
            bot_process(sandbox, TURBOCORD_SHARDS="1/2", **shared),
        ):

            async def both_are_ready() -> bool:
                return await ready_shards(member) == {(0, 2), (1, 2)}

            await eventually(both_are_ready, timeout=90)
            guilds = (await member.world(user="ada"))["guilds"]
            assert {(int(guild["id"]) >> 22) % 2 for guild in guilds} == {0, 1}
            calls = [
                {
                    "text": f"/imagine prompt:picture {number}",
                    "user": ("ada", "ben", "cleo")[number % 3],
                    "guild": f"guild{number % GUILDS}",
                    "channel": "room",
                }
                for number in range(GUILDS * 3)
            ]
            ids = await member.invoke_many(calls)
            records = await asyncio.gather(
                *(member.wait_response(one, timeout=90, until="files") for one in ids)
            )
            assert all(len(record["response"]["files"]) == 1 for record in records)
            assert all(record["ack_ms"] < 3000 for record in records)
            assert not await member.traffic(broken_only=True)

            # A direct message goes to shard 0, whichever process drew for the member before:
            # the window that both charge is the same member's.
            channel = await member.dm("cleo")
            for left in range(QUOTA, -1, -1):
                interaction = await member.command(
                    "/imagine prompt:mine", user="cleo", channel=channel["id"]
                )
                awaited = "files" if left else "answer"  # a note on the wait is an answer, too
                record = await member.wait_response(interaction, timeout=60, until=awaited)
                assert bool(record["response"]["files"]) is (left > 0)
            assert "You have used your 5 pictures" in words(record["response"])


@needs_postgres
async def test_a_press_is_answered_by_whichever_process_holds_the_shard(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """The one that drew is gone; the other has nothing but the store in common with it."""
    url = postgres.create_schema()
    async with Sandbox() as sandbox, sandbox.client() as member:
        settings = settings_for(sandbox, tmp_path, database_url=url)
        async with connected(settings, scheduler=null_scheduler()):
            sent = await member.command(
                "/imagine prompt:first process", user="ada", channel="general"
            )
            record = await member.wait_response(sent, timeout=60, until="files")
            message = record["response"]
        async with connected(settings, scheduler=null_scheduler()):
            pressed = await member.press(message["id"], "Reroll", user="ben")
            record = await member.wait_response(pressed, timeout=60, until="files")
            assert "first process" in words(record["response"])
