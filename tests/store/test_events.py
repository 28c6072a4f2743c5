"""Events are taken once, by whichever process comes first, and forgotten in time."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from bot.store import Store
from bot.store.events import EVENT_SECONDS, PRUNE_SECONDS
from bot.store.tables import taken_events
from tests.store.conftest import Clock

NEWEST = 2**63 - 1


async def kept(store: Store) -> set[int]:
    async with store._reading() as connection:
        return set((await connection.execute(sa.select(taken_events.c.event_id))).scalars())


async def test_what_nobody_took_is_ours_and_what_anybody_took_is_not(store: Store) -> None:
    assert await store.take_events([3, 1, NEWEST]) == {1, 3, NEWEST}
    assert await store.take_events([1, 2, 3]) == {2}
    assert await store.take_events([NEWEST]) == set()


async def test_of_many_processes_one_takes_each_event(url: str, store: Store, clock: Clock) -> None:
    others = [await Store.open(url, clock=clock) for _ in range(3)]
    # Overlapping ranges in both directions, taken at once, could wait for one another for ever if
    # they were not put into one order.
    ranges = [range(60), range(59, -1, -1), range(20, 80), range(79, 19, -1)]
    won = await asyncio.gather(
        *(
            one.take_events(range_[start : start + 20])
            for one, range_ in zip([store, *others], ranges, strict=True)
            for start in (0, 20, 40)
        )
    )
    assert sorted(event for each in won for event in each) == list(range(80))
    for one in others:
        await one.close()


async def test_events_are_forgotten_once_they_cannot_come_again(store: Store, clock: Clock) -> None:
    await store.take_events([1])
    clock.now += PRUNE_SECONDS
    await store.take_events([2])
    clock.now += EVENT_SECONDS - PRUNE_SECONDS - 1
    # Nothing renews a claim on an event, and taking it in vain does not either.
    assert await store.take_events([1, 3]) == {3}
    assert await kept(store) == {1, 2, 3}
    clock.now += PRUNE_SECONDS
    assert await store.take_events([4]) == {4}
    assert await kept(store) == {2, 3, 4}


async def test_claims_of_jobs_and_events_have_nothing_to_do_with_each_other(
    store: Store, clock: Clock
) -> None:
    await store.take_events([1])
    assert await store.release_claims("this") == 0
    assert await store.purge(clock.now) == 0
    assert await store.take_events([1]) == set()
