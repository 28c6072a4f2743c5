"""Ending and starting again: what was accepted is finished, answered in words, or taken over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import App, connected
from bot.engine.scheduler import BatchScheduler
from bot.sandbox import Sandbox, SandboxClient
from bot.store import Job, JobState, Store
from tests.e2e import MESSAGE_CONTENT, eventually, null_scheduler, settings_for, words
from tests.faults.conftest import PacedPipeline

CLAIM_SECONDS = 1.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox:
        yield sandbox


@pytest.fixture
async def member(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with sandbox.client() as member:
        yield member


@asynccontextmanager
async def a_bot(
    sandbox: Sandbox, folder: Path, scheduler: BatchScheduler | None = None, **options: Any
) -> AsyncIterator[App]:
    settings = settings_for(sandbox, folder, claim_seconds=CLAIM_SECONDS, **options)
    async with connected(settings, scheduler=scheduler or null_scheduler()) as app:
        yield app


async def asked(member: SandboxClient, text: str = "/imagine prompt:a cat") -> str:
    """Ask and return once the request is acknowledged and waits."""
    sent = await member.command(text, user="ada", channel="general")
    await member.wait_response(sent, until="ack", timeout=30)
    return sent


async def test_what_runs_is_finished_before_the_end(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    async with a_bot(sandbox, tmp_path, BatchScheduler([pace])):
        sent = await asked(member)
    record = await member.wait_response(sent, timeout=5)
    assert record["response"]["files"]


async def test_what_cannot_be_finished_is_answered_in_words(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 3.0
    async with a_bot(sandbox, tmp_path, BatchScheduler([pace]), drain_seconds=0.2) as app:
        sent = await asked(member, "/imagine prompt:a cat seed:7")
        store = app.store
        (job,) = await store.unfinished_jobs()
    record = await member.wait_response(sent, timeout=5)
    assert "restarting" in words(record["response"])
    again = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'turbocord.db'}")
    ended = await again.get_job(job.job_id)
    await again.close()
    assert ended is not None
    assert (ended.state, ended.error_code) == (JobState.FAILED, "engine_stopping")
    assert ended.parameters["seed"] == 7
    async with a_bot(sandbox, tmp_path):
        pressed = await member.press(record["response"]["id"], "Retry", user="ada")
        retried = await member.wait_response(pressed, until="files", timeout=30)
    assert "-7." in retried["response"]["files"][0]["filename"]


async def test_who_asks_while_it_ends_is_told_so(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 1.0
    async with a_bot(sandbox, tmp_path, BatchScheduler([pace])) as app:
        first = await asked(member)
        ending = asyncio.create_task(app.studio.drain(20))
        await asyncio.sleep(0)
        late = await member.command("/imagine prompt:a dog", user="ben", channel="general")
        record = await member.wait_response(late, timeout=30)
        assert "restarting" in words(record["response"])
        await ending
    record = await member.wait_response(first, timeout=5)
    assert record["response"]["files"]


async def an_orphan(folder: Path, **values: Any) -> str:
    """Write down a job as a process that was killed leaves it; return its id."""
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'turbocord.db'}")
    parameters = {"prompt": "a cat", "seed": 7, "count": 1, "size": "square"}
    given = {"job_id": "0123456789ab", "kind": "imagine", "parameters": parameters} | values
    await store.accept_job(**given)
    await store.close()
    return str(given["job_id"])


async def ended(app: App, job_id: str) -> Job:
    """Return the job once it has ended."""

    async def has_ended() -> bool:
        job = await app.store.get_job(job_id)
        return job is not None and job.is_finished

    await eventually(has_ended, timeout=30)
    job = await app.store.get_job(job_id)
    assert job is not None
    return job


def general_of(sandbox: Sandbox) -> tuple[int, int, int]:
    """Return the ids of ada, her guild and its general channel."""
    state = sandbox.state
    ada = next(one.id for one in state.users.values() if one.username == "ada")
    (guild,) = state.guilds.values()
    return ada, guild.id, next(one.id for one in guild.channels.values() if one.name == "general")


async def test_a_mention_that_was_left_behind_is_answered_in_its_channel(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    ada, guild, channel = general_of(sandbox)
    job_id = await an_orphan(
        tmp_path, kind="mention", user_id=ada, guild_id=guild, channel_id=channel
    )
    async with a_bot(sandbox, tmp_path) as app:
        job = await ended(app, job_id)
        await asyncio.sleep(CLAIM_SECONDS)
        (message,) = await member.messages("general", user="ada")
    assert job.state is JobState.DONE
    assert [one.seed for one in job.attachments] == [7]
    assert message["files"][0]["filename"].endswith("-7.png")


async def test_a_mention_in_a_direct_message_that_was_left_behind_is_answered_there(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    ada, _, _ = general_of(sandbox)
    channel = await member.dm("ada")
    job_id = await an_orphan(tmp_path, kind="mention", user_id=ada, channel_id=int(channel["id"]))
    async with a_bot(sandbox, tmp_path) as app:
        job = await ended(app, job_id)
        (message,) = await member.messages(channel["id"], user="ada")
    assert job.state is JobState.DONE
    assert message["files"][0]["filename"].endswith("-7.png")


async def left_behind(sandbox: Sandbox, folder: Path, sent: str) -> str:
    """Write down the job of an interaction as a process that was killed leaves it."""
    interaction = sandbox.state.interactions[int(sent)]
    return await an_orphan(
        folder,
        user_id=interaction.user_id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        application_id=sandbox.application_id,
        interaction_token=interaction.token,
        token_expires_at=interaction.created_at + 900,
    )


async def test_an_answer_that_was_not_written_down_is_not_doubled(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    """The process was killed between Discord's taking the picture and its own note of that."""
    async with a_bot(sandbox, tmp_path):
        sent = await member.command("/imagine prompt:a cat", user="ada", channel="general")
        await member.wait_response(sent, until="files", timeout=30)
    job_id = await left_behind(sandbox, tmp_path, sent)
    async with a_bot(sandbox, tmp_path) as app:
        assert (await ended(app, job_id)).state is JobState.DONE
        (message,) = await member.messages("general", user="ada")
    assert len(message["files"]) == 1


