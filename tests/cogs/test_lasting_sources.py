"""Pictures drawn from others can be drawn again: after days, restarts, and by anyone who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.app import connected
from bot.sandbox import Sandbox
from tests.cogs.test_live import opened, press
from tests.cogs.test_remix import mention
from tests.cogs.test_results import keeping
from tests.e2e import (
    MESSAGE_CONTENT,
    Town,
    eventually,
    items,
    null_scheduler,
    settings_for,
    words,
)
from tests.pictures import png

DAYS = 3 * 24 * 3600
GREEN, RED = (9, 160, 9), (200, 20, 20)


class Seen:
    """What the engine was given to draw from."""

    def __init__(self, place: Town) -> None:
        self.colours: list[tuple[tuple[int, ...], float]] = []
        scheduler = place.app.scheduler
        submit = scheduler.submit

        def noting(draws: Any, **options: Any) -> Any:
            self.colours = [
                (source.getpixel((5, 5)), weight)
                for source, weight in zip(draws[0].sources, draws[0].weights, strict=True)
            ]
            return submit(draws, **options)

        scheduler.submit = noting  # type: ignore[method-assign]  # the test listens in

    def near(self, *wanted: tuple[int, int, int]) -> bool:
        """Return whether the sources were of these colours; a copy may be off by a little."""
        return len(self.colours) == len(wanted) and all(
            abs(ours - theirs) < 12
            for (colour, _), other in zip(self.colours, wanted, strict=True)
            for ours, theirs in zip(colour, other, strict=True)
        )


async def kept(place: Town, user_id: int) -> None:
    """Return once the newest request's source is kept."""

    async def is_there() -> bool:
        (job, *_) = await place.app.store.jobs_of_user(user_id)
        return await place.app.store.read_source(job.job_id, 0) is not None

    await eventually(is_there)


def author(message: dict[str, Any]) -> int:
    return int(message["interaction_metadata"]["user"]["id"])


async def test_an_upload_is_drawn_from_again_after_days(place: Town) -> None:
    seen = Seen(place)
    first = await place.command(
        "/remix prompt:snow strength:0.5",
        user="cleo",
        files={"image": ("a.png", png(90, 60, GREEN))},
    )
    message = first["response"]
    await kept(place, author(message))
    await place.member.advance(DAYS)
    for _ in range(2):  # the reroll of a reroll, too
        again = await place.press(message["id"], "Reroll", user="ben")
        message = again["response"]
        assert "strength 0.5" in words(message)
        assert "576×448" in words(message)
        assert seen.near(GREEN)


async def test_uploads_that_were_blended_keep_their_weights(place: Town) -> None:
    seen = Seen(place)
    files = {"image1": ("a.png", png(colour=GREEN)), "image2": ("b.png", png(colour=RED))}
    first = await place.command("/blend prompt:soup weights:3,1", user="cleo", files=files)
    await kept(place, author(first["response"]))
    await place.press(first["response"]["id"], "Reroll", user="ben")
    assert seen.near(GREEN, RED)
    assert [weight for _, weight in seen.colours] == [3.0, 1.0]


async def test_what_is_kept_goes_with_me_delete_my_data(place: Town) -> None:
    first = await place.command(
        "/remix prompt:snow strength:0.5", user="cleo", files={"image": ("a.png", png())}
    )
    message = first["response"]
    await kept(place, author(message))
    (job,) = await place.app.store.jobs_of_user(author(message))
    me = await place.command("/me", user="cleo")
    for label in ("Delete my data", "Yes, delete it"):
        await place.press(me["response"]["id"], label, user="cleo")
    assert await place.app.store.read_source(job.job_id, 0) is None
    # The picture itself still tells how it was made: the result stands in for what is gone.
    again = await place.press(message["id"], "Reroll", user="cleo")
    assert "strength 0.5" in words(again["response"])


async def test_no_copy_is_left_under_who_drew_from_it_again(place: Town) -> None:
    """What was uploaded is its member's to delete, whoever has rerolled it meanwhile."""
    seen = Seen(place)
    first = await place.command(
        "/remix prompt:snow strength:0.5", user="cleo", files={"image": ("a.png", png(colour=RED))}
    )
    await kept(place, author(first["response"]))
    message = (await place.press(first["response"]["id"], "Reroll", user="ben"))["response"]
    message = (await place.press(message["id"], "Reroll", user="ben"))["response"]
    assert seen.near(RED)
    await keeping(place)
    jobs = await place.app.store.jobs_of_user(author(message))
    assert [await place.app.store.read_source(job.job_id, 0) for job in jobs] == [None, None]
    me = await place.command("/me", user="cleo")
    for label in ("Delete my data", "Yes, delete it"):
        await place.press(me["response"]["id"], label, user="cleo")
    again = await place.press(message["id"], "Reroll", user="ben")
    assert again["response"]["files"] == []
    assert "I no longer have the picture this was made from" in words(again["response"])


async def test_an_upload_is_drawn_from_again_after_a_restart_and_without_the_store(
    tmp_path: Path,
) -> None:
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        message: dict[str, Any] = {}
        for number, name in enumerate(("before", "before", "empty")):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            settings = settings_for(sandbox, folder)
            async with connected(settings, scheduler=null_scheduler()) as app:
                place = Town(sandbox, app, member)
                if number == 0:
                    first = await place.command(
                        "/remix prompt:snow strength:0.5",
                        user="cleo",
                        files={"image": ("a.png", png(colour=GREEN))},
                    )
                    message = first["response"]
                    await kept(place, author(message))
                    continue
                seen = Seen(place)
                again = await place.press(message["id"], "Reroll", user="ben")
                assert "strength 0.5" in words(again["response"])
                assert seen.near(GREEN) is (name == "before")
                assert seen.colours


