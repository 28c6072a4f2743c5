"""Which of several pictures the controls mean, and the form, with and without the store."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bot.errors import StoreError
from tests.e2e import Town, items, words

THREE = "/imagine prompt:a cat negative_prompt:hats count:3 seed:7 steps:3 guidance:1.5 style:pixel"


async def forgotten(place: Town, message: dict[str, Any]) -> None:
    """Empty the store of everything its member asked for."""
    author = int(message["interaction_metadata"]["user"]["id"])
    await place.app.store.delete_jobs_of_user(author)


async def chosen(place: Town, message: dict[str, Any], value: str) -> dict[str, Any]:
    """Choose one of a message's pictures and return the message as it is then."""
    (select,) = items(message["components"], 3)
    pressed = await place.member.select(message["id"], select["custom_id"], [value], user="ben")
    assert (await place.member.wait_response(pressed))["callback_type"] == 7
    return await place.member.message(message["id"], user="ben")


def texts(message: dict[str, Any]) -> list[Any]:
    """Return every word that a message's controls show."""
    (select,) = items(message["components"], 3)
    return [
        select["placeholder"],
        [(one["label"], one["description"], one["value"]) for one in select["options"]],
        [(one["label"], one["emoji"], one["style"]) for one in items(message["components"], 2)],
    ]


def numbers(message: dict[str, Any]) -> set[str]:
    """Return the picture that each of a message's controls is for."""
    controls = items(message["components"], 2) + items(message["components"], 3)
    return {one["custom_id"].rsplit(":", 1)[1] for one in controls}


def ticked(message: dict[str, Any]) -> list[str]:
    (select,) = items(message["components"], 3)
    return [one["value"] for one in select["options"] if one.get("default")]


async def form(place: Town, message: dict[str, Any], label: str = "Remix…") -> dict[str, Any]:
    """Open the form under a message and return what it asks, with the interaction's id."""
    opened = await place.member.press(message["id"], label, user="ben")
    modal = (await place.member.wait_response(opened))["modal"]
    return {"id": opened, "inputs": [row["component"] for row in modal["components"]]}


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_a_choice_changes_nothing_but_what_is_chosen(place: Town, is_forgotten: bool) -> None:
    """What a member of another language drew stays in their words, and its seeds are its own."""
    await place.member.set_user("cleo", locale="zh-CN")
    before = (await place.command(THREE, user="cleo"))["response"]
    if is_forgotten:
        await forgotten(place, before)
    (select,) = items(before["components"], 3)
    assert [one["description"] for one in select["options"]] == ["种子 7", "种子 8", "种子 9"]
    message = before
    for value in ("2", "1"):
        message = await chosen(place, message, value)
        assert texts(message) == texts(before)
        assert words(message) == words(before)
        assert numbers(message) == {value}
        assert ticked(message) == [value]
        assert len(message["files"]) == 3
    opened = await form(place, message, "重绘…")
    sent = await place.member.submit_modal(
        opened["id"], {opened["inputs"][0]["custom_id"]: "a dog"}, user="ben"
    )
    assert "a dog" in words((await place.member.wait_response(sent, until="files"))["response"])


async def test_a_forged_choice_is_brought_down_to_what_is_there(place: Town) -> None:
    message = (await place.command(THREE, user="cleo"))["response"]
    stored = place.sandbox.state.message(int(message["channel_id"]), int(message["id"]))
    (select,) = items(stored.components, 3)
    select["options"][2]["value"] = "9"
    message = await chosen(place, message, "9")
    assert numbers(message) == {"2"}


async def test_the_form_is_filled_in_from_the_picture_where_the_store_has_lost_it(
    place: Town,
) -> None:
    message = (await place.command(THREE, user="cleo"))["response"]
    await forgotten(place, message)
    opened = await form(place, message)
    prompt, strength, style = opened["inputs"]
    assert prompt["value"] == "a cat"
    assert [one["value"] for one in style["options"] if one.get("default")] == ["pixel"]
    sent = await place.member.submit_modal(
        opened["id"],
        {prompt["custom_id"]: "a dog", strength["custom_id"]: "0.7", style["custom_id"]: ["pixel"]},
        user="ben",
    )
    text = words((await place.member.wait_response(sent, until="files"))["response"])
    for part in ("a dog", "hats", "3 steps", "guidance 1\\.5", "style pixel"):
        assert part.replace("\\", "") in text.replace("\\", ""), text
    # What was made from a picture has its strength, too.
    made = await place.press(message["id"], "Vary", user="ben")
    await forgotten(place, made["response"])
    assert (await form(place, made["response"]))["inputs"][1]["value"] == "0.45"


async def test_the_form_comes_in_time_and_empty_where_nothing_tells(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord waits three seconds for a form, and it cannot be put off."""
    message = (await place.command(THREE, user="cleo"))["response"]

    async def away(job_id: str) -> None:
        raise StoreError(reason="away")

    monkeypatch.setattr(place.app.store, "get_job", away)
    assert (await form(place, message))["inputs"][0]["value"] == "a cat"
    await place.member.fault("cdn", "stall", seconds=10.0, times=1)
    began = time.monotonic()
    assert not (await form(place, message))["inputs"][0].get("value")
    assert time.monotonic() - began < 2.9
    await place.member.fault("cdn", "error", status=404, times=1)
    assert not (await form(place, message))["inputs"][0].get("value")
