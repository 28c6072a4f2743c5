"""What a database's errors mean, in words: one reason each, and a sentence at start."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from bot import exit_codes
from bot.errors import StartupError
from bot.store.migrate import SchemaTooNew

FULL: Final = "disk full"
READ_ONLY: Final = "read-only"
LOCKED: Final = "locked"
DAMAGED: Final = "damaged"
CONFLICT: Final = "conflict"
REJECTED: Final = "rejected"
UNREACHABLE: Final = "unreachable"
LOGIN: Final = "login refused"
NO_DATABASE: Final = "no such database"
TIMED_OUT: Final = "timed out"
TOO_NEW: Final = "too new"
CANNOT_OPEN: Final = "cannot open"
INPUT_OUTPUT: Final = "input/output error"
OTHER: Final = "unexpected"

# The first prefix that fits counts.
_SQLITE: Final = {
    "SQLITE_FULL": FULL,
    # The index of the write-ahead log is a file of fixed size that found no room.
    "SQLITE_IOERR_SHMSIZE": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_CORRUPT": DAMAGED,
    "SQLITE_NOTADB": DAMAGED,
    "SQLITE_CANTOPEN": CANNOT_OPEN,
    "SQLITE_IOERR": INPUT_OUTPUT,
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html; a prefix is a class.
_POSTGRES: Final = {
    "53100": FULL,
    "25006": READ_ONLY,
    "55P03": LOCKED,
    "57014": TIMED_OUT,
    "3D000": NO_DATABASE,
    "22": REJECTED,
    "28": LOGIN,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
    "08": UNREACHABLE,
    "53": UNREACHABLE,
    "57": UNREACHABLE,
}

_SENTENCES: Final = {
    FULL: "The disk that holds the store is full ({url}): free some space and start again",
    READ_ONLY: "The store can be read but not written ({url}): check the owner and mode of the "
    "file and its folder, or whether the database is a standby",
    LOCKED: "Another program holds the store locked ({url}): stop it, or wait until it is done",
    DAMAGED: "The store is damaged or is not a database at all ({url}): put a backup in its place, "
    "or move it away to start afresh",
    UNREACHABLE: "The store's database server cannot be reached ({url}): check that it runs and "
    "accepts connections from here",
    LOGIN: "The store's database server refuses this user or password ({url})",
    NO_DATABASE: "The store's database server has no database of that name ({url}): create it "
    "first",
    TIMED_OUT: "The store did not answer in time ({url})",
    TOO_NEW: "The store was written by a newer turbocord ({url}): install that release again, or "
    "put an older backup in its place",
    CANNOT_OPEN: "The store's file cannot be opened or created ({url}): check that its folder "
    "exists and may be written",
    INPUT_OUTPUT: "The disk that holds the store reports errors ({url})",
}


# sqlite3 raises OverflowError for whole numbers beyond 64 bits.
_ERRORS: Final = (SQLAlchemyError, OSError, TimeoutError, OverflowError)


class Damaged(Exception):
    """A check of the file found it damaged."""


def database_errors() -> tuple[type[Exception], ...]:
    """Return what a failing database may raise; a driver that is not installed raises nothing."""
    try:
        # Errors while connecting reach us as asyncpg's own, past SQLAlchemy. Not every
        # installation has the package, so it is looked up by name.
        asyncpg: Any = importlib.import_module("asyncpg")
    except ImportError:
        return _ERRORS
    return (
        *_ERRORS,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    )


def reason_of(error: BaseException) -> str:
    """Return what `error` means in a word or two."""
    if isinstance(error, IntegrityError):
        return CONFLICT
    for cause in _causes(error):
        name = getattr(cause, "sqlite_errorname", None)
        for prefix, reason in _SQLITE.items():
            if isinstance(name, str) and name.startswith(prefix):
                return reason
        state = getattr(cause, "sqlstate", None)
        for prefix, reason in _POSTGRES.items():
            if isinstance(state, str) and state.startswith(prefix):
                return reason
    for cause in _causes(error):
        match cause:
            case OverflowError() | sa.exc.DataError():
                return REJECTED
            case SchemaTooNew():
                return TOO_NEW
            case Damaged():
                return DAMAGED
            case TimeoutError() | sa.exc.TimeoutError():
                return TIMED_OUT
            case ConnectionError():
                return UNREACHABLE
            case OSError():
                return CANNOT_OPEN if cause.filename else UNREACHABLE
            case sa.exc.DBAPIError(connection_invalidated=True):
                return UNREACHABLE
    return OTHER


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and everything it wraps: drivers' errors arrive several layers deep."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "orig", None), one.__cause__, one.__context__]


def startup_error(error: BaseException, url: sa.URL) -> StartupError:
    """Return the one sentence for a store that cannot be opened; passwords stay out of it."""
    reason = reason_of(error)
    if reason == CANNOT_OPEN and url.database and os.access(url.database, os.R_OK):
        # It is there: what cannot be made are the files that writing needs beside it.
        reason = READ_ONLY
    shown = url.render_as_string(hide_password=True)
    sentence = _SENTENCES.get(reason)
    if sentence is None:
        what = getattr(error, "orig", None) or error
        return StartupError(
            f"The store cannot be opened ({shown}): {type(what).__name__}, {what}",
            exit_code=exit_codes.STORE,
        )
    return StartupError(sentence.format(url=shown), exit_code=exit_codes.STORE)


def parse_url(url: str) -> sa.URL:
    """Return the parsed address. Raises StartupError unless it is one of the two that work."""
    try:
        parsed = sa.make_url(url)
        drivername = parsed.drivername
    except (ArgumentError, NoSuchModuleError, ValueError):
        drivername = ""
    if drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise StartupError(
            "TURBOCORD_DATABASE_URL must start with sqlite+aiosqlite:/// or postgresql+asyncpg://",
            exit_code=exit_codes.CONFIG,
        )
    return parsed