async def test_a_request_left_thinking_gets_its_picture(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    async with a_bot(sandbox, tmp_path):
        pass  # its commands are known from now on
    sent = await member.command("/imagine prompt:a cat", user="ada", channel="general")
    interaction = sandbox.state.interactions[int(sent)]
    async with aiohttp.ClientSession() as session:
        url = f"{sandbox.base_url}/api/v10/interactions/{sent}/{interaction.token}/callback"
        async with session.post(url, json={"type": 5}) as response:
            assert response.ok
    job_id = await left_behind(sandbox, tmp_path, sent)
    async with a_bot(sandbox, tmp_path) as app:
        record = await member.wait_response(sent, until="files", timeout=30)
        assert (await ended(app, job_id)).message_id == int(record["response"]["id"])
        assert len(await member.messages("general", user="ada")) == 1


async def test_two_processes_answer_an_orphan_once(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    ada, guild, channel = general_of(sandbox)
    async with a_bot(sandbox, tmp_path) as one, a_bot(sandbox, tmp_path) as other:
        job_id = await an_orphan(tmp_path, user_id=ada, guild_id=guild, channel_id=channel)
        job = await ended(one, job_id)
        await asyncio.sleep(2 * CLAIM_SECONDS)
        assert len(await member.messages("general", user="ada")) == 1
        assert one.studio.taken_over + other.studio.taken_over == 1
    assert job.state is JobState.DONE


async def test_what_is_older_than_the_operator_keeps_is_forgotten(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    clock = [0.0]
    store = await Store.open(
        f"sqlite+aiosqlite:///{tmp_path / 'turbocord.db'}", clock=lambda: clock[0]
    )
    for job_id, born in (("old", time.time() - 3 * 86400), ("new", time.time() - 86400)):
        clock[0] = born
        await store.accept_job(job_id=job_id, kind="imagine", user_id=1)
        await store.finish_job(job_id, JobState.DONE)
    await store.close()
    async with a_bot(sandbox, tmp_path, retention_days=2) as app:

        async def is_forgotten() -> bool:
            return await app.store.get_job("old") is None

        await eventually(is_forgotten)
        assert await app.store.get_job("new") is not None


async def test_what_nobody_can_be_answered_for_is_marked(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    ada, _, _ = general_of(sandbox)
    job_id = await an_orphan(
        tmp_path,
        user_id=ada,
        application_id=sandbox.application_id,
        interaction_token="ended",
        token_expires_at=1.0,
    )
    async with a_bot(sandbox, tmp_path) as app:
        job = await ended(app, job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "interrupted")


async def test_a_living_process_keeps_what_is_its_own(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    """Drawing takes longer than a claim lasts: renewed claims keep the other process away."""
    pace.seconds = CLAIM_SECONDS * 2
    _, guild, _ = general_of(sandbox)
    mine = (guild >> 22) % 2
    async with (
        a_bot(sandbox, tmp_path, BatchScheduler([pace]), shards=f"{mine}/2"),
        a_bot(sandbox, tmp_path, shards=f"{1 - mine}/2") as other,
    ):
        sent = await asked(member)
        await member.wait_response(sent, until="files", timeout=60)
        assert other.studio.taken_over == 0
        shown = await member.messages("general", user="ada")
    assert len(shown) == 1
