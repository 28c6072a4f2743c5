"""Forged custom_ids within one guild: a private request stays its member's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import Town, words
from tests.faults.test_life_cycle import general_of

SECRET = "0123456789ab"


def with_ids(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every component that has a custom_id, wherever it hangs."""
    for component in components:
        if "custom_id" in component:
            yield component
        yield from with_ids(component.get("components") or [])


@pytest.mark.parametrize("label", ["reroll", "vary", "remix"])
async def test_an_unfinished_private_request_is_nobody_else_s(place: Town, label: str) -> None:
    """It has no message yet that it could be tied to, so its member is what counts."""
    ada, guild, channel = general_of(place.sandbox)
    await place.app.store.accept_job(
        job_id=SECRET,
        kind="imagine",
        user_id=ada,
        guild_id=guild,
        channel_id=channel,
        parameters={"prompt": "hidden plans", "private": True, "seed": 1},
        owner="another",
    )
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
    shown = str(record["modal"]) if label == "remix" else words(record["response"])
    assert "hidden" not in shown
    assert shown
