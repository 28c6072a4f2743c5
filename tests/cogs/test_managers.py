"""Several managers, long lists and the way back in /settings, over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from bot.store import GuildSettings
from bot.store.guild_settings import MAX_IDS
from tests.cogs.test_settings import choose, fill, panel_of
from tests.e2e import Town, items, words

USER_SELECT, ROLE_SELECT, CHANNEL_SELECT = 5, 6, 8
MEDIA_CHANNEL = 16


async def guild_of(place: Town) -> dict[str, Any]:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    return dict(guild)


async def user_ids(place: Town) -> dict[str, str]:
    return {one["username"]: one["id"] for one in (await place.member.world(user="ada"))["users"]}


async def settings_of(place: Town) -> GuildSettings:
    return await place.app.store.get_settings(int((await guild_of(place))["id"]))


async def store(place: Town, **chosen: Any) -> None:
    guild = await guild_of(place)
    await place.app.store.save_settings(int(guild["id"]), GuildSettings(**chosen))


async def test_two_managers_add_to_each_other_s_bans_and_words(place: Town) -> None:
    ids = await user_ids(place)
    first, second = await panel_of(place), await panel_of(place)
    await choose(place, first, USER_SELECT, 0, ids["cleo"])
    await choose(place, second, USER_SELECT, 0, ids["ben"])
    await fill(place, first, "Blocked words…", ["gore\nblood"])
    await fill(place, second, "Blocked words…", ["nude"])
    stored = await settings_of(place)
    assert stored.banned_user_ids == {int(ids["cleo"]), int(ids["ben"])}
    assert stored.blocklist == ("gore", "blood", "nude")
    # Each has seen the other's by now, and takes one away.
    await choose(place, first, USER_SELECT, 1, ids["ben"])
    await fill(place, second, "Blocked words…", ["gore\nnude"])
    stored = await settings_of(place)
    assert stored.banned_user_ids == {int(ids["cleo"])}
    assert stored.blocklist == ("gore", "nude")


async def test_two_managers_add_to_each_other_s_channels_roles_and_numbers(place: Town) -> None:
    guild = await guild_of(place)
    channels = {one["name"]: one["id"] for one in guild["channels"]}
    everyone, role = (one["id"] for one in guild["roles"][:2])
    first, second = await panel_of(place), await panel_of(place)
    await choose(place, first, CHANNEL_SELECT, 0, channels["art"])
    await choose(place, second, CHANNEL_SELECT, 0, channels["general"])
    await choose(place, first, ROLE_SELECT, 0, role)
    await choose(place, second, ROLE_SELECT, 0, everyone)
    third, fourth = await panel_of(place), await panel_of(place)
    opened = [
        await place.member.press(one["id"], "Defaults…", user="ada") for one in (third, fourth)
    ]
    for pressed, typed in zip(opened, (["3", "", ""], ["", "0.5", ""]), strict=True):
        rows = (await place.member.wait_response(pressed))["modal"]["components"]
        fields = [row["component"] for row in rows if row["component"]["type"] == 4]
        values = {one["custom_id"]: value for one, value in zip(fields, typed, strict=True)}
        await place.member.wait_response(
            await place.member.submit_modal(pressed, values, user="ada")
        )
    stored = await settings_of(place)
    assert stored.allowed_channel_ids == {int(channels["art"]), int(channels["general"])}
    assert stored.allowed_role_ids == {int(everyone), int(role)}
    assert (stored.default_steps, stored.default_strength) == (3, 0.5)


async def test_reset_asks_first_and_has_a_way_back(place: Town) -> None:
    panel = await panel_of(place)
    rows = items(panel["components"], 1)
    (row,) = [one for one in rows if any(b.get("label") == "Reset all" for b in one["components"])]
    assert len(row["components"]) == 1
    await fill(place, panel, "Blocked words…", ["gore"])
    for label in ("Reset all", "Keep it", "Reset all", "Yes, reset it"):
        assert (await settings_of(place)).blocklist == ("gore",)
        pressed = await place.member.press(panel["id"], label, user="ada")
        assert (await place.member.wait_response(pressed))["callback_type"] == 7
        page = words(await place.member.message(panel["id"], user="ada"))
        assert ("takes back all" in page) is (label == "Reset all")
        assert ("gore" in page) is (label == "Keep it")
    assert await settings_of(place) == GuildSettings()


async def test_any_number_of_members_can_be_banned_and_let_go_one_by_one(place: Town) -> None:
    ids = await user_ids(place)
    many = frozenset(range(1, 41))
    await store(place, banned_user_ids=many)
    panel = await panel_of(place)
    assert "and 30 more" in words(panel)
    ban, unban = items(panel["components"], USER_SELECT)
    assert not ban.get("default_values")
    assert not unban.get("default_values")
    await choose(place, panel, USER_SELECT, 0, ids["cleo"])
    assert (await settings_of(place)).banned_user_ids == many | {int(ids["cleo"])}
    refused = await place.command("/imagine prompt:a", user="cleo")
    assert "do not let you draw" in words(refused["response"])
    await choose(place, panel, USER_SELECT, 1, ids["cleo"])
    assert (await settings_of(place)).banned_user_ids == many
    assert (await place.command("/imagine prompt:a", user="cleo"))["response"]["files"]


async def test_where_nobody_is_banned_nobody_can_be_let_go(place: Town) -> None:
    assert len(items((await panel_of(place))["components"], USER_SELECT)) == 1


async def test_more_bans_than_fit_are_refused_in_a_sentence(place: Town) -> None:
    ids = await user_ids(place)
    await store(place, banned_user_ids=frozenset(range(1, MAX_IDS + 1)))
    panel = await panel_of(place)
    select = items(panel["components"], USER_SELECT)[0]
    pressed = await place.member.select(panel["id"], select["custom_id"], [ids["cleo"]], user="ada")
    refused = await place.member.wait_response(pressed)
    assert f"would be {MAX_IDS + 1}; {MAX_IDS} is the most" in words(refused["response"])


async def test_channels_beyond_those_a_menu_shows_stay(place: Town) -> None:
    channels = {one["name"]: one["id"] for one in (await guild_of(place))["channels"]}
    many = frozenset(range(1, 31))
    await store(place, allowed_channel_ids=many)
    panel = await panel_of(place)
    assert "show the first 25" in words(panel)
    select = items(panel["components"], CHANNEL_SELECT)[0]
    assert len(select["default_values"]) == 25
    await choose(place, panel, CHANNEL_SELECT, 0, channels["art"])
    assert (await settings_of(place)).allowed_channel_ids == {
        *range(26, 31),
        int(channels["art"]),
    }


async def test_media_channels_can_be_allowed(place: Town) -> None:
    select = items((await panel_of(place))["components"], CHANNEL_SELECT)[0]
    assert MEDIA_CHANNEL in select["channel_types"]


@pytest.mark.parametrize("typed", ["another", "unseen99"])
async def test_blocked_words_that_do_not_fit_the_form_stay_blocked(place: Town, typed: str) -> None:
    many = (*(f"{'long' * 20} {number}" for number in range(60)), "unseen99")
    await store(place, blocklist=many)
    panel = await panel_of(place)
    opened = await place.member.press(panel["id"], "Blocked words…", user="ada")
    (row,) = (await place.member.wait_response(opened))["modal"]["components"]
    assert "stay blocked" in row["description"]
    shown = row["component"]["value"].splitlines()
    sent = await place.member.submit_modal(
        opened, {row["component"]["custom_id"]: "\n".join([*shown[1:], typed])}, user="ada"
    )
    await place.member.wait_response(sent)
    assert set((await settings_of(place)).blocklist) == {*many[1:], typed}
