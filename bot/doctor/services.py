"""What the bot writes to and listens on: disk, store, limits, ports."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bot.config import Settings
from bot.doctor.check import Check, fail, ok, warn
from bot.errors import StartupError, install_hint
from bot.models.catalog_fetch import free_bytes, human_bytes
from bot.ratelimit import REDIS_SCHEMES
from bot.redis_windows import server_address
from bot.store.database import WRITING, create_engine
from bot.store.faults import database_errors, parse_url, startup_error
from bot.store.migrate import SchemaTooNew, known_revision

LOW: Final = 2_000_000_000
EMPTY: Final = 100_000_000
"""Free bytes below which compiled kernels, logs and the store soon find no room, or find none."""
TIMEOUT_S: Final = 5.0


def check_disk(folder: Path) -> Check:
    """Check that `folder`, or the nearest one above it, can be written and has room."""
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        advice = "Give it to the user who runs turbocord, or name another in TURBOCORD_CACHE_DIR."
        return fail("Disk", f"{existing} cannot be written", advice)
    free = free_bytes(folder)
    detail = f"{human_bytes(free)} free at {folder}"
    if free < EMPTY:
        return fail("Disk", detail, "Make room; nothing can be kept.")
    if free < LOW:
        return warn("Disk", detail, "Make room; a model or a cache may not fit.")
    return ok("Disk", detail)


async def check_store(url: str) -> Check:
    """Connect to the store and try to write to it; create, migrate and change nothing."""
    try:
        parsed = parse_url(url)
        shown = parsed.render_as_string(hide_password=True)
        if (path := _sqlite_file(parsed)) is not None and not path.exists():
            return _new_file(path)
        engine = create_engine(parsed, lock_seconds=TIMEOUT_S)
    except StartupError as error:
        return fail("Store", str(error), "Correct TURBOCORD_DATABASE_URL.")
    except ImportError:
        advice = f"Install it: {install_hint('postgres')}"
        return fail("Store", "PostgreSQL needs the package asyncpg", advice)
    try:
        async with asyncio.timeout(TIMEOUT_S), engine.connect() as connection:
            await connection.execution_options(begin=WRITING)
            async with connection.begin() as transaction:
                await connection.run_sync(_try_to_write)
                await transaction.rollback()
    except SchemaTooNew as error:
        return _store_fails(error, parsed)
    except database_errors() as error:
        return _store_fails(error, parsed)
    finally:
        await engine.dispose()
    return ok("Store", shown)


async def check_limits(url: str) -> Check:
    """Ask the Redis that shares the limits for a sign of life, where there is one."""
    if url == "async+memory://":
        return ok("Limits", "kept in this process")
    if not url.startswith(REDIS_SCHEMES):
        advice = f"Correct TURBOCORD_LIMITS_URL: async+memory:// or {', '.join(REDIS_SCHEMES)}."
        return fail("Limits", f"{_without_password(url)} is not an address of limits", advice)
    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError:
        advice = f"Install it: {install_hint('redis')}"
        return fail("Limits", "shared limits need the package redis", advice)
    shown = _without_password(url)
    try:
        client: Any = Redis.from_url(
            server_address(url),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )
        async with client:
            await client.ping()
    except (RedisError, OSError, ValueError) as error:
        detail = f"{shown} does not answer ({type(error).__name__})"
        return fail("Limits", detail, "Check TURBOCORD_LIMITS_URL and that Redis runs there.")
    return ok("Limits", shown)


def check_port(settings: Settings) -> Check:
    """Check that the port of health and metrics is free."""
    if not settings.http_port:
        return ok("Port", "health and metrics are off")
    return _free("Port", settings.http_host, settings.http_port, "TURBOCORD_HTTP_PORT")


def check_page(settings: Settings) -> Check:
    """Check that the live page's port is free and that Gradio is there to serve it."""
    if not settings.web_port:
        return ok("Live page", "off")
    # Found and not imported, which takes seconds.
    if importlib.util.find_spec("gradio") is None:
        advice = f"Install it, {install_hint('web')}, or empty TURBOCORD_WEB_PORT."
        return fail("Live page", "it needs the package gradio", advice)
    return _free("Live page", settings.web_host, settings.web_port, "TURBOCORD_WEB_PORT")


def _free(name: str, host: str, port: int, variable: str) -> Check:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as probe:
            # As servers do, so that a connection that has just ended is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
            probe.listen()
    except OSError as error:
        detail = f"{host}:{port}: {error.strerror}"
        return warn(name, detail, f"Choose another {variable}, unless turbocord itself is running.")
    return ok(name, f"{host}:{port} is free")


def _store_fails(error: Exception, url: sa.URL) -> Check:
    """Return what the start would say about `error`."""
    sentence, _, advice = str(startup_error(error, url)).partition(": ")
    return fail("Store", sentence, advice[:1].upper() + advice[1:] or "See the log.")


def _try_to_write(connection: sa.Connection) -> None:
    """Write what is there already, to be rolled back. Raises SchemaTooNew and database errors."""
    revision = known_revision(connection)
    # Beginning to write a read-only file is no error to SQLite yet; writing is.
    if connection.dialect.name == "sqlite":
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    elif revision is not None:
        connection.execute(sa.text("DELETE FROM alembic_version WHERE false"))


def _sqlite_file(url: sa.URL) -> Path | None:
    name = url.database
    is_file = url.get_backend_name() == "sqlite" and name and not name.startswith("file:")
    return Path(name) if name and is_file and name != ":memory:" else None


def _new_file(path: Path) -> Check:
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        advice = "Give the folder to the user who runs turbocord."
        return fail("Store", f"{path} cannot be made, {existing} is not writable", advice)
    return ok("Store", f"{path}, will be made at the first start")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
