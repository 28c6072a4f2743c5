"""One database, its transactions, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot import exit_codes
from bot.errors import StartupError, StoreError, install_hint
from bot.store import migrate
from bot.store.faults import (
    CONFLICT,
    LOCKED,
    REJECTED,
    Damaged,
    database_errors,
    parse_url,
    reason_of,
    startup_error,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECKED_BYTES: Final = 256 * 1024 * 1024
"""A SQLite file up to this size is checked as a whole at start; larger ones take too long."""

_MIGRATING: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]] = WeakKeyDictionary()

WRITING: Final = "BEGIN IMMEDIATE"


class Database:
    """A migrated SQLite file or PostgreSQL database.

    `failures` counts calls that failed because the database was away, `available` is whether the
    last one worked. `clock` is Unix time; processes that share a database need clocks that agree
    to within a small part of the shortest claim.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 10.0,
    ) -> None:
        self.engine = engine
        self.failures = 0
        self.available = True
        self._clock = clock
        self._timeout_s = timeout_s
        self._errors = database_errors()
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer anyway; a queue here is fair, its own busy waiting is not.
        self._writer = asyncio.Lock()
        self._in_memory = self._is_sqlite and not engine.url.database
        self._direct: sa.Engine | None = None
        # One for the writer, who may have to wait for another program's lock, one for readers.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="store")

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 10.0,
        lock_seconds: float = 5.0,
        **options: Any,
    ) -> Self:
        """Connect, check, migrate. `lock_seconds` is how long another program's lock is waited for.

        Raises StartupError with one sentence for whatever is wrong with the address, the path, the
        disk, the file or the server.
        """
        parsed = parse_url(url)
        try:
            engine = create_engine(parsed, lock_seconds=lock_seconds)
        except ImportError as error:
            raise StartupError(
                f"A PostgreSQL store needs the package asyncpg: {install_hint('postgres')}",
                exit_code=exit_codes.CONFIG,
            ) from error
        database = cls(engine, clock=clock, timeout_s=timeout_s, **options)
        try:
            await database._prepare(lock_seconds)
            if database._path() is not None:
                database._direct = create_direct_engine(parsed, lock_seconds=lock_seconds)
        except BaseException as error:
            await engine.dispose()
            if isinstance(error, (*database._errors, migrate.SchemaTooNew, Damaged)):
                raise startup_error(error, parsed) from error
            raise
        log.info("store open at %s", parsed.render_as_string(hide_password=True))
        return database

    async def _prepare(self, lock_seconds: float) -> None:
        """Make the folder, check the file, switch to write-ahead logging, migrate."""
        path = self._path()
        if path is not None:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            await self._check_file(path)
            await self._use_wal(lock_seconds)
        async with _migrating(), self.engine.connect() as connection:
            await connection.execution_options(begin=WRITING)
            async with connection.begin():
                await connection.run_sync(migrate.upgrade)
                # Nothing but a write shows whether writing is possible.
                await connection.exec_driver_sql(
                    "INSERT INTO key_values (key, value) VALUES ('store.opened', '') "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                )

    def _path(self) -> Path | None:
        """Return the SQLite file, or None where there is none or its address is a URI."""
        name = self.engine.url.database
        if not self._is_sqlite or not name or name.startswith("file:"):
            return None
        return Path(name)

    async def _check_file(self, path: Path) -> None:
        size = await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)
        if 0 < size <= CHECKED_BYTES:
            async with self.engine.connect() as connection:
                found = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()
            if found != "ok":
                log.error("the store's file is damaged: %s", str(found).splitlines()[0])
                raise Damaged

    async def _use_wal(self, lock_seconds: float) -> None:
        """Switch the file to write-ahead logging.

        SQLite does not wait for other connections here as it does elsewhere, so we do.
        """
        deadline = time.monotonic() + lock_seconds
        while True:
            try:
                async with self.engine.connect() as connection:
                    await connection.execution_options(begin="")
                    mode = (
                        await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    ).scalar_one()
            except sa.exc.OperationalError as error:
                if reason_of(error) != LOCKED or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                if mode != "wal":
                    log.warning("the store's file system cannot do write-ahead logging: %s", mode)
                return

    async def close(self) -> None:
        """Close every connection; SQLite folds its log back into the file."""
        direct, self._direct = self._direct, None
        if direct is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, direct.dispose)
            self._threads.shutdown(wait=False)
        await self.engine.dispose()

    async def fold_log(self) -> None:
        """Have SQLite fold its log into the file and empty it; another's reading may prevent it."""
        if self._path() is None:
            return
        try:
            async with self._writer, self.engine.connect() as connection:
                await connection.execution_options(begin="")
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except self._errors as error:
            log.warning("the store's log could not be emptied: %s", reason_of(error))

    async def check(self) -> None:
        """Ask the database for one row. Raises StoreError."""
        async with self._reading() as connection:
            await connection.execute(sa.select(1))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that only reads. Raises StoreError."""
        async with self._transaction(write=False) as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that may write. Raises StoreError."""
        async with self._transaction(write=True) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, *, write: bool) -> AsyncIterator[AsyncConnection]:
        async with self._watched(write=write), self.engine.connect() as connection:
            await connection.execution_options(begin=WRITING if write else "BEGIN")
            async with connection.begin():
                yield connection

    async def _at_once(self, work: Callable[[sa.Connection], T], *, write: bool) -> T:
        """Return what `work` does in one transaction, which may `write`. Raises StoreError.

        With a SQLite file it runs in a thread as a whole. The asynchronous driver changes threads
        for every statement, cursor and row: some fifty times for one request's two transactions,
        which took more of the event loop than everything else that a request needs.
        """
        begin = WRITING if write else "BEGIN"
        async with self._watched(write=write):
            if self._direct is not None:
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, _in_transaction, self._direct, begin, work
                )
            async with self.engine.connect() as connection:
                await connection.execution_options(begin=begin)
                async with connection.begin():
                    return await connection.run_sync(work)

    @asynccontextmanager
    async def _watched(self, *, write: bool) -> AsyncIterator[None]:
        """Wait for the writer's turn and bound the time; failures become StoreError."""
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout(self._timeout_s))
                if self._is_sqlite and (write or self._in_memory):
                    await stack.enter_async_context(self._writer)
                yield
        except self._errors as error:
            raise self._failed(error) from error
        else:
            self._worked()

    def _failed(self, error: BaseException) -> StoreError:
        reason = reason_of(error)
        if reason in (CONFLICT, REJECTED):
            # The database works; it is what was asked of it that does not.
            return StoreError(f"store_{reason}", reason=reason)
        self.failures += 1
        if self.available:
            # Once per outage: every request would repeat it.
            log.error("the store failed (%s): going on without it", reason)
        self.available = False
        return StoreError(reason=reason)

    def _worked(self) -> None:
        if not self.available:
            self.available = True
            log.warning("the store works again")


