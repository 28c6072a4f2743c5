"""The delivery ladder, with discord.py's real exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import discord
import pytest

from bot.errors import DeliveryFailed
from cogs.common import delivery
from cogs.common.delivery import TooLarge, climb_down, with_retries


def http_error(status: int, code: int = 0, **headers: str) -> discord.HTTPException:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = SimpleNamespace(status=status, reason="x", headers=named)
    return discord.HTTPException(response, {"code": code, "message": "no"})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that were to be made, in seconds; none is made."""
    made: list[float] = []

    async def at_once(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(delivery.asyncio, "sleep", at_once)
    return made


def failing(*errors: BaseException) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """Return a call that raises each error once and then works, and its count."""
    left, calls = list(errors), [0]

    async def call() -> str:
        calls[0] += 1
        if left:
            raise left.pop(0)
        return "sent"

    return call, calls


@pytest.mark.parametrize(
    "error", [http_error(503), http_error(429), ConnectionResetError(104), TimeoutError()]
)
async def test_a_passing_fault_is_tried_again(error: BaseException) -> None:
    call, calls = failing(error, error)
    assert await with_retries("x", call) == "sent"
    assert calls == [3]


async def test_pauses_grow_and_are_never_all_alike(pauses: list[float]) -> None:
    for _ in range(20):
        call, _ = failing(*[http_error(503)] * 3)
        await with_retries("x", call)
    first = delivery.FIRST_PAUSE
    for at, longest in enumerate((first, 2 * first, 4 * first)):
        made = pauses[at::3]
        assert all(longest / 2 <= one <= longest for one in made)
        assert len(set(made)) > 1


@pytest.mark.parametrize(
    ("asked", "made"), [("1.7", 1.7), ("3600", delivery.LONGEST_ASKED), ("soon", None)]
)
async def test_a_limit_is_waited_for_as_long_as_it_says(
    pauses: list[float], asked: str, made: float | None
) -> None:
    call, _ = failing(http_error(429, Retry_After=asked))
    assert await with_retries("x", call) == "sent"
    (pause,) = pauses
    assert pause == made or (made is None and pause <= delivery.FIRST_PAUSE)


async def test_tries_are_bounded() -> None:
    call, calls = failing(*[http_error(500)] * 10)
    with pytest.raises(discord.HTTPException):
        await with_retries("x", call)
    assert calls == [delivery.TRIES]


async def test_a_final_answer_is_not_tried_again() -> None:
    call, calls = failing(http_error(404, 10015))
    with pytest.raises(discord.HTTPException):
        await with_retries("x", call)
    assert calls == [1]


async def test_the_next_rung_takes_over() -> None:
    dead, _ = failing(*[http_error(401, 50027)] * 5)
    works, _ = failing()
    assert await climb_down([("first", dead), ("second", works)]) == "sent"


async def test_too_large_is_said_at_once() -> None:
    large, _ = failing(http_error(413, 40005))
    never, calls = failing()
    with pytest.raises(TooLarge):
        await climb_down([("first", large), ("second", never)])
    assert calls == [0]


async def test_when_no_rung_holds_it_says_so() -> None:
    dead, _ = failing(*[http_error(403, 50013)] * 5)
    with pytest.raises(DeliveryFailed):
        await climb_down([("only", dead)])


async def test_cancelling_is_not_swallowed() -> None:
    async def call() -> str:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await with_retries("x", call)


def test_a_description_holds_no_token() -> None:
    assert delivery.describe(http_error(404, 10015)) == "HTTP 404, code 10015"
