"""Copies of sources: kept within bounds, and gone with their job."""

from __future__ import annotations

import pytest

from bot.errors import StoreError
from bot.store import Store
from bot.store.sources import MAX_SOURCES_PER_USER
from tests.store.conftest import Clock, plans_of


async def accept(store: Store, job_id: str, user_id: int = 7) -> None:
    await store.accept_job(job_id=job_id, kind="remix", user_id=user_id)


async def test_a_source_is_read_back_by_job_and_place(store: Store) -> None:
    await accept(store, "0a")
    await store.keep_source("0a", 0, b"first")
    await store.keep_source("0a", 1, b"second")
    await store.keep_source("0a", 1, b"second again")
    assert await store.read_source("0a", 0) == b"first"
    assert await store.read_source("0a", 1) == b"second again"
    assert await store.read_source("0a", 2) is None
    assert await store.read_source("0b", 0) is None


async def test_it_goes_when_its_member_deletes_their_data(store: Store) -> None:
    await accept(store, "0a", 7)
    await accept(store, "0b", 8)
    await store.keep_source("0a", 0, b"theirs")
    await store.keep_source("0b", 0, b"another's")
    await store.delete_jobs_of_user(7)
    assert await store.read_source("0a", 0) is None
    assert await store.read_source("0b", 0) == b"another's"


async def test_it_goes_when_its_job_is_forgotten(store: Store, clock: Clock) -> None:
    await accept(store, "0a")
    await store.keep_source("0a", 0, b"old")
    clock.now += 100
    await store.purge(clock.now - 50)
    assert await store.read_source("0a", 0) is None


async def test_the_oldest_give_way_when_all_together_are_too_large(url: str, clock: Clock) -> None:
    store = await Store.open(url, clock=clock, max_source_bytes=100)
    for number, job_id in enumerate(("0a", "0b", "0c")):
        await accept(store, job_id, number)
        await store.keep_source(job_id, 0, b"x" * 40)
        clock.now += 1
    kept = [await store.read_source(job_id, 0) for job_id in ("0a", "0b", "0c")]
    assert [one is not None for one in kept] == [False, True, True]
    with pytest.raises(StoreError) as caught:
        await store.keep_source("0c", 1, b"x" * 101)
    assert caught.value.code == "kept_picture_too_large"
    await store.close()


async def test_a_member_keeps_so_many_and_no_more(store: Store, clock: Clock) -> None:
    await accept(store, "other", 8)
    await store.keep_source("other", 0, b"x")
    for number in range(MAX_SOURCES_PER_USER + 2):
        clock.now += 1
        await accept(store, f"{number:03}", 7)
        await store.keep_source(f"{number:03}", 0, b"x")
    assert await store.read_source("000", 0) is None
    assert await store.read_source("001", 0) is None
    assert await store.read_source("002", 0) == b"x"
    assert await store.read_source("other", 0) == b"x"


async def test_a_source_of_an_unknown_job_is_not_kept(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        await store.keep_source("unknown", 0, b"x")
    assert caught.value.code == "store_conflict"


async def test_the_bounds_are_kept_without_reading_a_single_picture(sqlite_url: str) -> None:
    """A row's age lies behind its bytes, so that SQLite would have to go through them all."""
    store = await Store.open(sqlite_url)
    await accept(store, "0a")
    plans = await plans_of(store, store.keep_source("0a", 0, b"x"))
    (steps,) = plans.values()
    over = [step for step in steps if "kept_sources" in step]
    assert "SCAN kept_sources USING COVERING INDEX ix_kept_sources_age" in over
    assert all("COVERING INDEX" in step for step in over)
    await store.close()
