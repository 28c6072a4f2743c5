"""The controls under a result: they act, they last, and they mind who presses."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.app import connected
from bot.imaging.metadata import read_metadata
from bot.sandbox import Sandbox, permissions
from bot.store import GuildSettings, Store
from tests.e2e import (
    MESSAGE_CONTENT,
    Town,
    eventually,
    items,
    null_scheduler,
    settings_for,
    town,
    words,
)
from tests.pictures import pixels_of, png


async def drawn(place: Town, text: str = "/imagine prompt:a cat seed:7 steps:3") -> dict[str, Any]:
    """Return the message of a finished picture."""
    message: dict[str, Any] = (await place.command(text))["response"]
    return message


async def test_reroll_draws_the_same_with_a_new_seed_as_a_new_message(place: Town) -> None:
    first = await drawn(place)
    record = await place.press(first["id"], "Reroll", user="cleo")
    text = words(record["response"])
    assert record["response"]["id"] != first["id"]
    assert "a cat" in text
    assert "3 steps" in text
    assert "seed 7 " not in text


async def test_vary_and_upscale_start_from_the_picture(place: Town) -> None:
    first = await drawn(place)
    varied = await place.press(first["id"], "Vary")
    assert "strength 0.45" in words(varied["response"])
    upscaled = await place.press(first["id"], "Upscale ×2")
    assert "1024×1024" in words(upscaled["response"])
    refused = await place.press(upscaled["response"]["id"], "Upscale ×2")
    assert "as large as I draw" in words(refused["response"])


async def test_an_upscale_above_the_upload_limit_is_made_to_fit(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord tells each interaction how large a file may be there, and refuses a larger one."""
    first = await drawn(place)
    large = (await place.press(first["id"], "Upscale ×2"))["response"]["files"][0]
    assert large["filename"].endswith(".png")
    limit = large["size"] // 4
    monkeypatch.setattr(permissions, "upload_limit", lambda premium_tier: limit)
    record = await place.press(first["id"], "Upscale ×2")
    assert "1024×1024" in words(record["response"])
    (file,) = record["response"]["files"]
    assert file["size"] <= limit
    assert file["filename"].endswith(".webp")
    data = await place.member.download(file)
    assert pixels_of(data).shape == (1024, 1024, 3)
    metadata = read_metadata(data)
    assert metadata is not None
    assert (metadata.prompt, metadata.strength) == ("a cat", 0.25)


async def test_remix_opens_a_form_filled_in_with_what_is_known(place: Town) -> None:
    first = await drawn(place)
    opened = await place.member.press(first["id"], "Remix…", user="ben")
    modal = (await place.member.wait_response(opened))["modal"]
    inputs = [row["component"] for row in modal["components"]]
    assert inputs[0]["value"] == "a cat"
    sent = await place.member.submit_modal(
        opened, {inputs[0]["custom_id"]: "a dog", inputs[1]["custom_id"]: "0.6"}, user="ben"
    )
    answer = await place.member.wait_response(sent, until="files", timeout=30)
    assert "a dog" in words(answer["response"])
    assert "strength 0.6" in words(answer["response"])


async def test_a_select_chooses_which_of_several(place: Town) -> None:
    first = await drawn(place, "/imagine prompt:a cat seed:7 count:3 size:wide")
    select = items(first["components"], 3)[0]
    pressed = await place.member.select(first["id"], select["custom_id"], ["2"], user="ben")
    record = await place.member.wait_response(pressed)
    assert record["callback_type"] == 7
    message = await place.member.message(first["id"], user="ben")
    assert len(message["files"]) == 3
    buttons = items(message["components"], 2)
    assert all(one["custom_id"].endswith(":2") for one in buttons)
    varied = await place.press(first["id"], "Vary")
    assert "strength" in words(varied["response"])


async def test_only_author_and_moderators_delete(place: Town) -> None:
    first = await drawn(place)
    refused = await place.press(first["id"], "Delete", user="cleo")
    assert "Only the member who asked" in words(refused["response"])
    assert refused["response"]["ephemeral_for"]
    await place.member.press(first["id"], "Delete", user="ben")
    second = await place.command("/imagine prompt:mine", user="cleo")
    pressed = await place.member.press(second["response"]["id"], "Delete", user="cleo")
    await place.member.wait_response(pressed, until="ack")
    await eventually(lambda: no_messages(place))


