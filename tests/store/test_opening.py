"""Opening a store: migrations, processes that start at once, and a sentence for every fault."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bot import exit_codes
from bot.errors import StartupError
from bot.store import GuildSettings, Store, migrate
from bot.store.tables import metadata
from tests.servers import PostgresServer, free_port, needs_postgres

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def opening(*arguments: str) -> list[str]:
    """Return the command that opens a store elsewhere, as another user where root runs the test."""
    return [sys.executable, str(ROOT / "tests" / "store" / "opening.py"), *arguments]


def run_opening(url: str, *, as_somebody: bool = False) -> subprocess.CompletedProcess[str]:
    user = [str(NOBODY)] if as_somebody and os.geteuid() == 0 else []
    return subprocess.run(
        opening(url, *user),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


async def refusal(
    url: str, *, exit_code: int = exit_codes.STORE, lock_seconds: float = 10.0
) -> str:
    """Return the sentence with which `url` must be refused."""
    with pytest.raises(StartupError) as caught:
        await Store.open(url, lock_seconds=lock_seconds)
    assert caught.value.exit_code == exit_code
    return str(caught.value)


async def test_the_migrations_lead_to_the_tables_the_code_uses(store: Store) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_again_changes_nothing(url: str) -> None:
    for number in range(3):
        store = await Store.open(url)
        assert await store.get_value("count") == (str(number - 1) if number else None)
        await store.set_value("count", str(number))
        await store.close()


async def test_migrations_can_be_undone(store: Store) -> None:
    def down(connection: sa.Connection) -> list[str]:
        settings = migrate.config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
        return sa.inspect(connection).get_table_names()

    async with store.engine.begin() as connection:
        assert await connection.run_sync(down) == ["alembic_version"]


async def test_a_migration_that_fails_leaves_nothing_half_done(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrate.upgrade

    def failing(connection: sa.Connection) -> None:
        upgrade(connection)
        connection.exec_driver_sql("SELECT * FROM nowhere")

    monkeypatch.setattr(migrate, "upgrade", failing)
    assert "cannot be opened" in await refusal(url)
    monkeypatch.setattr(migrate, "upgrade", upgrade)
    store = await Store.open(url)
    await store.check()
    await store.close()


async def test_processes_that_start_at_once_both_open(url: str) -> None:
    started = [
        await asyncio.create_subprocess_exec(
            *opening(url),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    said = [(await process.communicate())[0].decode() for process in started]
    assert said == ["open\n"] * 2
    store = await Store.open(url)
    for process in started:
        assert await store.get_value(f"process {process.pid}") == "was here"
    await store.close()


async def test_stores_of_one_process_may_open_at_once(url: str, tmp_path: Path) -> None:
    others = [f"sqlite+aiosqlite:///{tmp_path}/{number}.db" for number in range(3)]
    for store in await asyncio.gather(*map(Store.open, (url, *others, url))):
        await store.check()
        await store.close()


async def test_a_store_of_a_newer_release_is_left_alone(url: str, store: Store) -> None:
    async with store._writing() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "newer turbocord" in await refusal(url)


@pytest.mark.parametrize(
    "url",
    ["", "x", "sqlite:///data/x.db", "mysql+aiomysql://h/d", "postgresql://h/d", "sqlite+nope://"],
)
async def test_a_wrong_address_is_a_matter_of_configuration(url: str) -> None:
    assert "TURBOCORD_DATABASE_URL" in await refusal(url, exit_code=exit_codes.CONFIG)


async def test_without_the_driver_the_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    sentence = await refusal(
        "postgresql+asyncpg://u:hunter2@127.0.0.1/d", exit_code=exit_codes.CONFIG
    )
    assert "'.[postgres]'" in sentence


# SQLite


async def test_the_folder_is_made(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/new/deeper/store.db")
    await store.close()
    assert (tmp_path / "new" / "deeper" / "store.db").exists()


async def test_sqlite_runs_with_the_settings_that_keep_it_safe(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url)
    for name, expected in {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 1,
        "busy_timeout": 5000,
    }.items():
        async with store._reading() as connection:
            found = (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
        assert found == expected
    await store.close()


async def test_a_store_in_memory_works_for_one_process() -> None:
    store = await Store.open("sqlite+aiosqlite://")
    await asyncio.gather(*(store.set_value(str(n), str(n)) for n in range(20)))
    assert await asyncio.gather(*(store.get_value(str(n)) for n in range(20))) == [
        str(n) for n in range(20)
    ]
    await store.close()


@pytest.mark.parametrize("content", [b"this is no database, it is a letter" * 50, b"\0" * 4096])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    assert "is damaged or is not a database" in await refusal(f"sqlite+aiosqlite:///{path}")
    assert path.read_bytes() == content


async def test_a_damaged_file_is_noticed_at_start(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(sqlite_url)
    for number in range(300):
        await store.set_value(f"key{number}", "x" * 100)
    await store.close()
    path = tmp_path / "store.db"
    content = bytearray(path.read_bytes())
    content[-8192:-4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert "is damaged" in await refusal(sqlite_url)
    assert path.read_bytes() == bytes(content)


async def test_a_lock_of_another_program_is_named(sqlite_url: str, tmp_path: Path) -> None:
    await (await Store.open(sqlite_url)).close()
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "locked" in await refusal(sqlite_url, lock_seconds=0.1)
    other.close()


def test_a_folder_that_may_not_be_written_is_named(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    done = run_opening(f"sqlite+aiosqlite:///{public_folder}/store.db", as_somebody=True)
    assert done.returncode == exit_codes.STORE, done.stderr
    assert "cannot be opened or created" in done.stdout
    done = run_opening(f"sqlite+aiosqlite:///{public_folder}/new/store.db", as_somebody=True)
    assert (done.returncode, done.stdout.count("\n")) == (exit_codes.STORE, 1)
    assert "cannot be opened or created" in done.stdout


def test_a_file_that_may_not_be_written_is_named(public_folder: Path) -> None:
    url = f"sqlite+aiosqlite:///{public_folder}/store.db"
    assert run_opening(url).returncode == exit_codes.OK
    (public_folder / "store.db").chmod(0o444)
    public_folder.chmod(0o555)
    done = run_opening(url, as_somebody=True)
    assert done.returncode == exit_codes.STORE, done.stderr
    assert "can be read but not written" in done.stdout


# The smaller disk has no room for the index of the write-ahead log, the larger none for the tables.
@pytest.mark.parametrize("size", ["16k", "96k"])
def test_a_full_disk_is_named(public_folder: Path, size: str) -> None:
    mount = f"mount -t tmpfs -o size={size} full {public_folder}"
    probe = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    arguments = " ".join(opening(f"sqlite+aiosqlite:///{public_folder}/store.db"))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mount} && exec {arguments}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_codes.STORE, done.stderr
    assert "disk that holds the store is full" in done.stdout


# PostgreSQL


@pytest.fixture
async def guarded(postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """The server, asking one user for a password."""
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + before)
    postgres.execute("SELECT pg_reload_conf()")
    await asyncio.sleep(0.2)
    yield postgres
    rules.write_text(before)
    postgres.execute("SELECT pg_reload_conf(); DROP ROLE guarded")


@needs_postgres
async def test_a_wrong_password_is_named_and_not_shown(
    guarded: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sentence = await refusal(guarded.url("guarded:hunter2"))
    assert "refuses this user or password" in sentence
    assert "hunter2" not in sentence + caplog.text


@needs_postgres
async def test_a_missing_database_is_named(postgres: PostgresServer) -> None:
    assert "no database of that name" in await refusal(postgres.url(database="nowhere"))


async def test_an_unreachable_server_is_named() -> None:
    pytest.importorskip("asyncpg", reason="asyncpg is not installed")
    sentence = await refusal(f"postgresql+asyncpg://u@127.0.0.1:{free_port()}/d")
    assert "cannot be reached" in sentence


@needs_postgres
async def test_a_standby_cannot_be_a_store(postgres: PostgresServer) -> None:
    url = postgres.create_schema()
    role = sa.make_url(url).username
    await (await Store.open(url)).close()
    postgres.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    assert "read but not written" in await refusal(url)


async def test_a_copy_made_while_writing_is_a_whole_store(sqlite_url: str, tmp_path: Path) -> None:
    store = await Store.open(sqlite_url)
    await store.save_settings(1, GuildSettings(max_count=2))
    copy = tmp_path / "copy.db"
    enough = asyncio.Event()
    copied_out = asyncio.Event()
    before = 20

    async def write() -> int:
        """Write without a pause until after the copy was made; return how much."""
        for number in itertools.count():
            if number == before:
                enough.set()
            if copied_out.is_set():
                return number
            await store.accept_job(
                job_id=str(number), kind="imagine", user_id=7, parameters={"prompt": "x" * 500}
            )
        raise AssertionError("unreachable")

    writer = asyncio.create_task(write())
    await enough.wait()

    def copy_out() -> None:
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        connection.close()

    await asyncio.to_thread(copy_out)
    copied_out.set()
    written = await writer
    await store.close()

    copied = await Store.open(f"sqlite+aiosqlite:///{copy}")
    jobs = await copied.jobs_of_user(7, limit=100_000)
    assert before <= len(jobs) <= written
    assert {job.job_id for job in jobs} == {str(number) for number in range(len(jobs))}
    assert (await copied.get_settings(1)).max_count == 2
    await copied.close()
