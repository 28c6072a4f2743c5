"""/settings, /status, /me, /help and /styles over the wire."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from bot.imaging.png_writer import write_png
from bot.store import GuildSettings
from cogs.common import settings_forms
from tests.e2e import Town, eventually, items, words
from tests.pictures import png


async def panel_of(place: Town) -> dict[str, Any]:
    record = await place.command("/settings", user="ada")
    message: dict[str, Any] = record["response"]
    return message


async def choose(place: Town, panel: dict[str, Any], kind: int, index: int, *ids: str) -> None:
    message = await place.member.message(panel["id"], user="ada")
    select = items(message["components"], kind)[index]
    pressed = await place.member.select(panel["id"], select["custom_id"], list(ids), user="ada")
    record = await place.member.wait_response(pressed)
    assert record["callback_type"] == 7


async def fill(place: Town, panel: dict[str, Any], label: str, values: list[str]) -> dict[str, Any]:
    pressed = await place.member.press(panel["id"], label, user="ada")
    record = await place.member.wait_response(pressed)
    inputs = [
        row["component"]["custom_id"]
        for row in record["modal"]["components"]
        if row["component"]["type"] == 4
    ]
    sent = await place.member.submit_modal(
        pressed, dict(zip(inputs, values, strict=True)), user="ada"
    )
    return await place.member.wait_response(sent)


async def test_settings_take_effect_at_once(place: Town) -> None:
    panel = await panel_of(place)
    assert panel["ephemeral_for"]
    await fill(place, panel, "Defaults…", ["3", "0.5", "2"])
    record = await place.command("/imagine prompt:a", user="cleo")
    assert "3 steps" in words(record["response"])
    assert len(record["response"]["files"]) == 2
    await fill(place, panel, "Limits…", ["3", "2", "", "1/3600"])
    refused = await place.command("/imagine prompt:a count:2", user="cleo")
    assert "more than the 1 picture you may" in words(refused["response"])
    await fill(place, panel, "Blocked words…", ["gore\nred cross"])
    blocked = await place.command("/imagine prompt:a g0re scene count:1", user="cleo")
    assert "does not want pictures of gore" in words(blocked["response"])


async def test_channels_and_bans_hold_for_members_but_not_for_managers(place: Town) -> None:
    panel = await panel_of(place)
    world = await place.member.world(user="ada")
    (guild,) = world["guilds"]
    channels = {one["name"]: one["id"] for one in guild["channels"]}
    await choose(place, panel, 8, 0, channels["art"])
    refused = await place.command("/imagine prompt:a", user="cleo")
    assert f"<#{channels['art']}>" in words(refused["response"])
    assert (await place.command("/imagine prompt:a", user="cleo", channel="art"))["response"][
        "files"
    ]
    assert (await place.command("/imagine prompt:a", user="ada"))["response"]["files"]
    cleo = next(one["id"] for one in world["users"] if one["username"] == "cleo")
    await choose(place, panel, 5, 0, cleo)
    banned = await place.command("/imagine prompt:a", user="cleo", channel="art")
    assert "do not let you draw" in words(banned["response"])


async def test_a_wrong_value_is_named_and_nothing_is_stored(place: Town) -> None:
    panel = await panel_of(place)
    record = await fill(place, panel, "Limits…", ["99", "", "", ""])
    assert "`max_steps` cannot be 99" in words(record["response"])


async def give_roles(place: Town, panel: dict[str, Any], role: str, quota: str) -> dict[str, Any]:
    pressed = await place.member.press(panel["id"], "Limits of roles…", user="ada")
    rows = (await place.member.wait_response(pressed))["modal"]["components"]
    roles, typed = (row["component"]["custom_id"] for row in rows)
    sent = await place.member.submit_modal(pressed, {roles: [role], typed: quota}, user="ada")
    return await place.member.wait_response(sent)


async def test_a_role_has_a_limit_of_its_own_until_it_is_taken_back(place: Town) -> None:
    panel = await panel_of(place)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    role = next(one["id"] for one in guild["roles"] if one["name"] == "Moderator")
    await fill(place, panel, "Limits…", ["", "", "", "1/3600"])
    refused = await give_roles(place, panel, role, "300/60")
    assert "`member` cannot be 300/60" in words(refused["response"])
    await give_roles(place, panel, role, "3/3600")
    shown = words(await place.member.message(panel["id"], user="ada"))
    assert f"**Limits of roles:** <@&{role}> 3 in 60 min" in shown

    drawn = await place.command("/imagine prompt:a count:2", user="ben")
    assert len(drawn["response"]["files"]) == 2
    for command in ("/me", "/status"):
        assert "1 of 3 pictures" in words((await place.command(command, user="ben"))["response"])
    refused = await place.command("/imagine prompt:a count:2", user="cleo")
    assert "more than the 1 picture you may" in words(refused["response"])

    await give_roles(place, panel, role, "")
    assert "Limits of roles" not in words(await place.member.message(panel["id"], user="ada"))
    assert "0 of 1 picture left" in words((await place.command("/me", user="ben"))["response"])


async def test_a_deleted_role_loses_its_limit_with_the_next_change(place: Town) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    role = next(one["id"] for one in guild["roles"] if one["name"] == "Moderator")
    gone = GuildSettings(role_quotas=((5, 5, 60),))
    await place.app.store.save_settings(int(guild["id"]), gone)
    panel = await panel_of(place)
    await give_roles(place, panel, role, "3/60")
    stored = await place.app.store.get_settings(int(guild["id"]))
    assert stored.role_quotas == ((int(role), 3, 60),)


async def test_a_default_strength_of_many_decimals_keeps_the_forms_opening(place: Town) -> None:
    panel = await panel_of(place)
    for typed in (".625", ".62512"):
        await fill(place, panel, "Defaults…", ["", typed, ""])
        opened = await place.member.press(panel["id"], "Defaults…", user="ada")
        fields = (await place.member.wait_response(opened))["modal"]["components"]
        assert fields[1]["component"]["value"] == "0.625"


async def test_no_more_roles_have_limits_than_fit(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_forms, "MAX_ROLE_QUOTAS", 1)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    everyone, role = (one["id"] for one in guild["roles"][:2])
    full = GuildSettings(role_quotas=((int(everyone), 5, 60),))
    await place.app.store.save_settings(int(guild["id"]), full)
    refused = await give_roles(place, await panel_of(place), role, "3/60")
    assert "Those are 2 roles; 1 is the most" in words(refused["response"])


async def test_the_audit_channel_notes_every_picture(place: Town) -> None:
    panel = await panel_of(place)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    channels = {one["name"]: one["id"] for one in guild["channels"]}
    await choose(place, panel, 8, 1, channels["art"])
    await place.command("/imagine prompt:a @everyone cat", user="cleo")

    async def noted() -> bool:
        lines = await place.member.messages("art", user="ada")
        return len(lines) == 1 and "cat" in lines[0]["content"] and not lines[0]["mentions"]

    await eventually(noted)


async def test_status_names_the_permission_that_is_missing(place: Town) -> None:
    record = await place.command("/status", user="cleo")
    text = words(record["response"])
    for part in ("Ready", "null", "waiting", "20 of 20 pictures left"):
        assert part in text
    assert "Missing here" not in text
    await place.member.set_overwrite("general", "turbocord", deny=1 << 15)
    record = await place.command("/status", user="cleo")
    assert "Attach Files" in words(record["response"])


async def test_me_shows_history_and_forgets(place: Town) -> None:
    await place.command("/imagine prompt:my secret cat", user="cleo")
    assert await place.app.studio.wait_until_idle(10)
    record = await place.command("/me", user="cleo")
    assert "my secret cat" in words(record["response"])
    assert "19 of 20" in words(record["response"])
    assert "[see it](https://discord.com/channels/" in words(record["response"])
    for label in ("Delete my data", "Keep it", "Delete my data", "Yes, delete it"):
        pressed = await place.member.press(record["response"]["id"], label, user="cleo")
        answer = await place.member.wait_response(pressed)
        assert answer["callback_type"] == 7
        page = await place.member.message(record["response"]["id"], user="cleo")
        assert ("my secret cat" in words(page)) is (label == "Keep it")
    assert "Forgotten: 1 request and" in words(page)
    record = await place.command("/me", user="cleo")
    assert "my secret cat" not in words(record["response"])


async def test_a_kept_picture_that_is_too_large_here_holds_nothing_back(place: Town) -> None:
    drawn = await place.command("/imagine prompt:a cat", user="cleo")
    assert await place.app.studio.wait_until_idle(10)
    (job,) = await place.app.store.jobs_of_user(
        int(drawn["response"]["interaction_metadata"]["user"]["id"])
    )
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    large = write_png(noise)
    assert len(large) > 10 * 2**20
    for data in (large, png()):
        await place.app.store.keep_picture(
            job_id=job.job_id, filename="cat.png", data=data, expires_at=time.time() + 600
        )
    me = await place.command("/me", user="cleo")
    await place.member.press(me["response"]["id"], "Get kept pictures", user="cleo")

    async def have_come() -> bool:
        names = [
            file["filename"]
            for message in await place.member.messages("general", user="cleo")
            for file in message["files"]
        ]
        return {"cat.webp", "cat.png"} <= set(names)

    await eventually(have_come)

    async def are_let_go() -> bool:
        return await place.app.store.kept_pictures(job.user_id) == []

    await eventually(are_let_go)


async def test_help_and_styles_are_told_in_the_member_s_language(place: Town) -> None:
    await place.member.set_user("cleo", locale="zh-CN")
    assert "用文字画图" in words((await place.command("/help", user="cleo"))["response"])
    assert "/imagine" in words((await place.command("/help", user="ben"))["response"])
    assert "watercolour" in words((await place.command("/styles", user="ben"))["response"])


async def test_a_limit_above_the_operator_s_is_named(place: Town) -> None:
    panel = await panel_of(place)
    record = await fill(place, panel, "Limits…", ["", "", "500/60", ""])
    assert "`guild` cannot be 500/60: ≤ 120/60 works" in words(record["response"])
    record = await fill(place, panel, "Limits…", ["", "", "", "0/60"])
    assert "`member` cannot be 0/60" in words(record["response"])


async def test_status_and_me_tell_of_the_server_s_own_limits(place: Town) -> None:
    panel = await panel_of(place)
    await fill(place, panel, "Limits…", ["", "", "50/3600", "5/3600"])
    await place.command("/imagine prompt:a", user="cleo")
    status = words((await place.command("/status", user="cleo"))["response"])
    assert "49 of 50 pictures left, counted over 60 min" in status
    assert "4 of 5 pictures left" in status
    assert "4 of 5" in words((await place.command("/me", user="cleo"))["response"])


async def test_two_managers_do_not_undo_each_other(place: Town) -> None:
    first, second = await panel_of(place), await panel_of(place)
    await fill(place, first, "Blocked words…", ["gore"])
    await fill(place, second, "Defaults…", ["3", "", ""])
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    stored = await place.app.store.get_settings(int(guild["id"]))
    assert stored.blocklist == ("gore",)
    assert stored.default_steps == 3


async def test_who_may_not_manage_the_server_any_more_reads_why(place: Town) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    seeing, managing = 1 << 10 | 1 << 11 | 1 << 31, 1 << 5
    await place.member.set_member(guild["id"], "cleo", permissions=seeing | managing)
    panel = (await place.command("/settings", user="cleo"))["response"]
    await place.member.set_member(guild["id"], "cleo", permissions=seeing)
    pressed = await place.member.press(panel["id"], "Reset all", user="cleo")
    record = await place.member.wait_response(pressed)
    assert "Only members who may manage" in words(record["response"])


async def test_without_a_picture_check_there_is_no_policy_to_choose(place: Town) -> None:
    (select,) = items((await panel_of(place))["components"], 3)
    assert select["disabled"]


async def test_an_audit_channel_the_bot_cannot_write_in_is_not_taken(place: Town) -> None:
    panel = await panel_of(place)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    art = next(one["id"] for one in guild["channels"] if one["name"] == "art")
    await place.member.set_overwrite("art", "turbocord", deny=1 << 11)
    message = await place.member.message(panel["id"], user="ada")
    select = items(message["components"], 8)[1]
    pressed = await place.member.select(panel["id"], select["custom_id"], [art], user="ada")
    record = await place.member.wait_response(pressed)
    assert f"I cannot write in <#{art}>: Send Messages is missing" in words(record["response"])
    assert (await place.app.store.get_settings(int(guild["id"]))).audit_channel_id is None


async def test_a_blocked_word_too_long_to_store_is_named(place: Town) -> None:
    panel = await panel_of(place)
    record = await fill(place, panel, "Blocked words…", ["x" * 101])
    assert "more than 100 characters" in words(record["response"])


async def test_the_missing_permission_has_its_name_in_the_member_s_language(place: Town) -> None:
    await place.member.set_user("cleo", locale="zh-CN")
    await place.member.set_overwrite("general", "turbocord", deny=1 << 15)
    assert "上传文件" in words((await place.command("/status", user="cleo"))["response"])


async def test_the_panel_tells_what_holds_in_words(place: Town) -> None:
    text = words(await panel_of(place))
    assert "2 steps, strength 0.7, square 512×512, no style, 1 at a time" in text
    assert "120 in 60 s for the server, 20 in 60 s for each member" in text
    assert "everyone, in every channel" in text


async def test_a_private_picture_has_no_link_that_leads_nowhere(place: Town) -> None:
    await place.command("/imagine prompt:mine private:true", user="cleo")
    assert await place.app.studio.wait_until_idle(10)
    me = words((await place.command("/me", user="cleo"))["response"])
    assert "**mine**" in me
    assert "discord.com/channels" not in me
