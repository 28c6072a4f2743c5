"""Getting a message to Discord through faults: retries with jitter, then the next rung down.

discord.py retries some failures itself, but not a TCP reset, not a 503 on ordinary routes, and a
429 without a `Via` header it gives up on. The upload of a finished picture is too dear for that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aiohttp
import discord

from bot.errors import DeliveryFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES: Final = 4
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
LONGEST_ASKED: Final = 15.0
"""The longest `Retry-After` that is waited for in full."""

CALL_TIMEOUT = 30.0

UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_WEBHOOK: Final = 10015
UNKNOWN_INTERACTION: Final = 10062
ALREADY_ACKNOWLEDGED: Final = 40060
TOO_LARGE: Final = 40005

Rung = tuple[str, Callable[[], Awaitable[T]]]


class TooLarge(Exception):
    """Discord refused the upload for its size (413 or 40005)."""


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may work a moment later."""
    if isinstance(error, discord.HTTPException):
        return error.status >= 500 or error.status == 429
    return isinstance(error, aiohttp.ClientError | OSError | TimeoutError)


def may_have_worked(error: BaseException) -> bool:
    """Return whether the server may have done what was asked although no answer came."""
    if isinstance(error, discord.HTTPException):
        return error.status >= 500
    return is_transient(error)


def is_too_large(error: BaseException) -> bool:
    """Return whether the upload was over the limit."""
    return isinstance(error, discord.HTTPException) and (
        error.status == 413 or error.code == TOO_LARGE
    )


async def with_retries(what: str, call: Callable[[], Awaitable[T]], *, tries: int = TRIES) -> T:
    """Return what `call` returns, trying again on transient faults.

    Each try calls `call` anew, so that files are fresh. Raises TooLarge, or the last error.
    """
    pause = FIRST_PAUSE
    for attempt in range(1, tries + 1):
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await call()
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            if is_too_large(error):
                raise TooLarge from error
            if attempt == tries or not is_transient(error):
                raise
            log.warning("%s failed (%s), try %d of %d", what, describe(error), attempt, tries)
            await asyncio.sleep(asked_pause(error) or random.uniform(pause / 2, pause))
            pause = min(pause * 2, LONGEST_PAUSE)
    raise AssertionError("unreachable")


def asked_pause(error: BaseException) -> float | None:
    """Return the seconds a 429 asks to wait, which discord.py leaves to us without `Via`."""
    if not isinstance(error, discord.HTTPException) or error.status != 429:
        return None
    try:
        asked = float(error.response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(asked, 0.0), LONGEST_ASKED) or None


async def climb_down(rungs: list[Rung[T]]) -> T:
    """Return the result of the first rung that holds.

    Raises DeliveryFailed when none does, TooLarge as soon as one says so: a smaller picture is
    the only cure for that, on whichever rung.
    """
    last: BaseException | None = None
    for name, call in rungs:
        try:
            return await with_retries(name, call)
        except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("%s did not work: %s", name, describe(error))
            last = error
    log.error("no way of delivering worked, last: %s", describe(last) if last else "none")
    raise DeliveryFailed from last


def describe(error: BaseException) -> str:
    """Return an error in one log-safe phrase: discord.py's own text can hold the webhook token."""
    if isinstance(error, discord.HTTPException):
        return f"HTTP {error.status}, code {error.code}"
    return type(error).__name__