async def test_who_mentioned_the_bot_deletes_the_answer_even_without_the_store(
    tmp_path: Path,
) -> None:
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        answer: dict[str, Any] = {}
        for name in ("before", "empty"):
            (tmp_path / name).mkdir()
            settings = settings_for(sandbox, tmp_path / name)
            async with connected(settings, scheduler=null_scheduler()) as app:
                place = Town(sandbox, app, member)
                if name == "before":
                    sent = await member.send(
                        f"<@{sandbox.application_id}> a cat", user="cleo", channel="general"
                    )
                    answer = await member.wait_message(
                        "general", user="cleo", after=sent["id"], author="turbocord", timeout=30
                    )
                    continue
                await member.create_user("dora")
                (guild,) = (await member.world(user="ada"))["guilds"]
                await member.set_member(guild["id"], "dora", present=True)
                refused = await place.press(answer["id"], "Delete", user="dora")
                assert "Only the member who asked" in words(refused["response"])
                await member.press(answer["id"], "Delete", user="cleo")
                await eventually(partial(is_gone, place, answer["id"]))


async def test_two_members_may_press_at_once(place: Town) -> None:
    first = await drawn(place)
    records = await asyncio.gather(
        place.press(first["id"], "Reroll", user="ben"),
        place.press(first["id"], "Reroll", user="cleo"),
    )
    assert len({record["response"]["id"] for record in records}) == 2


async def test_a_private_result_stays_private(place: Town) -> None:
    first = await drawn(place, "/imagine prompt:a cat private:true")
    record = await place.press(first["id"], "Reroll")
    assert record["response"]["ephemeral_for"]


async def test_a_private_variation_is_drawn_again(place: Town) -> None:
    """Nobody can ask Discord for the picture it was made from."""
    message = await drawn(place, "/imagine prompt:a cat private:true")
    for label in ("Vary", "Reroll", "Reroll"):
        await keeping(place)
        message = (await place.press(message["id"], label))["response"]
        assert message["ephemeral_for"]
        assert "strength 0.45" in words(message), words(message)


async def test_a_variation_in_a_conversation_between_members_is_drawn_again(place: Town) -> None:
    """The bot answers there, by the token, and reads nothing."""
    await place.member.set_user("cleo", has_installed=True)
    channel = await place.member.dm("cleo", with_users=["ben"])
    record = await place.command("/imagine prompt:a cat", user="cleo", channel=channel["id"])
    message = record["response"]
    for label in ("Vary", "Reroll"):
        await keeping(place)
        message = (await place.press(message["id"], label, user="cleo"))["response"]
        assert "strength 0.45" in words(message), words(message)


async def keeping(place: Town) -> None:
    """Return once nothing is open, copies of sources included."""
    assert await place.app.studio.wait_until_idle(10)

    async def all_kept() -> bool:
        return not place.app.studio.copies._keeping

    await eventually(all_kept)


async def test_what_ran_more_steps_than_may_be_asked_for_is_gone_on_from(place: Town) -> None:
    """A gentle remix runs as many steps as it takes for one to be left."""
    record = await place.command(
        "/remix prompt:snow strength:0.2", files={"image": ("a.png", png())}
    )
    message = record["response"]
    assert "5 steps" in words(message)
    again = (await place.press(message["id"], "Reroll"))["response"]
    assert "5 steps · strength 0.2" in words(again), words(again)
    for label in ("Vary", "Upscale ×2"):
        assert (await place.press(message["id"], label))["response"]["files"]
    opened = await place.member.press(message["id"], "Remix…", user="ada")
    modal = (await place.member.wait_response(opened))["modal"]
    prompt, strength = (row["component"] for row in modal["components"][:2])
    sent = await place.member.submit_modal(
        opened, {prompt["custom_id"]: "a dog", strength["custom_id"]: "0.6"}, user="ada"
    )
    assert (await place.member.wait_response(sent, until="files", timeout=30))["response"]["files"]


async def test_lower_ceilings_bring_earlier_pictures_down(place: Town) -> None:
    first = await drawn(place, "/imagine prompt:a cat count:3 steps:4")
    (guild,) = place.app.bot.guilds
    await place.app.store.save_settings(guild.id, GuildSettings(max_steps=1, max_count=2))
    again = (await place.press(first["id"], "Reroll"))["response"]
    assert "1 step ·" in words(again)
    assert len(again["files"]) == 2
    for label in ("Vary", "Reroll", "Upscale ×2"):
        message = (await place.press(first["id"], label))["response"]
        assert message["files"], words(message)


async def test_a_strength_of_many_decimals_fits_into_the_form(place: Town) -> None:
    record = await place.command(
        "/remix prompt:snow strength:0.33333", files={"image": ("a.png", png())}
    )
    opened = await place.member.press(record["response"]["id"], "Remix…", user="ben")
    modal = (await place.member.wait_response(opened))["modal"]
    assert modal["components"][1]["component"]["value"] == "0.333"


