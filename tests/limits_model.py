"""What the limiter's tests share: a clock, and the definition of a moving window to hold it to."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest
from hypothesis import strategies as st

from bot.errors import RateLimited
from bot.ratelimit import Admission, RateLimiter

History = list[tuple[str, int]]

HISTORIES: st.SearchStrategy[History] = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 15_000)),
        st.tuples(st.just("admit"), st.integers(1, 4)),
        st.tuples(st.just("refund"), st.integers(0, 9)),
    ),
    max_size=40,
)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def refused(attempt: Awaitable[Admission]) -> RateLimited:
    """Return the refusal that `attempt` must end in."""
    with pytest.raises(RateLimited) as caught:
        await attempt
    return caught.value


async def left(limiter: RateLimiter, guild_id: int | None, user_id: int) -> tuple[int | None, int]:
    """Return how many images the guild and the member have left."""
    remaining = await limiter.remaining(guild_id=guild_id, user_id=user_id)
    return remaining.guild.left if remaining.guild else None, remaining.member.left


async def check_history(limiter: RateLimiter, clock: Clock, history: History) -> None:
    """Hold a limiter of 6 images in 10 seconds per member to the definition.

    An image counts from its admission to the end of its window, and a refunded one never was.
    """
    admitted: list[tuple[float, int, Admission]] = []
    for what, number in history:
        if what == "wait":
            clock.now += number / 1000
        elif what == "refund" and number < len(admitted):
            await limiter.refund(admitted.pop(number)[2])
        elif what == "admit":
            used = sum(cost for at, cost, _ in admitted if at >= clock.now - 10)
            try:
                made = await limiter.admit(guild_id=1, user_id=7, cost=number)
            except RateLimited:
                assert used + number > 6
            else:
                assert used + number <= 6
                admitted.append((clock.now, number, made))
