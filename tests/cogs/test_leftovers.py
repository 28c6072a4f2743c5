"""Panels and forms that have ended say so; nothing that is pressed goes without an answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.app import connected
from bot.sandbox import Sandbox
from tests.e2e import MESSAGE_CONTENT, Town, items, null_scheduler, settings_for, words

ENDED = "These controls have ended"


async def typed_into(place: Town, opened: str, text: str) -> dict[str, Any]:
    """Fill in the remix form that `opened` shows and return what answers it."""
    modal = (await place.member.wait_response(opened))["modal"]
    fields = [row["component"]["custom_id"] for row in modal["components"]]
    sent = await place.member.submit_modal(opened, {fields[0]: text, fields[1]: "0.5"}, user="ada")
    return await place.member.wait_response(sent, timeout=30)


async def test_what_a_restart_ended_says_so(tmp_path: Path) -> None:
    """Panels and an open form; the buttons under results are not among them."""
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        settings = settings_for(sandbox, tmp_path)
        async with connected(settings, scheduler=null_scheduler()) as app:
            place = Town(sandbox, app, member)
            result = (await place.command("/imagine prompt:a cat", user="ada"))["response"]
            panel = (await place.command("/live prompt:a dog", user="ada"))["response"]
            opened = await member.press(result["id"], "Remix…", user="ada")
            await member.wait_response(opened)
        async with connected(settings, scheduler=null_scheduler()) as app:
            place = Town(sandbox, app, member)
            pressed = await place.press(panel["id"], "New seed", user="ada")
            assert ENDED in words(pressed["response"])
            assert pressed["response"]["ephemeral_for"]
            assert ENDED in words((await typed_into(place, opened, "snow"))["response"])
            again = await place.press(result["id"], "Reroll", user="ada")
            assert again["response"]["files"]
            assert app.bot.arrivals.repeated == 0


async def test_what_was_left_for_too_long_says_so(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it was loaded with the bot.
    monkeypatch.setattr(sys.modules["cogs.member"], "PANEL_SECONDS", 0.2)
    shown = (await place.command("/me", user="ada"))["response"]
    await asyncio.sleep(0.5)
    pressed = await place.press(shown["id"], "Delete my data", user="ada")
    assert ENDED in words(pressed["response"])


async def test_who_presses_before_the_panel_is_redrawn_is_understood(place: Town) -> None:
    """Two choices in a row, both made on the panel as it was at first."""
    shown = (await place.command("/settings", user="ada"))["response"]
    policies = [one["custom_id"] for one in items(shown["components"], 3)]
    buttons = [one["custom_id"] for one in items(shown["components"], 2)]
    (ban,) = (one["custom_id"] for one in items(shown["components"], 5))
    ids = {one["username"]: one["id"] for one in (await place.member.world(user="ada"))["users"]}
    for name in ("ben", "cleo"):
        pressed = await place.member.select(shown["id"], ban, [ids[name]], user="ada")
        record = await place.member.wait_response(pressed, timeout=30)
        assert ENDED not in words(record["response"])
    now = await place.member.message(shown["id"], user="ada")
    assert [one["custom_id"] for one in items(now["components"], 3)] == policies
    assert [one["custom_id"] for one in items(now["components"], 2)] == buttons
