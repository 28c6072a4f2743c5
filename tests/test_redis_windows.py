"""Limits on a real Redis: shared by processes, and what happens when it goes away."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given, settings

from bot.ratelimit import Admission, Quota, RateLimiter
from tests.limits_model import HISTORIES, Clock, History, check_history, left, refused
from tests.servers import RedisServer, needs_redis

pytestmark = needs_redis

NAMESPACES = itertools.count()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    with RedisServer() as server:
        yield server


Make = Callable[..., RateLimiter]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[RateLimiter] = []
    namespace = f"redis{next(NAMESPACES)}"

    def build(server: RedisServer, **options: object) -> RateLimiter:
        defaults: dict[str, object] = {
            "guild": Quota(10, 60),
            "member": Quota(4, 60),
            "namespace": namespace,
            "timeout_s": 5.0,
        }
        limiter = RateLimiter(storage_uri=server.url, **{**defaults, **options})  # type: ignore[arg-type]  # each test names them right
        made.append(limiter)
        return limiter

    yield build
    for limiter in made:
        await limiter.close()


async def test_two_processes_share_one_guilds_window_exactly(
    make: Make, redis: RedisServer
) -> None:
    first, second = (make(redis, guild=Quota(30, 60)) for _ in range(2))
    attempts = await asyncio.gather(
        *(
            limiter.admit(guild_id=1, user_id=user_id, cost=2)
            for user_id in range(40)
            for limiter in (first, second)
        ),
        return_exceptions=True,
    )
    admitted = [one for one in attempts if isinstance(one, Admission)]
    assert len(admitted) == 15
    assert await left(first, 1, 99) == await left(second, 1, 99) == (0, 4)


async def test_one_process_refunds_and_the_other_may_draw(make: Make, redis: RedisServer) -> None:
    first, second = (make(redis) for _ in range(2))
    one = await first.admit(guild_id=1, user_id=7, cost=4)
    await refused(second.admit(guild_id=1, user_id=7, cost=1))
    await first.refund(one)
    await second.admit(guild_id=1, user_id=7, cost=4)


async def test_processes_with_clocks_apart_agree_by_the_servers_time(
    make: Make, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (make(redis) for _ in range(2))
    await first.admit(guild_id=1, user_id=7, cost=4)
    monkeypatch.setattr("time.time", lambda: 4e9)
    error = await refused(second.admit(guild_id=1, user_id=7, cost=1))
    assert error.retry_after == pytest.approx(60, abs=5)


async def test_after_the_wait_it_told_a_request_is_admitted(make: Make, redis: RedisServer) -> None:
    limiter = make(redis, member=Quota(1, 1))
    await limiter.admit(guild_id=1, user_id=7, cost=1)
    error = await refused(limiter.admit(guild_id=1, user_id=7, cost=1))
    assert error.retry_after is not None
    await asyncio.sleep(error.retry_after)
    await limiter.admit(guild_id=1, user_id=7, cost=1)


async def test_idle_keys_expire_by_themselves(make: Make, redis: RedisServer) -> None:
    limiter = make(redis, namespace="expiring")
    client = limiter._shared.bridge.storage  # type: ignore[union-attr]  # the test looks inside Redis
    one = await limiter.admit(guild_id=1, user_id=7, cost=1)
    keys = await client.keys("expiring:*")
    assert len(keys) == 2
    assert all([0 < await client.ttl(key) <= 61 for key in keys])
    await limiter.refund(one)
    assert await client.keys("expiring:*") == []


@settings(max_examples=25, deadline=None)
@given(HISTORIES)
def test_any_history_equals_the_one_without_its_refunded_requests(
    redis: RedisServer, history: History
) -> None:
    async def run() -> None:
        clock = Clock()
        limiter = RateLimiter(
            storage_uri=redis.url,
            guild=Quota(100, 60),
            member=Quota(6, 10),
            namespace=f"history{next(NAMESPACES)}",
            clock=clock,
        )
        await check_history(limiter, clock, history)
        assert not limiter.outages
        await limiter.close()

    asyncio.run(run())


async def test_without_redis_the_local_window_goes_on_from_where_it_was(
    make: Make, mortal: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    limiter = make(mortal, clock=clock)
    await limiter.admit(guild_id=1, user_id=7, cost=3)
    mortal.kill()
    with caplog.at_level(logging.WARNING):
        await limiter.admit(guild_id=1, user_id=7, cost=1)
        for _ in range(3):
            error = await refused(limiter.admit(guild_id=1, user_id=7, cost=1))
    assert error.code == "rate_limited_member"
    assert limiter.degraded
    assert (limiter.outages, limiter.local_admissions) == (1, 1)
    assert len([one for one in caplog.records if "Redis is away" in one.getMessage()]) == 1
    assert await left(limiter, 1, 7) == (6, 0)


async def test_when_redis_is_back_the_windows_are_shared_again(
    make: Make, mortal: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    first, second = (make(mortal, clock=clock) for _ in range(2))
    await first.admit(guild_id=1, user_id=7, cost=1)
    mortal.kill()
    await first.admit(guild_id=1, user_id=7, cost=1)
    mortal.start()
    await first.admit(guild_id=1, user_id=7, cost=1)
    assert first.degraded
    clock.now += 6
    await first.admit(guild_id=1, user_id=8, cost=4)
    assert not first.degraded
    assert caplog.records[-1].getMessage() == "Redis is back: limits are shared again"
    await refused(second.admit(guild_id=1, user_id=8, cost=1))
    assert (first.outages, second.outages) == (1, 0)


async def test_a_redis_that_hangs_counts_as_away(make: Make, mortal: RedisServer) -> None:
    limiter = make(mortal, timeout_s=0.1)
    await limiter.admit(guild_id=1, user_id=7, cost=1)
    mortal.freeze()
    await limiter.admit(guild_id=1, user_id=7, cost=1)
    assert limiter.degraded
    assert (await left(limiter, 1, 7))[1] == 2


async def test_a_refund_while_redis_is_away_still_counts_here(
    make: Make, mortal: RedisServer
) -> None:
    limiter = make(mortal)
    one = await limiter.admit(guild_id=1, user_id=7, cost=4)
    mortal.kill()
    await limiter.refund(one)
    assert limiter.degraded
    await limiter.admit(guild_id=1, user_id=7, cost=4)


async def test_a_request_cancelled_while_redis_thinks_is_not_charged(
    make: Make, mortal: RedisServer
) -> None:
    limiter = make(mortal)
    await limiter.admit(guild_id=1, user_id=7, cost=1)
    mortal.freeze()
    task = asyncio.create_task(limiter.admit(guild_id=1, user_id=7, cost=3))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mortal.thaw()
    await asyncio.gather(*limiter._background)
    assert await left(limiter, 1, 7) == (9, 3)


async def test_a_wrong_password_is_an_outage_and_stays_out_of_the_log(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer("--requirepass", "right") as server:
        limiter = RateLimiter(
            storage_uri=f"async+redis://:wrong-secret@127.0.0.1:{server.port}/0",
            guild=Quota(10, 60),
            member=Quota(4, 60),
        )
        with caplog.at_level(logging.DEBUG):
            await limiter.admit(guild_id=1, user_id=7, cost=1)
        assert limiter.degraded
        assert "wrong-secret" not in caplog.text
        await limiter.close()


async def test_more_requests_than_connections_wait_their_turn(
    make: Make, redis: RedisServer
) -> None:
    limiter = make(redis, guild=Quota(500, 60))
    await asyncio.gather(
        *(limiter.admit(guild_id=1, user_id=user_id, cost=1) for user_id in range(300))
    )
    assert limiter.outages == 0
    assert await left(limiter, 1, 999) == (200, 4)
