"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.store import Store
from tests.servers import PostgresServer, needs_postgres


class Clock:
    """Unix time that moves when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def plans_of(store: Store, call: Awaitable[object]) -> dict[str, list[str]]:
    """Return each statement of a call on a SQLite store, and the steps SQLite takes for it."""
    seen: list[tuple[str, tuple[object, ...]]] = []

    def note(*arguments: object) -> None:
        seen.append((arguments[2], arguments[3]))  # type: ignore[arg-type]  # as the driver gets them

    engine = store.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        await call
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    plans = {}
    async with store._reading() as connection:
        for statement, parameters in seen:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                rows = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                plans[statement] = [row.detail for row in rows]
    return plans


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/store.db"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """Return the address of an empty place for a store."""
    if request.param == "sqlite":
        return sqlite_url
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_schema()


@pytest.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock=clock)
    yield opened
    await opened.close()
