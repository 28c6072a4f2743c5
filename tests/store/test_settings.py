"""Guild settings: what is stored, what is refused, and when a change counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import StoreError
from bot.store import GuildSettings, NsfwPolicy, Store
from bot.store.guild_settings import MAX_IDS, READERS
from bot.store.tables import guild_settings

CHOSEN = GuildSettings(
    default_steps=3,
    default_strength=0.55,
    default_size="wide",
    default_style="noir",
    default_count=2,
    max_steps=4,
    max_count=3,
    allowed_channel_ids=frozenset({2**62, 5}),
    allowed_role_ids=frozenset({6}),
    banned_user_ids=frozenset({7, 8}),
    blocklist=("spinach", "шпинат"),
    nsfw_policy=NsfwPolicy.SPOILER,
    audit_channel_id=9,
    guild_quota=(60, 3600),
    member_quota=(5, 60),
    role_quotas=((6, 3, 60), (7, 9, 3600)),
    locale="zh-CN",
)


async def test_a_guild_that_chose_nothing_has_the_defaults(store: Store) -> None:
    assert await store.get_settings(1) == GuildSettings()


async def test_choices_come_back_as_they_were_saved(url: str, store: Store) -> None:
    await store.save_settings(1, CHOSEN)
    await store.save_settings(2, GuildSettings(max_count=1))
    other = await Store.open(url)
    assert await other.get_settings(1) == CHOSEN
    assert await other.get_settings(2) == GuildSettings(max_count=1)
    await other.close()


async def test_a_change_counts_at_once_here(store: Store) -> None:
    for count in (1, 2, 3):
        await store.save_settings(1, GuildSettings(max_count=count))
        assert (await store.get_settings(1)).max_count == count


async def test_a_change_counts_elsewhere_after_a_moment(url: str, store: Store) -> None:
    other = await Store.open(url, settings_seconds=0.05)
    assert await other.get_settings(1) == GuildSettings()
    await store.save_settings(1, CHOSEN)
    await asyncio.sleep(0.06)
    assert await other.get_settings(1) == CHOSEN
    await other.close()


async def test_settings_are_read_once_and_remembered(store: Store) -> None:
    await store.get_settings(1)
    async with store._writing() as connection:
        await connection.execute(
            guild_settings.insert().values(
                guild_id=1, version=1, settings={"max_count": 1}, updated_at=0
            )
        )
    assert (await store.get_settings(1)).max_count is None


async def test_a_slow_reader_does_not_remember_what_a_writer_has_replaced(store: Store) -> None:
    read = store._read.carry_out
    reading = asyncio.Event()
    may_go_on = asyncio.Event()

    async def slow(guild_ids: list[int]) -> list[GuildSettings]:
        settings = await read(guild_ids)
        reading.set()
        await may_go_on.wait()
        return settings

    store._read.carry_out = slow
    reader = asyncio.create_task(store.get_settings(1))
    await reading.wait()
    await store.save_settings(1, CHOSEN)
    may_go_on.set()
    await reader
    assert await store.get_settings(1) == CHOSEN


async def test_memory_of_guilds_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.settings.REMEMBERED_GUILDS", 3)
    for guild_id in range(1, 8):
        await store.get_settings(guild_id)
    assert list(store._remembered) == [5, 6, 7]


async def test_a_ban_outlives_the_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await Store.open(url, settings_seconds=0.0)
    await store.save_settings(1, CHOSEN)
    async with store._writing() as connection:
        await connection.exec_driver_sql("DROP TABLE guild_settings")
    assert await store.get_settings(1) == CHOSEN
    assert not store.available
    with pytest.raises(StoreError):
        await store.get_settings(2)
    await store.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_steps", 0),
        ("default_steps", True),
        ("default_strength", 0.0),
        ("default_strength", float("nan")),
        ("default_size", "huge"),
        ("default_style", ""),
        ("max_count", 5),
        ("banned_user_ids", frozenset(range(1, MAX_IDS + 2))),
        ("allowed_role_ids", frozenset({0})),
        ("blocklist", ("x" * 101,)),
        ("blocklist", ("",)),
        ("audit_channel_id", -1),
        ("guild_quota", (0, 60)),
        ("member_quota", (5,)),
        ("role_quotas", ((6, 0, 60),)),
        ("role_quotas", ((6, 5),)),
        ("role_quotas", tuple((one, 5, 60) for one in range(1, 27))),
        ("locale", "x" * 17),
    ],
)
async def test_a_value_out_of_range_is_refused_by_name(
    store: Store, name: str, value: object
) -> None:
    await store.save_settings(1, CHOSEN)
    with pytest.raises(ValueError, match=name):
        await store.save_settings(1, replace(CHOSEN, **{name: value}))
    assert await store.get_settings(1) == CHOSEN


def test_settings_of_another_release_are_used_as_far_as_they_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = {
        "max_count": 2,
        "nsfw_policy": "blurred",
        "guild_quota": "many",
        "from_the_future": {"a": 1},
    }
    assert GuildSettings.from_json(stored) == GuildSettings(max_count=2)
    assert "nsfw_policy" in caplog.text
    assert "guild_quota" in caplog.text


def test_every_field_has_a_reader() -> None:
    assert set(READERS) == set(GuildSettings.__dataclass_fields__)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(READERS)), ANYTHING))
def test_hostile_json_never_breaks_reading(stored: dict[str, object]) -> None:
    settings = GuildSettings.from_json(stored)
    assert GuildSettings.from_json(settings.to_json()) == settings
