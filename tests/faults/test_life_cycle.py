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

from bot.app import App, connected, engine_failed
from bot.engine.remote import RemoteScheduler
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


async def left_behind(sandbox: Sandbox, folder: Path, sent: str, **values: Any) -> str:
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
        **values,
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


async def test_a_private_request_left_without_a_word_is_answered_by_mail(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path
) -> None:
    """Its token opens nothing, because it was never acknowledged."""
    async with a_bot(sandbox, tmp_path):
        pass  # its commands are known from now on
    sent = await member.command("/imagine prompt:a cat private:true", user="ada", channel="general")
    parameters = {"prompt": "a cat", "seed": 7, "private": True}
    job_id = await left_behind(sandbox, tmp_path, sent, parameters=parameters)
    async with a_bot(sandbox, tmp_path) as app:
        assert (await ended(app, job_id)).state is JobState.DONE
        (message,) = await messages_of(member, "ada")
    assert message["files"][0]["filename"].endswith("-7.png")
    assert message["channel_id"] == (await member.dm("ada"))["id"]


async def a_panel_left_behind(
    sandbox: Sandbox,
    member: SandboxClient,
    folder: Path,
    pace: type[PacedPipeline],
    labels: tuple[str, ...],
) -> tuple[dict[str, Any], Job]:
    """Return a live panel and the job of a press, as a process that is killed leaves both.

    Each of `labels` is pressed; the last press is acknowledged, and still drawn.
    """
    async with a_bot(sandbox, folder, BatchScheduler([pace])) as app:
        sent = await member.command("/live prompt:a cat", user="ada", channel="general")
        panel = (await member.wait_response(sent, until="files", timeout=30))["response"]
        for label in labels:
            if label == labels[-1]:
                pace.seconds = 2.5
            pressed = await member.press(panel["id"], label, user="ada")
            await member.wait_response(pressed, until="ack", timeout=30)
            panel = await member.message(panel["id"], user="ada")
        (job,) = await app.store.unfinished_jobs()
        assert app.studio.abandon(job.job_id)
        await app.studio.wait_until_idle(10)
    await an_orphan(
        folder,
        kind=job.kind,
        user_id=job.user_id,
        guild_id=job.guild_id,
        channel_id=job.channel_id,
        application_id=job.application_id,
        interaction_token=job.interaction_token,
        token_expires_at=job.token_expires_at,
        parameters=job.parameters,
    )
    return panel, job


async def messages_of(member: SandboxClient, user: str) -> list[dict[str, Any]]:
    """Return what the bot has said to a member, in the channel and by mail."""
    channel = await member.dm(user)
    mail = await member.messages(channel["id"], user=user)
    return await member.messages("general", user=user) + mail


async def test_a_press_in_a_live_panel_that_was_left_behind_is_answered_in_it(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    """The panel's own controls ended with its process; those that last take their place."""
    panel, left = await a_panel_left_behind(sandbox, member, tmp_path, pace, ("New seed",))
    async with a_bot(sandbox, tmp_path) as app:
        assert (await ended(app, "0123456789ab")).state is JobState.DONE
        (shown,) = await messages_of(member, "ada")
        assert (shown["id"], bool(shown["ephemeral_for"])) == (panel["id"], True)
        (file,) = shown["files"]
        assert file["filename"].endswith(f"-{left.parameters['seed']}.png")
        again = await member.press(shown["id"], "Reroll", user="ada")
        assert (await member.wait_response(again, until="files", timeout=30))["response"]["files"]


async def test_a_press_that_cannot_be_drawn_again_leaves_the_panel_its_picture(
    sandbox: Sandbox, member: SandboxClient, tmp_path: Path, pace: type[PacedPipeline]
) -> None:
    """Of what a panel draws from no copy is kept; its member reads so below the panel."""
    labels = ("New seed", "Use as source")
    panel, _ = await a_panel_left_behind(sandbox, member, tmp_path, pace, labels)
    async with a_bot(sandbox, tmp_path) as app:
        assert (await ended(app, "0123456789ab")).state is JobState.REFUSED
        shown, told = await messages_of(member, "ada")
    # Their addresses are signed anew at every look.
    assert [one["id"] for one in shown["files"]] == [one["id"] for one in panel["files"]]
    assert "this was made from" in words(told)
    assert told["ephemeral_for"]


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


async def test_a_cluster_without_engines_is_waited_for() -> None:
    """Its engines are processes of their own; a new front would have none either."""
    scheduler = RemoteScheduler(lambda **limits: null_scheduler())
    waiting = asyncio.create_task(engine_failed(scheduler))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    waiting.cancel()
