"""Forged custom_ids: a request stays its member's, its guild's and its message's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bot.store import JobState
from tests.e2e import Town, words
from tests.faults.test_life_cycle import general_of

SECRET = "0123456789ab"


def with_ids(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every component that has a custom_id, wherever it hangs."""
    for component in components:
        if "custom_id" in component:
            yield component
        yield from with_ids(component.get("components") or [])


async def shown_by(place: Town, label: str) -> str:
    """Return what cleo sees who presses a control of her own that was made to name SECRET."""
    mine = (await place.command("/imagine prompt:mine", user="cleo"))["response"]
    message = place.sandbox.state.message(int(mine["channel_id"]), int(mine["id"]))
    forged = ""
    for component in with_ids(message.components):
        parts = component["custom_id"].split(":")
        if parts[1] == label:
            forged = component["custom_id"] = ":".join([*parts[:2], SECRET, parts[3]])
    pressed = await place.member.press(mine["id"], forged, user="cleo")
    record = await place.member.wait_response(
        pressed, timeout=30, until="ack" if label == "remix" else "answer"
    )
    return str(record["modal"]) if label == "remix" else words(record["response"])


async def written_down(place: Town, **values: Any) -> None:
    """Write down a job of ada's that is not finished."""
    ada, guild, channel = general_of(place.sandbox)
    given = {
        "job_id": SECRET,
        "kind": "imagine",
        "user_id": ada,
        "guild_id": guild,
        "channel_id": channel,
        "parameters": {"prompt": "hidden plans", "seed": 1},
        "owner": "another",
    }
    await place.app.store.accept_job(**given | values)


LABELS = pytest.mark.parametrize("label", ["reroll", "vary", "remix"])


@LABELS
async def test_an_unfinished_private_request_is_nobody_else_s(place: Town, label: str) -> None:
    """It has no message yet that it could be tied to, so its member is what counts."""
    await written_down(place, parameters={"prompt": "hidden plans", "private": True, "seed": 1})
    shown = await shown_by(place, label)
    assert shown
    assert "hidden" not in shown


@LABELS
async def test_an_unfinished_request_is_its_guild_s_alone(place: Town, label: str) -> None:
    await written_down(place, guild_id=42, channel_id=43)
    shown = await shown_by(place, label)
    assert shown
    assert "hidden" not in shown


@LABELS
async def test_a_finished_request_is_found_under_its_own_message_alone(
    place: Town, label: str
) -> None:
    await written_down(place)
    await place.app.store.finish_job(SECRET, JobState.DONE, message_id=44)
    shown = await shown_by(place, label)
    assert shown
    assert "hidden" not in shown
