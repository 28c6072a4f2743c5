"""The picture check over the wire: each policy at every door, for what is given and what is drawn.

The checker flags red; the engine draws the colour that the prompt names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.app import connected
from bot.sandbox import Sandbox
from bot.store import GuildSettings, NsfwPolicy, Store
from tests.cogs.test_live import press, shown
from tests.cogs.test_settings import choose, panel_of
from tests.e2e import (
    MESSAGE_CONTENT,
    Town,
    eventually,
    items,
    lawful_town,
    settings_for,
    words,
)
from tests.pictures import pixels_of, png
from tests.safety import BLUE, RED, colour_scheduler

REFUSED_OUTPUT = "The picture came out as one for adults"
REFUSED_INPUT = "That picture looks like one for adults"
ELSEWHERE = "age-restricted channels only"


async def allow(place: Town, policy: NsfwPolicy) -> None:
    """Set the guild's policy as a manager does."""
    panel = await panel_of(place)
    await choose(place, panel, 3, 0, policy)
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    assert (await place.app.store.get_settings(int(guild["id"]))).nsfw_policy is policy


async def told(place: Town, interaction: str, *, channel: str = "general", **who: Any) -> Any:
    """Return the message that answers an interaction, as its member sees it.

    A refusal that comes late is not where "thinking" was: everyone could see that.
    """
    answers: list[dict[str, Any]] = []

    async def is_there() -> bool:
        answers[:] = [
            one
            for one in await place.member.messages(channel, **who)
            if (one["interaction_metadata"] or {}).get("id") == interaction and words(one)
        ]
        return bool(answers)

    await eventually(is_there)
    return answers[-1]


async def answer(
    place: Town, text: str, *, user: str = "cleo", channel: str = "general", **options: Any
) -> Any:
    """Send a command and return the message that answers it, wherever that is."""
    sent = await place.member.command(text, user=user, channel=channel, **options)
    where = {"guild": options["guild"]} if "guild" in options else {}
    return await told(place, sent, channel=channel, user=user, **where)


def is_spoiler(message: dict[str, Any]) -> bool:
    """Return whether every picture of a message hides behind a spoiler, and says so twice."""
    files = [file["filename"].startswith("SPOILER_") for file in message["files"]]
    shown_items = [
        one["spoiler"] for gallery in items(message["components"], 12) for one in gallery["items"]
    ]
    assert files == shown_items
    assert files
    assert len(set(files)) == 1
    return files[0]


async def test_a_flagged_picture_is_refused_in_a_sentence_for_its_member(judged: Town) -> None:
    for channel in ("general", "after-dark"):
        message = await answer(judged, "/imagine prompt:a red thing", channel=channel)
        assert REFUSED_OUTPUT in words(message)
        assert ELSEWHERE not in words(message)
        assert message["ephemeral_for"]
        assert message["files"] == []
    fine = await judged.command("/imagine prompt:a blue thing", user="cleo")
    assert fine["response"]["files"]
    assert not is_spoiler(fine["response"])


async def test_a_refusal_that_comes_late_is_still_for_its_member_alone(
    tmp_path: Path, checker: Path
) -> None:
    async with lawful_town(
        tmp_path, scheduler=colour_scheduler(step_seconds=0.8), safety_checker=checker
    ) as place:
        # Long enough that everyone has seen "thinking" by then.
        interaction = await place.member.command(
            "/imagine prompt:red steps:2", user="cleo", channel="general"
        )
        await place.member.wait_response(interaction, until="ack", timeout=30)
        assert await place.member.messages("general", user="ben")

        async def is_told() -> bool:
            seen = await place.member.messages("general", user="cleo")
            return [REFUSED_OUTPUT in words(one) for one in seen] == [True]

        await eventually(is_told)
        assert await place.member.messages("general", user="ben") == []


async def test_a_given_picture_is_judged_before_anything_is_drawn(judged: Town) -> None:
    engine = judged.app.scheduler
    drawn = engine.stats().drawn
    for text, files in (
        ("/remix prompt:blue", {"image": ("a.png", png(colour=RED))}),
        (
            "/blend prompt:blue",
            {"image1": ("a.png", png(colour=BLUE)), "image2": ("b.png", png(colour=RED))},
        ),
    ):
        assert REFUSED_INPUT in words(await answer(judged, text, files=files))
    assert engine.stats().drawn == drawn
    fine = await judged.command(
        "/remix prompt:blue", user="cleo", files={"image": ("a.png", png(colour=BLUE))}
    )
    assert fine["response"]["files"]


