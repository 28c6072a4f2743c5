"""Bringing the schema up to date at start, by one process at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

SCRIPTS: Final = Path(__file__).parent / "migrations"

LOCK_SECONDS: Final = 60
"""How long PostgreSQL lets a starting process wait for another one's migration."""

# Any number will do, as long as nothing else in the same database locks it.
_ADVISORY_LOCK: Final = 0x7475_7262_6F63


class SchemaTooNew(Exception):
    """The database was migrated by a newer release than this one."""


def config() -> Config:
    """Return Alembic's configuration without an ini file."""
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return made


def head() -> str:
    """Return the newest revision this release knows."""
    newest = ScriptDirectory.from_config(config()).get_current_head()
    assert newest is not None
    return newest


def upgrade(connection: sa.Connection) -> None:
    """Migrate to the newest revision within the connection's transaction.

    A second process that starts meanwhile waits, on SQLite for the write lock that the transaction
    began with, on PostgreSQL for an advisory lock, and then finds nothing left to do. Raises
    SchemaTooNew.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    current = known_revision(connection)
    if current == head():
        return
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def known_revision(connection: sa.Connection) -> str | None:
    """Return the revision the database is at, None before the first. Raises SchemaTooNew."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = {one.revision for one in ScriptDirectory.from_config(config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaTooNew(current)
    return current
