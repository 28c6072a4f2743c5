"""Processes killed and ended by signals: the store carries what they had accepted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot import exit_codes
from bot.sandbox import Sandbox, SandboxClient
from bot.store import Store
from tests.e2e import MESSAGE_CONTENT, eventually, words
from tests.faults.processes import START_SECONDS, Process, environment, running


async def connected(member: SandboxClient, process: Process, count: int) -> None:
    """Return once the bot has identified for the `count`th time and knows its commands."""

    async def is_there() -> bool:
        assert process.process.returncode is None, process.said
        sent = await member.traffic(kind="gateway")
        ready = [entry for entry in sent if "READY" in entry["name"]]
        return len(ready) >= count

    await eventually(is_there, timeout=START_SECONDS)


async def bot_messages(member: SandboxClient) -> list[dict[str, Any]]:
    return await member.messages("general", user="ada")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_and_started_again_every_request_is_answered_once(
    tmp_path: Path, moment: str
) -> None:
    """The process is killed before Discord took its first response, or before it learnt so."""
    seeds = (100, 200, 300)
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        env = environment(tmp_path, sandbox)
        async with running(tmp_path, env) as first:
            await connected(member, first, 1)
            await member.fault(
                "rest", "slow", route="*/callback", seconds=600, times=None, moment=moment
            )
            for seed in seeds:
                await member.command(
                    f"/imagine prompt:a cat seed:{seed}", user="ada", channel="general"
                )

            async def all_were_answering() -> bool:
                return (await member.faults())[0]["hits"] >= len(seeds)

            await eventually(all_were_answering, timeout=60)
            first.kill(signal.SIGKILL)
            assert await first.code() == -signal.SIGKILL
        await member.clear_faults()
        async with running(tmp_path, env) as second:
            await connected(member, second, 2)

            store = await Store.open(env["TURBOCORD_DATABASE_URL"])

            async def all_have_ended() -> bool:
                return not await store.unfinished_jobs()

            await eventually(all_have_ended, timeout=60)
            await store.close()
            shown = await bot_messages(member)
            second.kill(signal.SIGTERM)
            assert await second.code() == exit_codes.OK
    assert seeds_of(shown) == sorted(seeds)


def seeds_of(messages: list[dict[str, Any]]) -> list[int]:
    """Return the seeds of every picture shown, as the file names tell them."""
    names = [file["filename"] for message in messages for file in message["files"]]
    return sorted(int(name.rsplit("-", 1)[1].split(".")[0]) for name in names)


@asynccontextmanager
async def answering_slowly(
    folder: Path, *, requests: int, seconds: float
) -> AsyncIterator[tuple[SandboxClient, Process, list[str]]]:
    """Yield a member, a bot and the commands whose answers are on their way to Discord."""
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
        running(folder, environment(folder, sandbox)) as process,
    ):
        await connected(member, process, 1)
        await member.fault("rest", "slow", route="*/callback", seconds=seconds, times=None)
        sent = [
            await member.command("/imagine prompt:a cat", user="ada", channel="general")
            for _ in range(requests)
        ]

        async def all_are_answering() -> bool:
            return (await member.faults())[0]["hits"] >= requests

        await eventually(all_are_answering, timeout=60)
        yield member, process, sent
        assert "Traceback" not in process.said
        assert sandbox.token not in process.said


async def test_sigterm_finishes_what_runs_and_ends_well(tmp_path: Path) -> None:
    async with answering_slowly(tmp_path, requests=1, seconds=1.0) as (member, process, (sent,)):
        process.kill(signal.SIGTERM)
        assert await process.code() == exit_codes.OK
        record = await member.wait_response(sent, timeout=5)
    assert record["response"]["files"]


async def test_a_second_signal_costs_no_answer(tmp_path: Path) -> None:
    async with answering_slowly(tmp_path, requests=3, seconds=2.0) as (member, process, sent):
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.kill(number)
            await asyncio.sleep(0.3)
        assert await process.code() == exit_codes.OK
        records = [await member.wait_response(one, timeout=5) for one in sent]
    for record in records:
        assert record["response"]["files"] or words(record["response"])


DYING = "tests.faults.dying_engine"


async def test_a_process_whose_device_is_lost_answers_and_ends(tmp_path: Path) -> None:
    """A supervisor starts a new one, which has a device again; this one would never draw."""
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
        running(tmp_path, environment(tmp_path, sandbox), module=(DYING, "run")) as process,
    ):
        await connected(member, process, 1)
        sent = await member.command("/imagine prompt:a cat", user="ada", channel="general")
        async with asyncio.timeout(60):
            assert await process.code() == exit_codes.INTERNAL
        record = await member.wait_response(sent, timeout=5)
    assert words(record["response"])
    assert process.said.count("no device is left that can draw") == 1


async def test_so_does_the_web_page_by_itself(tmp_path: Path) -> None:
    env = environment(tmp_path, DYING_ENGINE="idle")
    async with running(tmp_path, env, module=(DYING, "web", "--port", "0")) as process:
        async with asyncio.timeout(60):
            assert await process.code() == exit_codes.INTERNAL
    assert process.said.count("no device is left that can draw") == 1
