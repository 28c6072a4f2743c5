from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import sqlalchemy as sa

from bot.config import Settings
from bot.doctor.check import Grade
from bot.doctor.services import check_disk, check_limits, check_page, check_port, check_store
from bot.store import Store
from tests.servers import PostgresServer, RedisServer, needs_postgres, needs_redis

ROOT = Path(__file__).resolve().parents[2]

AS_NOBODY = """
import asyncio, os, sys
from bot.doctor.services import check_store
# Whoever root becomes may not even read the modules: they are all loaded before.
asyncio.run(check_store("sqlite+aiosqlite:///:memory:"))
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
found = asyncio.run(check_store(sys.argv[1]))
print(found.grade.value, found.detail)
"""


def settings(**values: object) -> Settings:
    """Return settings of `values` alone, whatever the environment says."""
    return Settings.model_validate(values)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def made(url: str) -> None:
    """Leave an empty store behind."""
    await (await Store.open(url)).close()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("free", "grade"),
    [(50_000_000, Grade.FAIL), (500_000_000, Grade.WARN), (50_000_000_000, Grade.OK)],
)
def test_the_disk_wants_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, grade: Grade
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))

    assert check_disk(tmp_path / "not" / "yet" / "made").grade is grade


def test_a_file_in_the_way_of_the_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")

    check = check_disk(tmp_path / "cache" / "kernels")

    assert (check.grade, check.detail) == (Grade.FAIL, f"{tmp_path / 'cache'} cannot be written")


async def test_a_store_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    check = await check_store(f"sqlite+aiosqlite:///{tmp_path}/new/turbocord.db")

    assert check.grade is Grade.OK
    assert "will be made" in check.detail
    assert not names_in(tmp_path)


async def test_an_existing_store_is_read(tmp_path: Path) -> None:
    file = tmp_path / "turbocord.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER)")
    connection.close()
    before = file.read_bytes()

    check = await check_store(f"sqlite+aiosqlite:///{file}")

    assert check.grade is Grade.OK
    assert file.read_bytes() == before


async def test_a_store_is_the_same_after_it_was_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "turbocord.db"
    await made(f"sqlite+aiosqlite:///{file}")
    before = file.read_bytes()

    check = await check_store(f"sqlite+aiosqlite:///{file}")

    assert check.grade is Grade.OK
    assert file.read_bytes() == before
    assert names_in(tmp_path) == ["turbocord.db"]


async def test_a_store_in_use_is_fine(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/turbocord.db"
    store = await Store.open(url)

    assert (await check_store(url)).grade is Grade.OK

    await store.set_value("still", "written")
    await store.close()


def test_a_file_that_can_only_be_read_fails(public_folder: Path) -> None:
    file = public_folder / "turbocord.db"
    url = f"sqlite+aiosqlite:///{file}"
    asyncio.run(made(url))
    file.chmod(0o444)

    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith("fail The store can be read but not written"), done.stderr


async def test_a_store_of_a_newer_release_fails(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/turbocord.db"
    await made(url)
    with sqlite3.connect(tmp_path / "turbocord.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from the future'")
    connection.close()

    check = await check_store(url)

    assert check.grade is Grade.FAIL
    assert "newer turbocord" in check.detail
    assert check.advice.startswith("Install that release again")


@needs_postgres
async def test_a_server_s_store_is_written_to_as_well() -> None:
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    with PostgresServer() as server:
        url = server.create_schema()
        assert (await check_store(url)).grade is Grade.OK
        await made(url)
        assert (await check_store(url)).grade is Grade.OK
        role = sa.make_url(url).username
        server.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")

        check = await check_store(url)

    assert check.grade is Grade.FAIL
    assert "can be read but not written" in check.detail


async def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    file = tmp_path / "turbocord.db"
    file.write_bytes(b"not a database" * 1000)

    check = await check_store(f"sqlite+aiosqlite:///{file}")

    assert check.grade is Grade.FAIL
    assert "damaged" in check.detail
    assert check.advice


async def test_a_database_out_of_reach_fails_without_its_password(closed_port: int) -> None:
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")

    check = await check_store(f"postgresql+asyncpg://me:secret@127.0.0.1:{closed_port}/turbocord")

    assert check.grade is Grade.FAIL
    assert "cannot be reached" in check.detail
    assert "secret" not in f"{check.detail} {check.advice}"


async def test_another_kind_of_address_fails() -> None:
    check = await check_store("mysql://me:secret@localhost/turbocord")

    assert check.grade is Grade.FAIL
    assert "secret" not in f"{check.detail} {check.advice}"


async def test_limits_in_memory_need_nothing() -> None:
    assert (await check_limits("async+memory://")).grade is Grade.OK


@needs_redis
async def test_a_redis_that_answers() -> None:
    pytest.importorskip("redis", reason="the extra redis is not installed")
    with RedisServer() as server:
        check = await check_limits(f"async+redis://127.0.0.1:{server.port}/0")

    assert (check.grade, check.detail) == (Grade.OK, f"async+redis://127.0.0.1:{server.port}/0")


@needs_redis
async def test_a_redis_behind_a_socket(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the extra redis is not installed")
    url = f"async+redis+unix://{tmp_path}/redis.sock?db=0"
    with RedisServer("--unixsocket", f"{tmp_path}/redis.sock"):
        check = await check_limits(url)

    assert (check.grade, check.detail) == (Grade.OK, url)


@pytest.mark.parametrize("url", ["redis://:secret@localhost", "async+mongodb://me:secret@x", ""])
async def test_another_kind_of_limits_fails(url: str) -> None:
    check = await check_limits(url)

    assert check.grade is Grade.FAIL
    assert "secret" not in f"{check.detail} {check.advice}"


async def test_a_redis_that_does_not(closed_port: int) -> None:
    pytest.importorskip("redis", reason="the extra redis is not installed")

    check = await check_limits(f"async+redis://:secret@127.0.0.1:{closed_port}/0")

    assert check.grade is Grade.FAIL
    assert "does not answer (ConnectionError)" in check.detail
    assert "secret" not in check.detail


def test_a_free_port_and_none(closed_port: int) -> None:
    assert check_port(settings(http_port=closed_port)).grade is Grade.OK
    assert check_port(settings(http_port=0)).detail == "health and metrics are off"


def test_a_port_in_use_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = check_port(settings(http_port=taken.getsockname()[1]))

    assert check.grade is Grade.WARN
    assert "unless turbocord itself is running" in check.advice


def test_an_address_of_another_machine_is_a_warning() -> None:
    # 192.0.2.0/24 is reserved for documentation and nobody's.
    check = check_port(settings(http_host="192.0.2.1", http_port=8080))

    assert check.grade is Grade.WARN


def test_the_live_page_needs_its_port_and_gradio(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert check_page(settings()).detail == "off"
    check = check_page(settings(web_port=closed_port))
    assert (check.grade, check.detail) == (Grade.FAIL, "it needs the package gradio")
    assert "'.[web]'" in check.advice
    gradio = ModuleType("gradio")
    gradio.__spec__ = ModuleSpec("gradio", None)
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    assert check_page(settings(web_port=closed_port)).grade is Grade.OK
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = check_page(settings(web_port=taken.getsockname()[1]))
    assert check.grade is Grade.WARN
    assert "TURBOCORD_WEB_PORT" in check.advice
