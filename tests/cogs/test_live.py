"""/live: one panel, one member, as many presses as they like."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from bot.imaging.metadata import read_metadata
from bot.store import GuildSettings
from tests.e2e import Town, eventually, items, lawful_town, null_scheduler, town, words


async def opened(place: Town, user: str = "cleo") -> dict[str, Any]:
    record = await place.command("/live prompt:a cat", user=user)
    message: dict[str, Any] = record["response"]
    assert message["ephemeral_for"]
    return message


async def shown(place: Town, panel: dict[str, Any]) -> dict[str, Any]:
    return await place.member.message(panel["id"], user="cleo")


async def press(
    place: Town, panel: dict[str, Any], label: str, emoji: str | None = None
) -> dict[str, Any]:
    (button,) = [
        one
        for one in items((await shown(place, panel))["components"], 2)
        if one["label"] == label and emoji in (None, one["emoji"]["name"])
    ]
    pressed = await place.member.press(panel["id"], button["custom_id"], user="cleo")
    return await place.member.wait_response(pressed, timeout=30)


async def test_each_press_redraws_in_place_with_one_call(place: Town) -> None:
    panel = await opened(place)
    first = words(await shown(place, panel))
    before = max(entry["id"] for entry in await place.member.traffic())
    record = await press(place, panel, "New seed")
    calls = await place.member.traffic(after=before, kind="rest")
    assert record["callback_type"] == 7
    assert len(calls) == 1
    second = words(await shown(place, panel))
    assert first != second
    assert "a cat" in second


async def test_the_strength_buttons_and_selects_set_what_the_picture_says(place: Town) -> None:
    panel = await opened(place)
    buttons = items(panel["components"], 2)
    assert [one["label"] for one in buttons if one["disabled"]] == ["Strength", "Strength"]
    assert items(panel["components"], 3)[0]["disabled"]
    await press(place, panel, "Use as source")
    assert "strength 0.7" in words(await shown(place, panel))
    await press(place, panel, "Strength", emoji="➖")
    assert "strength 0.6" in words(await shown(place, panel))
    steps = items((await shown(place, panel))["components"], 3)[1]
    (option,) = [one for one in steps["options"] if one["label"] == "steps: 4"]
    pressed = await place.member.select(
        panel["id"], steps["custom_id"], [option["value"]], user="cleo"
    )
    await place.member.wait_response(pressed, timeout=30)
    assert "4 steps" in words(await shown(place, panel))
    await press(place, panel, "Drop source")
    assert "strength" not in words(await shown(place, panel))


async def test_the_prompt_is_edited_in_a_form(place: Town) -> None:
    panel = await opened(place)
    opened_form = await press(place, panel, "Edit prompt")
    (field,) = [row["component"] for row in opened_form["modal"]["components"]]
    assert field["value"] == "a cat"
    sent = await place.member.submit_modal(
        opened_form["id"], {field["custom_id"]: "a dog"}, user="cleo"
    )
    await place.member.wait_response(sent, timeout=30)
    assert "a dog" in words(await shown(place, panel))


async def test_ten_presses_in_a_second_end_on_the_last_state(place: Town) -> None:
    panel = await opened(place)
    size = items((await shown(place, panel))["components"], 3)[2]
    values = [one["value"] for one in size["options"]]
    pressed = [
        await place.member.select(
            panel["id"], size["custom_id"], [values[number % len(values)]], user="cleo"
        )
        for number in range(10)
    ]
    records = await asyncio.gather(
        *(place.member.wait_response(one, until="ack", timeout=30) for one in pressed)
    )
    assert all(record["error"] is None for record in records)

    async def last_state() -> bool:
        # The tenth press chose the fifth size, which is wide.
        return "704×384" in words(await shown(place, panel))

    await eventually(last_state)


async def test_a_press_while_the_redrawn_panel_is_uploaded_is_understood(place: Town) -> None:
    panel = await opened(place)
    (button,) = [one for one in items(panel["components"], 2) if one["label"] == "New seed"]
    await place.member.fault("rest", "slow", route="*/callback", seconds=1.0, times=1)
    pressed = []
    for _ in range(2):
        pressed.append(await place.member.press(panel["id"], button["custom_id"], user="cleo"))
        await asyncio.sleep(0.5)
    for one in pressed:
        record = await place.member.wait_response(one, until="ack", timeout=30)
        # It changes the panel, and nobody says that its controls have ended.
        assert record["callback_type"] in (6, 7)


async def test_waiting_and_drawing_share_the_seconds_of_a_press(tmp_path: Path) -> None:
    async with lawful_town(tmp_path, scheduler=null_scheduler(step_seconds=0.95)) as place:
        panel = await opened(place)
        (button,) = [one for one in items(panel["components"], 2) if one["label"] == "New seed"]
        # The second waits for the first and draws then: two seconds each.
        pressed = [
            await place.member.press(panel["id"], button["custom_id"], user="cleo")
            for _ in range(2)
        ]
        for one in pressed:
            record = await place.member.wait_response(one, until="ack", timeout=30)
            assert record["error"] is None
            assert record["ack_ms"] < 3000
        assert await place.app.studio.wait_until_idle(20)


async def test_no_style_can_be_chosen_where_there_is_a_usual_one(place: Town) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    rules = GuildSettings(default_style="pixel")
    await place.app.store.save_settings(int(guild["id"]), rules)
    panel = await opened(place)
    assert "style pixel" in words(panel)
    select = items((await shown(place, panel))["components"], 3)[3]
    (none,) = [one for one in select["options"] if one["label"].endswith(": none")]
    pressed = await place.member.select(
        panel["id"], select["custom_id"], [none["value"]], user="cleo"
    )
    await place.member.wait_response(pressed, timeout=30)
    assert "style pixel" not in words(await shown(place, panel))
    posted = (await press(place, panel, "Share"))["response"]
    again = await place.press(posted["id"], "Reroll", user="ben")
    assert "style pixel" not in words(again["response"])


async def test_sharing_posts_it_with_the_controls_that_last(place: Town) -> None:
    panel = await opened(place)
    seed = re.search(r"seed (\d+)", words(await shown(place, panel)))
    assert seed is not None
    record = await press(place, panel, "Share")
    posted = record["response"]
    assert posted["ephemeral_for"] is None
    assert seed[0] in words(posted)
    metadata = read_metadata(await place.member.download(posted["files"][0]))
    assert metadata is not None
    again = await place.press(posted["id"], "Reroll", user="ben")
    assert "a cat" in words(again["response"])


async def test_a_limit_is_told_in_the_panel_under_the_old_picture(place: Town) -> None:
    panel = await opened(place)
    limiter = place.app.studio.service.limiter
    user_id = int(panel["ephemeral_for"])
    (guild,) = (await place.member.world(user="cleo"))["guilds"]
    await limiter.admit(guild_id=int(guild["id"]), user_id=user_id, cost=limiter.member.count - 1)
    await press(place, panel, "New seed")
    message = await shown(place, panel)
    assert "You have used your" in words(message)
    assert message["files"]


async def test_a_panel_starts_with_the_server_s_own_defaults_and_ceilings(place: Town) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    rules = GuildSettings(
        max_steps=2,
        default_steps=1,
        default_size="wide",
        default_style="pixel",
        default_strength=0.3,
    )
    await place.app.store.save_settings(int(guild["id"]), rules)
    panel = await opened(place)
    text = words(await shown(place, panel))
    for part in ("704×384", "1 step", "style pixel"):
        assert part in text
    selects = items((await shown(place, panel))["components"], 3)
    assert [one["label"] for one in selects[1]["options"]] == ["steps: 1", "steps: 2"]
    await press(place, panel, "Use as source")
    assert "strength 0.3" in words(await shown(place, panel))


async def test_a_ban_holds_in_an_open_panel_and_for_what_is_shared_from_it(place: Town) -> None:
    panel = await opened(place)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    rules = GuildSettings(banned_user_ids=frozenset({int(panel["ephemeral_for"])}))
    await place.app.store.save_settings(int(guild["id"]), rules)
    await press(place, panel, "New seed")
    assert "do not let you draw" in words(await shown(place, panel))
    refused = await press(place, panel, "Share")
    assert "do not let you draw" in words(refused["response"])
    assert refused["response"]["ephemeral_for"]


async def test_a_picture_is_shared_once(place: Town) -> None:
    panel = await opened(place)
    assert (await press(place, panel, "Share"))["response"]["files"]
    refused = (await press(place, panel, "Share"))["response"]
    assert "in the channel already" in words(refused)
    assert refused["ephemeral_for"]
    assert len(await place.member.messages("general", user="ben")) == 1
    await press(place, panel, "New seed")
    assert (await press(place, panel, "Share"))["response"]["files"]


async def test_what_could_not_be_shared_can_be_shared_later(place: Town) -> None:
    panel = await opened(place)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    rules = GuildSettings(blocklist=("cat",))
    await place.app.store.save_settings(int(guild["id"]), rules)
    assert "does not want" in words((await press(place, panel, "Share"))["response"])
    await place.app.store.save_settings(int(guild["id"]), GuildSettings())
    assert (await press(place, panel, "Share"))["response"]["files"]


async def test_sharing_is_acknowledged_in_time_however_slow_the_store_is(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = await opened(place)
    get_settings = place.app.store.get_settings

    async def slowly(guild_id: int) -> GuildSettings:
        await asyncio.sleep(3.5)
        return await get_settings(guild_id)

    monkeypatch.setattr(place.app.store, "get_settings", slowly)
    record = await press(place, panel, "Share")
    assert record["ack_ms"] < 3000
    assert record["response"]["files"]


async def test_a_picture_that_did_not_arrive_is_neither_shown_nor_shared(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        panel = await opened(place)
        seed = re.search(r"seed (\d+)", words(panel))
        assert seed is not None
        await place.member.fault("rest", "error", route="*/callback", status=413, times=1)
        await press(place, panel, "New seed")
        message = await shown(place, panel)
        assert "Discord would not take it" in words(message)
        assert seed[0] in words(message)
        assert seed[0] in words((await press(place, panel, "Share"))["response"])
        rules = [entry["rule"] for entry in await place.member.traffic() if entry.get("rule")]
        assert not any(rule.startswith("50035") for rule in rules)


async def test_what_was_drawn_in_passing_leaves_the_history_to_the_rest(place: Town) -> None:
    drawn = await place.command("/imagine prompt:my masterpiece", user="cleo")
    assert drawn["response"]["files"]
    panel = await opened(place)
    for _ in range(8):
        await press(place, panel, "New seed")
    await press(place, panel, "Share")
    lines = words((await place.command("/me", user="cleo"))["response"]).splitlines()
    (shared, imagined) = [one for one in lines if one.startswith("- <t:")]
    assert "a cat" in shared
    assert "see it" in shared
    assert "my masterpiece" in imagined
