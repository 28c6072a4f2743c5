"""Nothing is drawn a second time: not what ended meanwhile, nor what the store was not told of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.conversation import Outcome
from bot.engine.null import NullPipeline
from bot.errors import StoreError
from bot.journal import Journal
from bot.recovery import TOO_LATE_SECONDS, Recovery
from bot.request import Wish
from bot.store import Job, JobState, Store
from tests.test_studio import ASKER, FakeReply, MakeStudio, make_studio

__all__ = ["make_studio"]

CLAIM_SECONDS = 0.05


@pytest.fixture
async def studio(make_studio: MakeStudio) -> Any:
    """Return a studio whose claims lapse almost at once."""
    studio = await make_studio()
    studio.journal = Journal(studio.journal.store, claim_seconds=CLAIM_SECONDS)
    return studio


@pytest.fixture
async def other(studio: Any, tmp_path: Path) -> AsyncIterator[Store]:
    """Yield the store as another process has it open."""
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    yield store
    await store.close()


def recovery_of(studio: Any, reply: FakeReply, *, later: float = 0.0) -> Recovery:
    """Return what looks for orphans, by a clock that is `later` seconds ahead."""

    async def as_it_is(wish: Wish) -> Wish:
        return wish

    return Recovery(
        studio,
        reply_for=lambda job: reply,
        refresh=as_it_is,
        asker_of=lambda job: ASKER,
        clock=lambda: time.time() + later,
    )


async def orphan(store: Store, job_id: str) -> None:
    await store.accept_job(
        job_id=job_id, kind="imagine", user_id=7, parameters={"prompt": "a cat", "seed": 1}
    )


async def test_an_orphan_is_answered_once(studio: Any, other: Store) -> None:
    await orphan(other, "0123456789ab")
    reply = FakeReply()
    recovery = recovery_of(studio, reply)
    for _ in range(3):
        await recovery.sweep()
    await recovery.wait()
    await asyncio.sleep(2 * CLAIM_SECONDS)
    await recovery.sweep()
    assert (studio.taken_over, len(reply.results)) == (1, 1)


async def test_orphans_are_looked_for_on_after_something_nobody_thought_of(
    studio: Any,
    other: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    look = Journal.orphans

    async def broken(journal: Journal) -> list[Job]:
        monkeypatch.setattr(Journal, "orphans", look)
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Journal, "orphans", broken)
    await orphan(other, "0123456789ab")
    reply = FakeReply()
    looking = asyncio.create_task(recovery_of(studio, reply).run())
    async with asyncio.timeout(10):
        while not reply.results:  # noqa: ASYNC110 - another task draws
            await asyncio.sleep(0.01)
    looking.cancel()
    assert "nobody thought of this" in caplog.text


async def test_what_nobody_waits_for_any_more_is_given_up(studio: Any, other: Store) -> None:
    """It could still be answered in its channel, where it would only surprise."""
    await orphan(other, "0123456789ab")
    outcomes: list[Outcome] = []
    studio.observers.append(outcomes.append)
    reply = FakeReply()
    recovery = recovery_of(studio, reply, later=TOO_LATE_SECONDS + 1)
    await recovery.sweep()
    await recovery.wait()
    assert (studio.taken_over, reply.results) == (0, [])
    assert [(one.state, one.code) for one in outcomes] == [(JobState.FAILED, "interrupted")]
    job = await other.get_job("0123456789ab")
    assert job is not None
    assert (job.state, job.error_code) == (JobState.FAILED, "interrupted")


async def test_what_another_process_finished_since_the_look_is_left_alone(
    studio: Any, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of orphans is older than the taking of each, by all that was taken before it."""
    look = Journal.orphans

    async def looked_long_ago(journal: Journal) -> list[Job]:
        found = await look(journal)
        assert await other.take_job("0123456789ab", "another", 30.0)
        await other.finish_job("0123456789ab", JobState.DONE)
        return found

    monkeypatch.setattr(Journal, "orphans", looked_long_ago)
    await orphan(other, "0123456789ab")
    reply = FakeReply()
    recovery = recovery_of(studio, reply)
    await recovery.sweep()
    await recovery.wait()
    assert (studio.taken_over, len(reply.results)) == (0, 0)


async def away(*_: object, **__: object) -> bool:
    """Stand in for a store that takes nothing."""
    raise StoreError(reason="locked")


async def test_what_was_answered_while_the_store_was_away_is_not_drawn_again(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = studio.journal.store
    finish = store.finish_job
    monkeypatch.setattr(store, "finish_job", away)
    reply = FakeReply()
    outcome = await studio.draw(reply, Wish(prompt="a cat"), ASKER, kind="imagine")
    assert len(reply.results) == 1
    await asyncio.sleep(2 * CLAIM_SECONDS)
    recovery = recovery_of(studio, reply)
    await recovery.sweep()
    monkeypatch.setattr(store, "finish_job", finish)
    await recovery.sweep()
    await recovery.wait()
    assert (studio.taken_over, len(reply.results)) == (0, 1)
    job = await store.get_job(outcome.job_id)
    assert job.state is JobState.DONE
    assert job.message_id == 7000


async def test_the_store_learns_of_every_end_before_the_process_lets_go(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next process would take what was answered for what was not."""
    store = studio.journal.store
    finish = store.finish_job
    monkeypatch.setattr(store, "finish_job", away)
    await studio.draw(FakeReply(), Wish(prompt="a cat"), ASKER, kind="imagine")
    monkeypatch.setattr(store, "finish_job", finish)
    await studio.journal.release()
    assert await store.unfinished_jobs() == []


async def test_a_refusal_counts_as_given_once_it_was_heard(studio: Any) -> None:
    """A process that is killed before leaves the request to the next one."""
    store = studio.journal.store
    unfinished_when_told: list[int] = []

    class Listening(FakeReply):
        async def refuse(self, error: BaseException, job_id: str) -> None:
            unfinished_when_told.append(len(await store.unfinished_jobs()))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the engine went wrong")

    studio.service.scheduler.submit = broken
    await studio.draw(Listening(), Wish(prompt="a cat"), ASKER, kind="imagine")
    assert unfinished_when_told == [1]
    assert await store.unfinished_jobs() == []


class Failing(NullPipeline):
    """Fails once a step has taken its time."""

    def step(self, samples: Any) -> None:
        super().step(samples)
        raise ValueError("the engine went wrong")


@pytest.mark.parametrize("pipeline", [NullPipeline, Failing])
async def test_what_was_taken_over_while_it_was_drawn_is_left_to_who_took_it(
    make_studio: MakeStudio, tmp_path: Path, pipeline: type[NullPipeline]
) -> None:
    """A process that was held up for longer than its claims last has neither picture nor word."""
    studio = await make_studio(lambda: pipeline(step_seconds=1.0))
    studio.journal = Journal(studio.journal.store, claim_seconds=CLAIM_SECONDS)
    other = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    reply = FakeReply()
    drawing = asyncio.create_task(studio.draw(reply, Wish(prompt="a cat"), ASKER, kind="imagine"))
    await reply.in_queue.wait()
    await asyncio.sleep(2 * CLAIM_SECONDS)
    assert await other.take_job(reply.queued_jobs[0], "another", 30.0)
    assert (await drawing).state is JobState.ABANDONED
    assert reply.is_closed
    assert (reply.results, reply.errors) == ([], [])
    job = await other.get_job(reply.queued_jobs[0])
    await other.close()
    assert job is not None
    assert not job.is_finished
