"""Undelivered pictures, kept within bounds and for their member alone."""

from __future__ import annotations

import pytest

from bot.errors import StoreError
from bot.store import KeptPicture, Store
from bot.store.kept import MAX_KEPT_PER_USER
from tests.store.conftest import Clock


async def accept(store: Store, job_id: str, user_id: int) -> None:
    await store.accept_job(job_id=job_id, kind="imagine", user_id=user_id)


async def keep(store: Store, job_id: str, data: bytes, clock: Clock) -> int:
    return await store.keep_picture(
        job_id=job_id, filename="a.png", data=data, expires_at=clock.now + 60
    )


async def test_a_kept_picture_is_listed_read_and_dropped(store: Store, clock: Clock) -> None:
    await accept(store, "0a", 7)
    data = bytes(range(256)) * 1000
    picture_id = await keep(store, "0a", data, clock)
    assert await store.kept_pictures(7) == [
        KeptPicture(picture_id, "0a", "a.png", len(data), clock.now + 60)
    ]
    assert await store.read_picture(picture_id, user_id=7) == data
    assert await store.drop_picture(picture_id, user_id=7)
    assert not await store.drop_picture(picture_id, user_id=7)
    assert await store.kept_pictures(7) == []


async def test_a_picture_is_its_members_alone(store: Store, clock: Clock) -> None:
    await accept(store, "0a", 7)
    picture_id = await keep(store, "0a", b"png", clock)
    assert await store.kept_pictures(8) == []
    assert await store.read_picture(picture_id, user_id=8) is None
    assert not await store.drop_picture(picture_id, user_id=8)
    assert await store.read_picture(picture_id, user_id=7) == b"png"


async def test_an_expired_picture_is_gone(store: Store, clock: Clock) -> None:
    await accept(store, "0a", 7)
    picture_id = await keep(store, "0a", b"png", clock)
    clock.now += 60
    assert await store.kept_pictures(7) == []
    assert await store.read_picture(picture_id, user_id=7) is None


async def test_the_oldest_give_way_when_all_together_are_too_large(url: str, clock: Clock) -> None:
    store = await Store.open(url, clock=clock, max_kept_bytes=100)
    await accept(store, "0a", 7)
    await accept(store, "0b", 8)
    await keep(store, "0a", b"x" * 50, clock)
    second = await keep(store, "0b", b"x" * 50, clock)
    third = await keep(store, "0a", b"x" * 40, clock)
    assert [one.picture_id for one in await store.kept_pictures(7)] == [third]
    assert [one.picture_id for one in await store.kept_pictures(8)] == [second]
    with pytest.raises(StoreError) as caught:
        await keep(store, "0a", b"x" * 101, clock)
    assert caught.value.code == "kept_picture_too_large"
    assert store.available
    await store.close()


async def test_expired_pictures_take_no_room(url: str, clock: Clock) -> None:
    store = await Store.open(url, clock=clock, max_kept_bytes=100)
    await accept(store, "0a", 7)
    living = await store.keep_picture(
        job_id="0a", filename="a", data=b"x" * 50, expires_at=clock.now + 900
    )
    await keep(store, "0a", b"x" * 50, clock)
    clock.now += 61
    newest = await keep(store, "0a", b"x" * 50, clock)
    assert [one.picture_id for one in await store.kept_pictures(7)] == [living, newest]
    await store.close()


async def test_a_member_keeps_so_many_and_no_more(store: Store, clock: Clock) -> None:
    await accept(store, "0a", 7)
    await accept(store, "0b", 8)
    other = await keep(store, "0b", b"png", clock)
    ids = [await keep(store, "0a", b"png", clock) for _ in range(MAX_KEPT_PER_USER + 2)]
    assert [one.picture_id for one in await store.kept_pictures(7)] == ids[2:]
    assert [one.picture_id for one in await store.kept_pictures(8)] == [other]


async def test_a_picture_of_an_unknown_job_has_no_member_to_be_kept_for(
    store: Store, clock: Clock
) -> None:
    with pytest.raises(StoreError) as caught:
        await keep(store, "unknown", b"png", clock)
    assert caught.value.code == "store_conflict"
