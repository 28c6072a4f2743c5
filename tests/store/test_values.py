"""Texts by key."""

from __future__ import annotations

import asyncio

from bot.store import Store


async def test_a_value_is_kept_replaced_and_removed(store: Store) -> None:
    assert await store.get_value("tree") is None
    for value in ("one", "two ✓"):
        await store.set_value("tree", value)
        assert await store.get_value("tree") == value
    await store.set_value("tree", None)
    assert await store.get_value("tree") is None


async def test_values_outlive_the_process(url: str, store: Store) -> None:
    await store.set_value("tree", "hash")
    other = await Store.open(url)
    assert await other.get_value("tree") == "hash"
    await other.close()


async def test_many_writers_at_once_all_succeed(store: Store) -> None:
    await asyncio.gather(*(store.set_value(f"key{n % 10}", str(n)) for n in range(100)))
    kept = [await store.get_value(f"key{n}") for n in range(10)]
    assert [int(value or -1) % 10 for value in kept] == list(range(10))