async def test_in_age_restricted_channels_alone(judged: Town) -> None:
    await allow(judged, NsfwPolicy.AGE_RESTRICTED)
    assert ELSEWHERE in words(await answer(judged, "/imagine prompt:red"))
    given = words(
        await answer(judged, "/remix prompt:blue", files={"image": ("a.png", png(colour=RED))})
    )
    assert REFUSED_INPUT in given
    assert ELSEWHERE in given
    record = await judged.command("/imagine prompt:red", user="cleo", channel="after-dark")
    assert not is_spoiler(record["response"])
    again = await judged.press(record["response"]["id"], "Vary", user="ben")
    assert again["response"]["files"]


async def test_behind_a_spoiler_everywhere_and_at_every_button(judged: Town) -> None:
    await allow(judged, NsfwPolicy.SPOILER)
    record = await judged.command("/imagine prompt:red", user="cleo")
    message = record["response"]
    assert is_spoiler(message)
    for label in ("Reroll", "Vary", "Upscale ×2"):
        again = await judged.press(message["id"], label, user="ben")
        assert is_spoiler(again["response"]), label
    opened = await judged.member.press(message["id"], "Remix…", user="ben")
    modal = (await judged.member.wait_response(opened))["modal"]
    inputs = [row["component"]["custom_id"] for row in modal["components"]]
    sent = await judged.member.submit_modal(
        opened, {inputs[0]: "blue", inputs[1]: "0.6"}, user="ben"
    )
    # What is drawn is blue, what it is drawn from is not.
    remixed = await judged.member.wait_response(sent, until="files", timeout=30)
    assert is_spoiler(remixed["response"])


async def test_of_several_the_flagged_are_held_back_and_the_rest_go_on(judged: Town) -> None:
    # Seeds count up, and the seed chooses among the colours: two of four are red.
    record = await judged.command("/imagine prompt:red blue count:4 seed:7", user="cleo")
    message = record["response"]
    assert len(message["files"]) == 2
    assert "Held back by the picture check: 2" in words(message)
    for file in message["files"]:
        assert tuple(pixels_of(await judged.member.download(file))[0, 0]) == BLUE
    select = items(message["components"], 3)[0]
    assert [one["description"] for one in select["options"]] == ["seed 7", "seed 9"]


async def test_what_was_drawn_and_held_back_counts_and_what_was_given_does_not(
    judged: Town,
) -> None:
    async def left() -> str:
        return words((await judged.command("/me", user="cleo"))["response"])

    await answer(judged, "/remix prompt:blue", files={"image": ("a.png", png(colour=RED))})
    assert "20 of 20" in await left()
    await answer(judged, "/imagine prompt:red")
    assert "19 of 20" in await left()


async def test_the_live_panel_and_what_is_shared_from_it(judged: Town) -> None:
    await allow(judged, NsfwPolicy.SPOILER)
    opened = await judged.command("/live prompt:red", user="cleo")
    panel = opened["response"]
    assert is_spoiler(await shown(judged, panel))
    posted = (await press(judged, panel, "Share"))["response"]
    assert posted["ephemeral_for"] is None
    assert is_spoiler(posted)
    await press(judged, panel, "New seed")
    # The policy changes while the panel is open: the next press and Share go by the new one.
    await allow(judged, NsfwPolicy.OFF)
    shared = await press(judged, panel, "Share")
    assert REFUSED_OUTPUT in words(await told(judged, shared["id"], user="cleo"))
    await press(judged, panel, "New seed")
    assert REFUSED_OUTPUT in words(await shown(judged, panel))


async def test_a_mention_is_judged_too(judged: Town) -> None:
    bot = judged.sandbox.application_id

    async def mention(text: str, channel: str, colour: tuple[int, int, int]) -> dict[str, Any]:
        sent = await judged.member.send(
            f"<@{bot}> {text}", user="cleo", channel=channel, files={"a.png": png(colour=colour)}
        )
        return await judged.member.wait_message(
            channel, user="cleo", after=sent["id"], author="turbocord", timeout=30
        )

    await allow(judged, NsfwPolicy.AGE_RESTRICTED)
    assert REFUSED_INPUT in words(await mention("blue", "general", RED))
    assert REFUSED_OUTPUT in words(await mention("red", "general", BLUE))
    assert (await mention("red", "after-dark", RED))["files"]