async def test_a_panel_s_picture_that_was_shared_keeps_its_source(place: Town) -> None:
    seen = Seen(place)
    panel = await opened(place)
    await press(place, panel, "Use as source")
    posted = (await press(place, panel, "Share"))["response"]
    source = seen.colours
    assert "strength 0.7" in words(posted)
    await kept(place, int(panel["ephemeral_for"]))
    again = await place.press(posted["id"], "Reroll", user="ben")
    assert "strength 0.7" in words(again["response"])
    assert seen.near(*(colour for colour, _ in source))  # type: ignore[arg-type]  # three numbers


async def test_presses_of_a_panel_keep_nothing(place: Town) -> None:
    panel = await opened(place)
    await press(place, panel, "Use as source")
    await press(place, panel, "New seed")
    jobs = await place.app.store.jobs_of_user(int(panel["ephemeral_for"]))
    assert len(jobs) == 3
    assert not [one for one in jobs if await place.app.store.read_source(one.job_id, 0)]


async def test_what_can_be_asked_for_is_never_kept(place: Town) -> None:
    """It is its owner's to delete; a reroll of a reroll would else go on from a copy."""
    posted = await place.member.send(
        "", user="ben", channel="general", files={"a.png": png(colour=GREEN)}
    )
    message = await remixed(place, posted["id"])
    for _ in range(2):
        message = (await place.press(message["id"], "Reroll", user="cleo"))["response"]
    jobs = await place.app.store.jobs_of_user(author(message))
    assert [job.parameters["sources"][0]["kept"] for job in jobs] == [False] * 3
    # Nor where a mention asked which of several.
    two = {"a.png": png(colour=GREEN), "b.png": png(colour=RED)}
    question = await mention(place, "snow", files=two)
    select = items(question["components"], 3)[0]
    chosen = await place.member.select(question["id"], select["custom_id"], ["1"], user="cleo")
    await place.member.wait_response(chosen, until="files", timeout=30)
    job = (await place.app.store.jobs_of_user(author(message)))[0]
    assert job.parameters["sources"][0]["kept"] is False


async def test_a_forward_s_picture_is_asked_for_by_the_forward(place: Town) -> None:
    seen = Seen(place)
    original = await place.member.send(
        "", user="ben", channel="art", files={"a.png": png(colour=GREEN)}
    )
    forward = await place.member.send("", user="ben", channel="general", forward=original["id"])
    message = await remixed(place, forward["id"])
    await place.member.advance(DAYS)
    again = await place.press(message["id"], "Reroll", user="cleo")
    assert "strength 0.5" in words(again["response"])
    assert seen.near(GREEN)


async def test_a_picture_where_the_bot_is_no_member_is_kept(place: Town) -> None:
    seen = Seen(place)
    await place.member.create_guild("Elsewhere", owner="cleo", channels=["lobby"], bot=False)
    await place.member.set_user("cleo", has_installed=True)
    posted = await place.member.send(
        "", user="cleo", channel="lobby", guild="Elsewhere", files={"a.png": png(colour=GREEN)}
    )
    message = await remixed(place, posted["id"], guild="Elsewhere", channel="lobby")
    await kept(place, author(message))
    await place.member.advance(DAYS)
    again = await place.press(message["id"], "Reroll", user="cleo")
    assert "strength 0.5" in words(again["response"])
    assert seen.near(GREEN)


VIEW_CHANNEL, READ_MESSAGE_HISTORY = 1 << 10, 1 << 16


@pytest.mark.parametrize("denied", [VIEW_CHANNEL, READ_MESSAGE_HISTORY])
async def test_a_picture_where_the_bot_may_not_read_is_kept(place: Town, denied: int) -> None:
    """Commands are answered there by the token; nothing can be asked for again."""
    seen = Seen(place)
    await place.member.set_overwrite("general", "turbocord", deny=denied)
    # A copy is lossy, and a few seeds put an edge beside the place that is looked at.
    drawn = (await place.command("/imagine prompt:a cat seed:3", user="cleo"))["response"]
    varied = (await place.press(drawn["id"], "Vary", user="cleo"))["response"]
    await kept(place, author(varied))
    source = [colour for colour, _ in seen.colours]
    again = (await place.press(varied["id"], "Reroll", user="cleo"))["response"]
    assert "strength 0.45" in words(again), words(again)
    assert seen.near(*source)  # type: ignore[arg-type]  # three numbers


async def test_a_channel_that_may_be_read_no_more_has_a_sentence_of_its_own(place: Town) -> None:
    drawn = (await place.command("/imagine prompt:a cat", user="cleo"))["response"]
    varied = (await place.press(drawn["id"], "Vary", user="cleo"))["response"]
    await place.member.set_overwrite("general", "turbocord", deny=VIEW_CHANNEL)
    place.tolerated_codes.update({"50001", "50013"})
    again = (await place.press(varied["id"], "Reroll", user="cleo"))["response"]
    assert "I may not read the channel" in words(again)
    assert "gone" not in words(again)


async def remixed(place: Town, message_id: str, **where: Any) -> dict[str, Any]:
    """Remix a message's picture by its menu and return the result."""
    menu = await place.member.context_menu("Remix", message=message_id, user="cleo", **where)
    modal = (await place.member.wait_response(menu))["modal"]
    inputs = [row["component"]["custom_id"] for row in modal["components"]]
    sent = await place.member.submit_modal(menu, {inputs[0]: "a", inputs[1]: "0.5"}, user="cleo")
    record = await place.member.wait_response(sent, until="files", timeout=30)
    message: dict[str, Any] = record["response"]
    return message