def _migrating() -> asyncio.Lock:
    """Return the lock of this event loop for migrations: Alembic's context is one per process."""
    return _MIGRATING.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def create_engine(url: sa.URL, *, lock_seconds: float) -> AsyncEngine:
    """Return an engine with this project's connection settings. Raises ImportError."""
    common: dict[str, Any] = {
        # Parameters hold prompts and tokens, and errors are logged.
        "hide_parameters": True,
        "json_serializer": _to_json,
    }
    if url.get_backend_name() == "postgresql":
        return create_async_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=lock_seconds,
            connect_args={
                "timeout": lock_seconds,
                "server_settings": {"application_name": "turbocord"},
            },
            **common,
        )
    engine = create_async_engine(url, **common)
    # At DEBUG this logger writes every statement with its parameters, hidden or not.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)
    _configure(engine.sync_engine, lock_seconds)
    return engine


def create_direct_engine(url: sa.URL, *, lock_seconds: float) -> sa.Engine:
    """Return a second engine over a SQLite file, for a thread that may wait for the disk."""
    direct = sa.create_engine(
        url.set(drivername="sqlite"), hide_parameters=True, json_serializer=_to_json
    )
    _configure(direct, lock_seconds)
    return direct


def _in_transaction(engine: sa.Engine, begin: str, work: Callable[[sa.Connection], T]) -> T:
    with engine.connect().execution_options(begin=begin) as connection, connection.begin():
        return work(connection)


def _configure(engine: sa.Engine, lock_seconds: float) -> None:
    """Give every connection to a SQLite file this project's settings."""

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # Off, so that the listener below begins transactions: the driver would begin reading and
        # turn to writing later, which SQLite refuses at once when another writer came between.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(lock_seconds * 1000)}",
            "foreign_keys = ON",
            # What a member deletes is overwritten, not left in free pages.
            "secure_delete = ON",
            "synchronous = NORMAL",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        statement = connection.get_execution_options().get("begin", "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)


def _to_json(value: object) -> str:
    """Return `value` as ASCII JSON, which every database takes; NaN is not JSON."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