async def test_what_went_to_its_member_by_mail_can_be_gone_on_from(place: Town) -> None:
    place.tolerated_codes.add("50013")
    bot = place.sandbox.application_id
    await place.member.set_overwrite("art", str(bot), deny=1 << 11)
    await place.member.send(f"<@{bot}> a cat --count 2", user="ada", channel="art")
    channel = await place.member.dm("ada")

    async def has_mail() -> bool:
        return bool(await place.member.messages(channel["id"], user="ada"))

    await eventually(has_mail)
    (message,) = await place.member.messages(channel["id"], user="ada")
    me = words((await place.command("/me"))["response"])
    assert "a cat" in me
    assert "discord.com/channels" not in me
    again = (await place.press(message["id"], "Reroll"))["response"]
    assert len(again["files"]) == 2
    await place.press(message["id"], "Delete")

    async def is_gone() -> bool:
        ids = [one["id"] for one in await place.member.messages(channel["id"], user="ada")]
        return message["id"] not in ids

    await eventually(is_gone)


async def test_buttons_work_after_a_restart_and_after_the_store_was_lost(tmp_path: Path) -> None:
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        before, empty = tmp_path / "before", tmp_path / "empty"
        for folder in (before, empty):
            folder.mkdir()
        message: dict[str, Any] = {}
        for number, folder in enumerate((before, before, empty)):
            settings = settings_for(sandbox, folder)
            async with connected(settings, scheduler=null_scheduler()) as app:
                place = Town(sandbox, app, member)
                if number == 0:
                    message = await drawn(place)
                    continue
                for label in ("Reroll", "Vary", "Upscale ×2"):
                    record = await place.press(message["id"], label, user="cleo")
                    assert "a cat" in words(record["response"]), (number, label)
                    # A quarter of three steps is none, so the upscale runs four.
                    steps = 4 if label.startswith("Upscale") else 3
                    assert f"{steps} steps" in words(record["response"]), (number, label)


async def test_a_reroll_of_a_remix_signs_its_source_anew(place: Town) -> None:
    posted = await place.member.send("", user="ben", channel="general", files={"a.png": png()})
    opened = await place.member.context_menu("Remix", message=posted["id"], user="cleo")
    modal = (await place.member.wait_response(opened))["modal"]
    inputs = [row["component"]["custom_id"] for row in modal["components"]]
    sent = await place.member.submit_modal(opened, {inputs[0]: "a", inputs[1]: "0.5"}, user="cleo")
    first = (await place.member.wait_response(sent, until="files", timeout=30))["response"]
    await place.member.advance(3 * 24 * 3600)
    again = await place.press(first["id"], "Reroll", user="cleo")
    assert "strength 0.5" in words(again["response"])
    await place.member.delete(posted["id"], user="ben")
    place.expected_rules.append("10008: Unknown Message")
    gone = await place.press(first["id"], "Reroll", user="cleo")
    assert "gone from Discord" in words(gone["response"])


async def test_a_forged_custom_id_reaches_no_other_guild_s_job(place: Town) -> None:
    secret = await place.command("/imagine prompt:hidden plans private:true")
    job_id = items(secret["response"]["components"], 2)[0]["custom_id"].split(":")[2]
    await place.member.create_guild("Elsewhere", owner="cleo", channels=["lobby"])
    other = (
        await place.command("/imagine prompt:mine", user="cleo", guild="Elsewhere", channel="lobby")
    )["response"]
    assert await place.app.store.get_job(job_id)
    forged = items(other["components"], 2)[0]["custom_id"].split(":")
    forged[2] = job_id
    message = place.sandbox.state.message(int(other["channel_id"]), int(other["id"]))
    _rename(message.components, ":".join(forged))
    pressed = await place.member.press(other["id"], ":".join(forged), user="cleo")
    record = await place.member.wait_response(pressed, timeout=30)
    assert "hidden" not in words(record["response"])


async def test_leaving_the_queue_and_deleting_the_waiting_message(tmp_path: Path) -> None:
    scheduler = null_scheduler(step_seconds=1.5)
    async with town(tmp_path, scheduler=scheduler) as place:
        interaction = await place.member.command(
            "/imagine prompt:slow steps:4 count:4", user="ada", channel="general"
        )
        await place.member.wait_response(interaction, until="ack")
        store: Store = place.app.store
        (waiting,) = await place.member.messages("general", user="ada")
        await place.member.delete(waiting["id"], user="ada")
        await eventually(lambda: nothing_runs(place))
        (job,) = await store.jobs_of_user(int(waiting["interaction_metadata"]["user"]["id"]))
        assert job.state == "abandoned"


async def no_messages(place: Town) -> bool:
    return not await place.member.messages("general", user="ada")


async def is_gone(place: Town, message_id: str) -> bool:
    messages = await place.member.messages("general", user="ada")
    return message_id not in [one["id"] for one in messages]


async def nothing_runs(place: Town) -> bool:
    return place.app.studio.running == 0


def _rename(components: list[dict[str, Any]], custom_id: str) -> None:
    items(components, 2)[0]["custom_id"] = custom_id
