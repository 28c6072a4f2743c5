"""A store that fails while the bot runs: typed errors, one log line, and life afterwards."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.errors import StoreError
from bot.store import JobState, Store
from tests.servers import PostgresServer, needs_postgres

TOKEN = "aW50ZXJhY3Rpb246c2VjcmV0"


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server that the test may kill."""
    with PostgresServer() as server:
        yield server


async def failure(store: Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.set_value("key", "x" * 100)
    return caught.value


async def test_a_full_disk_stops_writing_only(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(sqlite_url)
    await store.accept_job(job_id="0a", kind="imagine", user_id=7)

    @sa.event.listens_for(store.engine.sync_engine, "begin")
    def no_room(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

    limit = 1  # SQLite takes the present size for the least
    with caplog.at_level(logging.INFO, logger="bot.store"):
        for number in range(3):
            with pytest.raises(StoreError) as caught:
                await store.keep_picture(
                    job_id="0a", filename=f"{number}.png", data=b"x" * 50_000, expires_at=9e9
                )
            assert caught.value.details["reason"] == "disk full"
    assert not store.available
    assert store.failures == 3
    assert [one.getMessage() for one in caplog.records] == [
        "the store failed (disk full): going on without it"
    ]
    assert await store.get_job("0a") is not None
    limit = 1_000_000
    await store.keep_picture(job_id="0a", filename="a", data=b"x" * 50_000, expires_at=9e9)
    assert store.available
    assert len(await store.kept_pictures(7)) == 1
    await store.close()


async def test_a_lock_held_too_long_is_an_error_and_then_over(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await Store.open(sqlite_url, lock_seconds=0.1)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await failure(store)).details["reason"] == "locked"
    assert await store.get_value("key") is None  # readers are not kept out
    other.execute("COMMIT")
    other.close()
    await store.set_value("key", "value")
    assert store.available
    await store.close()


async def test_a_file_that_turns_read_only_is_an_error(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url)

    @sa.event.listens_for(store.engine.sync_engine, "begin")
    def read_only(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")

    assert (await failure(store)).details["reason"] == "read-only"
    await store.close()


async def test_a_driver_s_own_failure_is_the_store_s(sqlite_url: str) -> None:
    """Asyncpg has a class for it that is none of its others, nor wrapped by SQLAlchemy."""
    asyncpg = pytest.importorskip("asyncpg")
    store = await Store.open(sqlite_url)

    @sa.event.listens_for(store.engine.sync_engine, "begin")
    def torn(_connection: sa.Connection) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    assert (await failure(store)).details["reason"] == "unexpected"
    await store.close()


@needs_postgres
async def test_a_database_server_that_dies_is_missed_and_found_again(
    mortal: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(mortal.create_schema())
    await store.accept_job(job_id="0a", kind="imagine", user_id=7)
    mortal.stop()
    for _ in range(3):
        assert (await failure(store)).details["reason"] == "unreachable"
    assert len([one for one in caplog.records if one.name == "bot.store.database"]) == 1
    mortal.start()
    await store.check()
    assert store.available
    assert await store.finish_job("0a", JobState.DONE)
    await store.close()


@needs_postgres
async def test_a_database_server_that_hangs_holds_nobody_up(mortal: PostgresServer) -> None:
    store = await Store.open(mortal.create_schema(), timeout_s=0.5)
    await store.set_value("key", "value")
    mortal.signal_all(signal.SIGSTOP)
    try:
        assert (await failure(store)).details["reason"] == "timed out"
    finally:
        mortal.signal_all(signal.SIGCONT)
    assert await store.get_value("key") == "value"
    await store.close()


async def test_errors_carry_neither_tokens_nor_prompts(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(2):
        try:
            await store.accept_job(
                job_id="0a",
                kind="imagine",
                user_id=7,
                interaction_token=TOKEN,
                parameters={"prompt": "my secret wish"},
            )
        except StoreError:
            logging.getLogger("test").exception("as a careless caller would log it")
    assert "store_conflict" in caplog.text
    assert TOKEN not in caplog.text
    assert "secret wish" not in caplog.text


@pytest.mark.parametrize("picture_id", [2**63, -(2**70)])
async def test_a_number_beyond_all_bounds_is_rejected(store: Store, picture_id: int) -> None:
    with pytest.raises(StoreError) as caught:
        await store.read_picture(picture_id, user_id=7)
    assert caught.value.code == "store_rejected"
    assert store.available


async def test_cancelled_callers_leave_the_store_usable(store: Store) -> None:
    for pause in (0.0, 0.0005, 0.001, 0.002, 0.005):
        tasks = [
            asyncio.create_task(store.set_value(f"key{number}", "value")) for number in range(10)
        ]
        await asyncio.sleep(pause)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await store.set_value("key", "value")
    assert await store.get_value("key") == "value"
    assert store.failures == 0
