"""A blocked word is found at every door, and the bot repeats it to nobody but who wrote it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.store import GuildSettings
from tests.cogs.test_live import press, shown
from tests.e2e import Town, items, words
from tests.pictures import png

NAMED = "does not want pictures of gore"
UNNAMED = "does not want pictures of that"
TWO = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}


async def block(place: Town, *blocked: str) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    await place.app.store.save_settings(int(guild["id"]), GuildSettings(blocklist=blocked))


async def mention(place: Town, text: str, **options: Any) -> dict[str, Any]:
    sent = await place.member.send(
        f"<@{place.sandbox.application_id}> {text}", user="cleo", channel="general", **options
    )
    return await place.member.wait_message(
        "general", user="ben", after=sent["id"], author="turbocord", timeout=30
    )


async def submit(place: Town, opened: str, prompt: str) -> dict[str, Any]:
    modal = (await place.member.wait_response(opened))["modal"]
    field, *_ = (row["component"]["custom_id"] for row in modal["components"])
    sent = await place.member.submit_modal(opened, {field: prompt}, user="cleo")
    return await place.member.wait_response(sent, timeout=30)


async def test_a_mention_is_refused_without_the_word(place: Town) -> None:
    await block(place, "gore")
    for text, files in (("some gore", {}), ("a cat --no gore", {}), ("gore", {"a.png": png()})):
        answer = await mention(place, text, files=files)
        assert UNNAMED in words(answer)
        assert "gore" not in words(answer)
        assert answer["files"] == []


async def test_commands_name_the_word_to_who_wrote_it(place: Town) -> None:
    await block(place, "gore")
    for command, files in (("/blend prompt:gore", TWO), ("/live prompt:gore", None)):
        refused = (await place.command(command, user="cleo", files=files))["response"]
        assert NAMED in words(refused)
        assert refused["ephemeral_for"]


async def test_the_remix_form_of_anybody_s_picture(place: Town) -> None:
    await block(place, "gore")
    theirs = await place.member.send("x", user="ben", channel="general", files={"a.png": png()})
    opened = await place.member.context_menu("Remix", message=theirs["id"], user="cleo")
    refused = (await submit(place, opened, "gore"))["response"]
    assert NAMED in words(refused)
    assert refused["ephemeral_for"]


async def test_the_form_of_a_live_panel(place: Town) -> None:
    await block(place, "gore")
    panel = (await place.command("/live prompt:a cat", user="cleo"))["response"]
    form = await press(place, panel, "Edit prompt")
    await submit(place, form["id"], "gore")
    message = await shown(place, panel)
    assert NAMED in words(message)
    assert message["files"]


async def test_the_buttons_of_a_picture_that_was_drawn_before_the_word_was_blocked(
    place: Town,
) -> None:
    drawn = (await place.command("/imagine prompt:some gore", user="cleo"))["response"]
    await block(place, "gore")
    for label in ("Reroll", "Vary", "Upscale ×2"):
        refused = (await place.press(drawn["id"], label, user="ben"))["response"]
        assert NAMED in words(refused), label
        assert refused["ephemeral_for"]
    # The store may have lost it; then the picture itself tells.
    await place.app.store.delete_jobs_of_user(int(drawn["interaction_metadata"]["user"]["id"]))
    refused = (await place.press(drawn["id"], "Reroll", user="ben"))["response"]
    assert NAMED in words(refused)


async def test_a_refusal_that_comes_late_is_read_by_all_and_names_nothing(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await block(place, "gore")
    get_settings = place.app.store.get_settings

    async def slowly(guild_id: int) -> GuildSettings:
        await asyncio.sleep(1.5)
        return await get_settings(guild_id)

    monkeypatch.setattr(place.app.store, "get_settings", slowly)
    refused = (await place.command("/imagine prompt:gore", user="cleo"))["response"]
    assert not refused["ephemeral_for"]
    assert UNNAMED in words(refused)
    private = (await place.command("/imagine prompt:gore private:true", user="cleo"))["response"]
    assert private["ephemeral_for"]
    assert NAMED in words(private)


async def test_the_words_of_the_panel_are_for_managers_alone(place: Town) -> None:
    await block(place, "gore")
    panel = (await place.command("/settings", user="ada"))["response"]
    assert panel["ephemeral_for"]
    assert "||gore||" in words(panel)
    assert items(panel["components"], 2)
