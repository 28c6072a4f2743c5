"""The limiter's promises, held against both storages: in memory and on a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from bot import exit_codes
from bot.errors import RateLimited, StartupError
from bot.ratelimit import Admission, Quota, RateLimiter
from bot.windows import MemoryWindows
from tests.limits_model import HISTORIES, Clock, History, check_history, left, refused
from tests.servers import RedisServer, needs_redis

NAMESPACES = itertools.count()
GUILD = Quota(10, 60)
MEMBER = Quota(4, 60)

Make = Callable[..., RateLimiter]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
async def make(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Make]:
    """Make limiters that share one namespace and clock, where the storage can be shared."""
    uri = "async+memory://"
    if request.param == "redis":
        uri = request.getfixturevalue("redis").url
    namespace = f"test{next(NAMESPACES)}"
    made: list[RateLimiter] = []

    def build(guild: Quota = GUILD) -> RateLimiter:
        limiter = RateLimiter(
            storage_uri=uri,
            guild=guild,
            member=MEMBER,
            namespace=namespace,
            clock=clock,
            timeout_s=5.0,
        )
        made.append(limiter)
        return limiter

    yield build
    for limiter in made:
        assert not limiter.degraded
        await limiter.close()


async def test_a_member_is_refused_until_the_first_pictures_leave_the_window(
    make: Make, clock: Clock
) -> None:
    limiter = make()
    await limiter.admit(guild_id=1, user_id=7, cost=3)
    clock.now += 20
    await limiter.admit(guild_id=1, user_id=7, cost=1)
    error = await refused(limiter.admit(guild_id=1, user_id=7, cost=2))
    assert error.code == "rate_limited_member"
    assert error.details["limit"] == 4
    assert error.retry_after == pytest.approx(40, abs=0.01)
    clock.now += error.retry_after - 0.005
    await refused(limiter.admit(guild_id=1, user_id=7, cost=2))
    clock.now += 0.005
    await limiter.admit(guild_id=1, user_id=7, cost=2)
    assert await left(limiter, 1, 7) == (7, 1)


async def test_a_full_guild_refuses_everyone_and_no_other_guild(make: Make) -> None:
    limiter = make()
    for user_id in range(5):
        await limiter.admit(guild_id=1, user_id=user_id, cost=2)
    error = await refused(limiter.admit(guild_id=1, user_id=9, cost=1))
    assert (error.scope, error.code) == ("guild", "rate_limited_guild")
    await limiter.admit(guild_id=2, user_id=9, cost=1)


async def test_neither_window_is_charged_when_either_refuses(make: Make) -> None:
    limiter = make()
    await limiter.admit(guild_id=1, user_id=7, cost=4)
    await refused(limiter.admit(guild_id=1, user_id=7, cost=1))
    assert await left(limiter, 1, 7) == (6, 0)
    await limiter.admit(guild_id=1, user_id=8, cost=4)
    await limiter.admit(guild_id=1, user_id=9, cost=2)
    await refused(limiter.admit(guild_id=1, user_id=10, cost=1))
    assert await left(limiter, 1, 10) == (0, 4)


async def test_the_longer_wait_is_the_one_told(make: Make, clock: Clock) -> None:
    limiter = make(Quota(4, 300))
    await limiter.admit(guild_id=1, user_id=7, cost=4)
    error = await refused(limiter.admit(guild_id=1, user_id=7, cost=1))
    assert error.scope == "guild"
    assert error.retry_after == pytest.approx(300, abs=0.01)


async def test_outside_guilds_a_user_has_one_window_of_their_own(make: Make) -> None:
    limiter = make()
    await limiter.admit(guild_id=None, user_id=7, cost=4)
    error = await refused(limiter.admit(guild_id=None, user_id=7, cost=1))
    assert error.scope == "member"
    await limiter.admit(guild_id=1, user_id=7, cost=4)
    await limiter.admit(guild_id=2, user_id=7, cost=4)
    assert await left(limiter, None, 7) == (None, 0)


@pytest.mark.parametrize(("cost", "scope", "limit"), [(5, "member", 4), (11, "guild", 10)])
async def test_more_than_the_quota_itself_is_never_admitted_and_says_so(
    make: Make, cost: int, scope: str, limit: int
) -> None:
    error = await refused(make().admit(guild_id=1, user_id=7, cost=cost))
    assert error.code == f"over_limit_{scope}"
    assert error.retry_after is None
    assert (error.details["limit"], error.details["cost"]) == (limit, cost)


async def test_a_cost_below_one_is_a_mistake_of_the_caller(make: Make) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await make().admit(guild_id=1, user_id=7, cost=0)


async def test_a_guild_that_changes_its_quota_keeps_its_window(make: Make) -> None:
    limiter = make()
    await limiter.admit(guild_id=1, user_id=7, cost=4)
    smaller = await refused(limiter.admit(guild_id=1, user_id=8, cost=1, guild_quota=Quota(4, 60)))
    assert (smaller.scope, smaller.details["limit"]) == ("guild", 4)
    for quota in (Quota(3, 60), Quota(7, 60)):
        own = await refused(limiter.admit(guild_id=1, user_id=7, cost=1, member_quota=quota))
        assert own.details["limit"] == min(quota.count, 4)
    assert await left(limiter, 1, 7) == (6, 0)


async def test_a_refund_gives_back_exactly_its_own_images(make: Make, clock: Clock) -> None:
    limiter = make()
    first = await limiter.admit(guild_id=1, user_id=7, cost=1)
    clock.now += 10
    second = await limiter.admit(guild_id=1, user_id=7, cost=3)
    await limiter.refund(first)
    assert await left(limiter, 1, 7) == (7, 1)
    # What is left in the window is the second's: it leaves 60 seconds after the second.
    remaining = await limiter.remaining(guild_id=1, user_id=7)
    assert remaining.member.resets_in == pytest.approx(60, abs=0.01)
    error = await refused(limiter.admit(guild_id=1, user_id=7, cost=2))
    assert error.retry_after == pytest.approx(60, abs=0.01)
    await limiter.refund(second)
    assert await left(limiter, 1, 7) == (10, 4)


async def test_a_second_refund_changes_nothing(make: Make) -> None:
    limiter = make()
    one = await limiter.admit(guild_id=1, user_id=7, cost=2)
    await limiter.admit(guild_id=1, user_id=7, cost=2)
    await asyncio.gather(*(limiter.refund(one) for _ in range(5)))
    assert await left(limiter, 1, 7) == (8, 2)


async def test_a_crowd_at_once_gets_the_quota_and_not_one_more(make: Make) -> None:
    limiter = make(Quota(20, 60))
    attempts = await asyncio.gather(
        *(limiter.admit(guild_id=1, user_id=user_id, cost=1) for user_id in range(100)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Admission) for one in attempts) == 20
    assert sum(isinstance(one, RateLimited) for one in attempts) == 80


async def test_a_clock_set_back_does_not_break_the_window(make: Make, clock: Clock) -> None:
    limiter = make()
    await limiter.admit(guild_id=1, user_id=7, cost=2)
    clock.now -= 5
    await limiter.admit(guild_id=1, user_id=7, cost=2)
    await refused(limiter.admit(guild_id=1, user_id=7, cost=1))
    clock.now += 66
    await limiter.admit(guild_id=1, user_id=7, cost=4)


async def test_idle_members_take_no_memory() -> None:
    clock = Clock()
    limiter = RateLimiter(guild=Quota(100_000, 60), member=Quota(4, 60), clock=clock)
    for user_id in range(3000):
        await limiter.admit(guild_id=user_id % 100, user_id=user_id, cost=1)
    assert limiter.tracked == 3100
    clock.now += 61
    await limiter.admit(guild_id=1, user_id=1, cost=1)
    assert limiter.tracked == 2
    await limiter.refund(await limiter.admit(guild_id=5, user_id=5, cost=1))
    assert limiter.tracked == 2


@pytest.mark.parametrize(
    "uri", ["redis://127.0.0.1:6379/0", "async+mongodb://x", "memory://", "", "async+redis://a:b:c"]
)
def test_a_useless_address_is_refused_at_start(uri: str) -> None:
    with pytest.raises(StartupError, match="TURBOCORD_LIMITS_URL") as caught:
        RateLimiter(storage_uri=uri, guild=Quota(1, 1), member=Quota(1, 1))
    assert caught.value.exit_code == exit_codes.CONFIG


def test_without_the_package_the_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(StartupError, match=r"'\.\[redis\]'") as caught:
        RateLimiter(storage_uri="async+redis://127.0.0.1/0", guild=GUILD, member=MEMBER)
    assert caught.value.exit_code == exit_codes.CONFIG


@given(HISTORIES)
def test_any_history_equals_the_one_without_its_refunded_requests(history: History) -> None:
    async def run() -> None:
        clock = Clock()
        await check_history(
            RateLimiter(guild=Quota(100, 60), member=Quota(6, 10), clock=clock), clock, history
        )

    asyncio.run(run())


@given(st.lists(st.tuples(st.integers(0, 8000), st.integers(1, 4)), max_size=40))
def test_one_window_decides_as_the_strategy_of_limits_does(
    requests: list[tuple[int, int]],
) -> None:
    async def run() -> None:
        clock = Clock()
        item = RateLimitItemPerSecond(5, 10)
        stock = MovingWindowRateLimiter(MemoryStorage())
        ours = MovingWindowRateLimiter(MemoryWindows(clock=clock))
        with patch("limits.aio.storage.memory.time.time", clock):
            for pause, cost in requests:
                # Never a whole window apart: there the library's own two answers differ.
                clock.now += pause / 1000 + 1e-6
                assert await ours.hit(item, "a", cost=cost) == await stock.hit(item, "a", cost=cost)
                assert await ours.test(item, "a") == await stock.test(item, "a")

    asyncio.run(run())


async def test_going_to_and_fro_between_quotas_gains_nothing(make: Make, clock: Clock) -> None:
    """A role that is taken and put down again, with a short window and much room in it."""
    limiter = make()  # four images in 60 seconds
    role = Quota(100, 10)
    await limiter.admit(guild_id=1, user_id=7, cost=2)
    await limiter.admit(guild_id=1, user_id=7, cost=2, member_quota=role)
    for _ in range(5):
        clock.now += 10.5
        for quota in (role, None):
            full = await refused(limiter.admit(guild_id=1, user_id=7, cost=1, member_quota=quota))
            assert full.details["limit"] == 4
    clock.now += 10
    admission = await limiter.admit(guild_id=1, user_id=7, cost=3, member_quota=role)
    await limiter.refund(admission)
    await limiter.admit(guild_id=1, user_id=7, cost=4)


async def test_a_guild_s_own_quota_holds_within_the_operator_s(make: Make, clock: Clock) -> None:
    limiter = make()
    day = Quota(6, 86_400)
    await limiter.admit(guild_id=1, user_id=7, cost=4, member_quota=day)
    # Two are left for today, but the operator lets a member have four a minute.
    at_once = await refused(limiter.admit(guild_id=1, user_id=7, cost=1, member_quota=day))
    assert at_once.details["limit"] == 4
    now = await limiter.remaining(guild_id=1, user_id=7, member_quota=day)
    assert (now.member.left, now.member.limit) == (0, 4)
    clock.now += 61
    later = await limiter.remaining(guild_id=1, user_id=7, member_quota=day)
    assert (later.member.left, later.member.limit) == (2, 6)
    admission = await limiter.admit(guild_id=1, user_id=7, cost=2, member_quota=day)
    today = await refused(limiter.admit(guild_id=1, user_id=7, cost=1, member_quota=day))
    assert today.details["limit"] == 6
    await limiter.refund(admission)
    await limiter.admit(guild_id=1, user_id=7, cost=2, member_quota=day)