async def test_outside_servers_nobody_has_allowed_it(judged: Town) -> None:
    await allow(judged, NsfwPolicy.SPOILER)
    channel = await judged.member.dm("cleo")
    private = await answer(judged, "/imagine prompt:red", channel=channel["id"])
    assert REFUSED_OUTPUT in words(private)
    await judged.member.create_guild("Elsewhere", owner="ada", channels=["lobby"], bot=False)
    elsewhere = await answer(
        judged, "/imagine prompt:red", user="ada", guild="Elsewhere", channel="lobby"
    )
    assert REFUSED_OUTPUT in words(elsewhere)


async def test_chinese_members_read_it_in_chinese(judged: Town) -> None:
    await judged.member.set_user("cleo", locale="zh-CN")
    assert "成人图片" in words(await answer(judged, "/imagine prompt:red"))


async def test_the_audit_channel_hears_of_what_was_held_back(judged: Town) -> None:
    panel = await panel_of(judged)
    (guild,) = (await judged.member.world(user="ada"))["guilds"]
    channels = {one["name"]: one["id"] for one in guild["channels"]}
    await choose(judged, panel, 8, 1, channels["art"])
    await answer(judged, "/imagine prompt:red @everyone")

    async def noted() -> bool:
        lines = await judged.member.messages("art", user="ada")
        return len(lines) == 1 and "held back by the picture check" in lines[0]["content"]

    await eventually(noted)


async def test_status_and_settings_tell_what_is_judged(judged: Town) -> None:
    await allow(judged, NsfwPolicy.SPOILER)
    text = words((await judged.command("/status", user="cleo"))["response"])
    assert "**Picture check:** on CPU" in text
    assert "**Pictures for adults:** behind a spoiler" in text
    assert "not recognised" not in words(await panel_of(judged))


async def test_without_a_check_status_and_settings_say_so(place: Town) -> None:
    assert "**Picture check:** off" in words((await place.command("/status"))["response"])
    assert "has not turned the picture check on" in words(await panel_of(place))


async def test_a_check_that_breaks_shows_nothing_and_charges_nothing(judged: Town) -> None:
    check = judged.app.studio.service.check
    assert check is not None
    judge, check._judge = check._judge, Broken()
    record = await judged.command("/imagine prompt:blue", user="cleo")
    assert "picture check gave no answer" in words(record["response"])
    assert record["response"]["files"] == []
    assert "20 of 20" in words((await judged.command("/me", user="cleo"))["response"])
    check._judge = judge
    retried = await judged.press(record["response"]["id"], "Retry", user="cleo")
    assert retried["response"]["files"]


class Broken:
    device_name = "broken"

    def flags(self, pictures: object) -> list[bool]:
        raise RuntimeError("the device is gone")


@pytest.mark.parametrize("channel", ["general", "after-dark"])
async def test_what_a_restart_takes_over_is_judged_by_its_channel(
    tmp_path: Path, checker: Path, channel: str
) -> None:
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        (guild,) = (await member.world(user="ada"))["guilds"]
        channel_id = next(one["id"] for one in guild["channels"] if one["name"] == channel)
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'turbocord.db'}")
        settings = GuildSettings(nsfw_policy=NsfwPolicy.AGE_RESTRICTED)
        await store.save_settings(int(guild["id"]), settings)
        cleo = next(
            one["id"]
            for one in (await member.world(user="ada"))["users"]
            if one["username"] == "cleo"
        )
        await store.accept_job(
            job_id="0123456789ab",
            kind="mention",
            user_id=int(cleo),
            guild_id=int(guild["id"]),
            channel_id=int(channel_id),
            parameters={"prompt": "red", "seed": 7, "count": 1, "size": "square"},
        )
        await store.close()
        async with connected(
            settings_for(sandbox, tmp_path, safety_checker=checker),
            scheduler=colour_scheduler(),
        ):
            message = await member.wait_message(
                channel_id, user="ada", author="turbocord", timeout=30
            )
        if channel == "after-dark":
            assert message["files"]
        else:
            assert ELSEWHERE in words(message)
