"""What a member hid behind a spoiler stays behind one, at every door and under every button."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cogs.test_lasting_sources import author, kept, remixed
from tests.cogs.test_remix import mention
from tests.cogs.test_results import keeping
from tests.cogs.test_safety import is_spoiler
from tests.e2e import Town, eventually, words
from tests.pictures import png

HIDDEN = {"SPOILER_a.png": png()}


async def resubmitted(place: Town, message: dict[str, Any]) -> dict[str, Any]:
    """Remix a result by the form under it."""
    opened = await place.member.press(message["id"], "Remix…", user="ben")
    modal = (await place.member.wait_response(opened))["modal"]
    prompt = modal["components"][0]["component"]["custom_id"]
    sent = await place.member.submit_modal(opened, {prompt: "a dog"}, user="ben")
    answer: dict[str, Any] = await place.member.wait_response(sent, until="files", timeout=30)
    return answer["response"]


async def test_a_hidden_picture_is_remixed_behind_a_spoiler_and_so_is_what_comes_of_it(
    place: Town,
) -> None:
    posted = await place.member.send("", user="ben", channel="general", files=HIDDEN)
    first = await remixed(place, posted["id"])
    assert is_spoiler(first)
    for label in ("Reroll", "Vary", "Upscale ×2"):
        message = (await place.press(first["id"], label, user="ben"))["response"]
        assert is_spoiler(message), label
        again = (await place.press(message["id"], "Reroll", user="cleo"))["response"]
        assert is_spoiler(again), label
    assert is_spoiler(await resubmitted(place, first))


async def test_the_result_that_stands_in_for_a_lost_source_is_hidden_too(place: Town) -> None:
    posted = await place.member.send("", user="ben", channel="general", files=HIDDEN)
    message = await remixed(place, posted["id"])
    await place.app.store.delete_jobs_of_user(author(message))
    again = (await place.press(message["id"], "Reroll", user="ben"))["response"]
    assert is_spoiler(again)


@pytest.mark.parametrize("name", ["SPOILER_a.png", "a.png"])
async def test_an_upload_is_hidden_where_its_member_says_so(place: Town, name: str) -> None:
    wanted = name.startswith("SPOILER_")
    first = await place.command(
        "/remix prompt:snow strength:0.05", user="cleo", files={"image": (name, png())}
    )
    assert is_spoiler(first["response"]) is wanted
    await kept(place, author(first["response"]))
    again = (await place.press(first["response"]["id"], "Reroll", user="ben"))["response"]
    assert is_spoiler(again) is wanted
    await keeping(place)
    both = {"image1": ("b.png", png()), "image2": (name, png())}
    blended = await place.command("/blend", user="cleo", files=both)
    assert is_spoiler(blended["response"]) is wanted
    assert is_spoiler(await mention(place, "snow", files={name: png()})) is wanted


async def test_a_forward_of_what_was_hidden_is_hidden(place: Town) -> None:
    original = await place.member.send("", user="ben", channel="art", files=HIDDEN)
    forward = await place.member.send("", user="ben", channel="general", forward=original["id"])
    assert is_spoiler(await remixed(place, forward["id"]))


async def test_what_could_not_be_delivered_is_handed_over_behind_a_spoiler(place: Town) -> None:
    place.tolerated_codes.update({"50007", "50013"})
    bot = place.sandbox.application_id
    await place.member.set_overwrite("art", str(bot), deny=1 << 11)
    await place.member.set_user("cleo", accepts_dms=False)
    await place.member.send(f"<@{bot}> snow", user="cleo", channel="art", files=HIDDEN)

    async def panel() -> dict[str, Any]:
        answer: dict[str, Any] = (await place.command("/me", user="cleo"))["response"]
        return answer

    async def waits() -> bool:
        return "could not be delivered" in words(await panel())

    await eventually(waits)
    await place.press((await panel())["id"], "Get kept pictures", user="cleo")
    (handed,) = [
        file for one in await place.member.messages("general", user="cleo") for file in one["files"]
    ]
    assert handed["filename"].startswith("SPOILER_")
