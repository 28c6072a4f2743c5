"""Whom a request belongs to once this process has been held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.journal import Journal
from bot.store import Store

CLAIM_SECONDS = 1 / 32


class Clock:
    """The journal's time and the store's, which moves when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bot.journal.time", SimpleNamespace(monotonic=clock, time=time.time))
    return clock


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}", clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def journal(store: Store) -> Journal:
    """Return the journal of a process that works on the jobs 0a and 0b."""
    journal = Journal(store, claim_seconds=CLAIM_SECONDS)
    for job_id in ("0a", "0b"):
        await store.accept_job(
            job_id=job_id, kind="imagine", user_id=7, owner=journal.owner, ttl=CLAIM_SECONDS
        )
    return journal


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the jobs that the store has been asked for."""
    job_ids: list[str] = []
    take = store.take_job

    async def noted(job_id: str, owner: str, ttl: float) -> bool:
        job_ids.append(job_id)
        return await take(job_id, owner, ttl)

    monkeypatch.setattr(store, "take_job", noted)
    return job_ids


async def renew(journal: Journal, *, takes: float = 0.0) -> None:
    """Have the journal renew its claims once, for which the store needs `takes` seconds."""
    renewed = asyncio.Event()
    renew_claims = journal.store.renew_claims

    async def slow(owner: str, ttl: float) -> int:
        assert isinstance(journal.store._clock, Clock)
        journal.store._clock.now += takes
        count = await renew_claims(owner, ttl)
        renewed.set()
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal.store, "renew_claims", slow)
        keeping = asyncio.create_task(journal.keep_claims())
        await renewed.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_what_was_taken_over_is_not_answered_once_claims_are_renewed_again(
    store: Store, journal: Journal, clock: Clock
) -> None:
    """The renewal says nothing about what others took before it."""
    clock.now += CLAIM_SECONDS
    assert await store.take_job("0a", "another", 30.0)
    await renew(journal)
    await renew(journal)
    assert not await journal.may_answer("0a")
    assert await journal.may_answer("0b")


async def test_claims_lapse_while_the_store_is_slow_to_renew_them(
    journal: Journal, asked: list[str]
) -> None:
    await renew(journal, takes=CLAIM_SECONDS)
    await renew(journal)
    assert await journal.may_answer("0a")
    assert asked == ["0a"]


async def test_who_was_held_up_asks_for_as_long_as_it_may_matter(
    journal: Journal, clock: Clock, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.journal.ASKING_SECONDS", 2 * CLAIM_SECONDS)
    clock.now += CLAIM_SECONDS
    await renew(journal)
    asked_after = []
    for _ in range(5):
        clock.now += CLAIM_SECONDS / 2
        await renew(journal)
        assert await journal.may_answer("0a")
        asked_after.append(len(asked))
    assert asked_after == [1, 2, 3, 3, 3]


async def test_claims_are_renewed_on_after_something_nobody_thought_of(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries, renewed = iter([False, True]), asyncio.Event()

    async def renew_claims(*_: object) -> int:
        if not next(tries):
            raise RuntimeError("nobody thought of this")
        renewed.set()
        return 2

    monkeypatch.setattr(journal.store, "renew_claims", renew_claims)
    keeping = asyncio.create_task(journal.keep_claims())
    await asyncio.wait_for(renewed.wait(), 5)
    assert not keeping.done()
    keeping.cancel()
    assert "nobody thought of this" in caplog.text


async def test_who_was_never_held_up_asks_nothing(
    journal: Journal, clock: Clock, asked: list[str]
) -> None:
    for _ in range(4):
        clock.now += CLAIM_SECONDS / 2
        await renew(journal)
        assert await journal.may_answer("0a")
    assert asked == []
