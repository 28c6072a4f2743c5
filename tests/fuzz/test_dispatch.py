"""Hostile submissions and presses through the real gateway: answered, or left out and counted.

More than the usual dozens: `FUZZ_ROUNDS=2000 pytest tests/fuzz/test_dispatch.py`.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import invoking
from bot.sandbox.models import Interaction, Message
from tests.e2e import Town, eventually, items, town, words
from tests.faults.test_forged import SECRET, with_ids
from tests.faults.test_life_cycle import general_of

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "24"))
SEED = int(os.environ.get("FUZZ_SEED", "20"))
AT_ONCE = 8

HOSTILE: list[Any] = [
    None, True, 0, -1, 2**70, 1e308, "", " ", "x" * 5000, "@everyone <@1>", "\u202e\x00`*_", "nan",
    "inf", "1e999", "-0", "９", "99", "nonsense", "9" * 4000 + "/1", "0/0", [], [None], [[]],
    ["99"], ["x", "y"], {}, {"a": 1}, {"type": 4, "custom_id": "x", "value": "y"}, "../../passwd",
]  # fmt: skip


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town whose limits do not bind, with somebody's secret in its store."""
    async with town(tmp_path, member_images=10**6, guild_images=10**6) as place:
        ada, guild, channel = general_of(place.sandbox)
        await place.app.store.accept_job(
            job_id=SECRET,
            kind="imagine",
            user_id=ada,
            guild_id=guild,
            channel_id=channel,
            parameters={"prompt": "hidden plans", "private": True, "seed": 1},
            owner="another",
            ttl=3600,
        )
        await place.app.store.accept_job(
            job_id="aaaaaaaaaaaa",
            kind="imagine",
            user_id=ada,
            guild_id=1,
            channel_id=1,
            parameters={"prompt": "hidden plans elsewhere", "seed": 1},
            owner="another",
            ttl=3600,
        )
        yield place


def spoiled(tree: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON tree in which one or two nodes are gone or hostile."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.choice((1, 1, 2))):
        nodes = list(_nodes(tree))
        if not nodes:
            break
        parent, key = chance.choice(nodes)
        if chance.random() < 0.2:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(chance.choice(HOSTILE))
    return tree


def _nodes(tree: Any) -> Any:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


def start(
    place: Town, kind: int, data: dict[str, Any], user: str, message: Message | None
) -> Interaction:
    """Send an interaction whose data nobody has looked at."""
    core = place.sandbox.core
    member = next(one for one in core.state.users.values() if one.username == user)
    _, _, channel = general_of(place.sandbox)
    act = invoking.Act(member, core.state.channels[channel])
    return invoking.start(core, act, kind, data, message=message)


async def end_of(place: Town, sent: Interaction) -> str:
    """Return how an interaction ended."""
    while True:
        if sent.answered_at is not None or sent.modal is not None:
            return "answered"
        if sent.failed:
            return "acknowledged" if sent.acked_at is not None else "silence"
        if sent.acked_at is not None and place.app.studio.running == 0 and not sent.deferred:
            return "acknowledged"
        await asyncio.sleep(0.01)


async def drawn(place: Town, text: str, user: str) -> dict[str, Any]:
    """Return the message of a command that ends in pictures, however long it is waited for."""
    sent = await place.member.command(text, user=user, channel="general")
    record = await place.member.wait_response(sent, until="files", timeout=60)
    message: dict[str, Any] = record["response"]
    return message


async def opened(place: Town, form: str) -> tuple[dict[str, Any], Message | None]:
    """Open a form as its member does; return it and the message it hangs on."""
    if form == "remix":
        label, message = "Remix…", await drawn(place, "/imagine prompt:a cat count:2", "ada")
    elif form == "live":
        label, message = "Edit prompt", await drawn(place, "/live prompt:a cat", "ada")
    else:
        label, message = f"{form}…", (await place.command("/settings", user="ada"))["response"]
    pressed = await place.member.press(message["id"], label, user="ada")
    record = await place.member.wait_response(pressed, until="ack", timeout=20)
    _, _, channel = general_of(place.sandbox)
    return record["modal"], place.sandbox.state.messages[channel].get(int(message["id"]))


def submission(modal: dict[str, Any]) -> dict[str, Any]:
    """Return what a client sends for a form filled in with what stood there."""

    def filled(one: dict[str, Any]) -> dict[str, Any]:
        base = {"type": one["type"], "custom_id": one["custom_id"], "id": 1}
        if one["type"] == 4:
            return base | {"value": one.get("value") or "1"}
        return base | {"values": [one["options"][0]["value"]]}

    return {
        "custom_id": modal["custom_id"],
        "components": [
            {"type": 18, "id": number, "component": filled(one["component"])}
            for number, one in enumerate(modal["components"])
        ],
    }


async def still_well(place: Town) -> None:
    assert place.app.serving is not None
    assert not place.app.serving.done()
    assert (await drawn(place, "/imagine prompt:still here", "cleo"))["files"]


@pytest.mark.parametrize("form", ["remix", "live", "Defaults", "Limits", "Blocked words"])
async def test_a_spoiled_submission_is_answered_or_counted(place: Town, form: str) -> None:
    chance = random.Random(f"{SEED} {form}")
    modal, message = await opened(place, form)
    ends = Counter[str]()
    for _ in range(max(1, ROUNDS // 4)):
        data = spoiled(submission(modal), chance)
        before = place.app.bot.malformed_events
        sent = start(place, 5, data, "ada", message)
        end = await asyncio.wait_for(end_of(place, sent), 30)
        is_ours = data.get("custom_id") == modal["custom_id"]
        is_counted = place.app.bot.malformed_events > before
        assert end != "silence" or is_counted or not is_ours, data
        ends[end] += 1
        if end == "answered":
            modal, message = await opened(place, form)
    assert ends["answered"]
    await still_well(place)


async def test_forged_presses_reach_nothing_and_are_answered(place: Town) -> None:
    """Every custom_id gets an answer, and none gets at what is not theirs."""
    chance = random.Random(SEED)
    made = await drawn(place, "/imagine prompt:mine count:2", "cleo")
    _, _, channel = general_of(place.sandbox)
    honest = place.sandbox.state.messages[channel][int(made["id"])]
    turns = asyncio.Semaphore(AT_ONCE)

    async def press() -> None:
        forged = copy.deepcopy(honest)
        forged.id = place.sandbox.state.ids.next()
        component = chance.choice(list(with_ids(forged.components)))
        parts = component["custom_id"].split(":")
        parts[1] = chance.choice((parts[1], parts[1], "cancel", "retry", "nothing"))
        parts[2] = chance.choice((parts[2], SECRET, "aaaaaaaaaaaa", "ffffffffffff", "../../etc/p"))
        parts[3] = chance.choice(("0", "1", "99", "9" * 50, "-1", "٣"))
        component["custom_id"] = custom_id = ":".join(parts)
        data = {"component_type": component["type"], "custom_id": custom_id, "id": 1}
        if component["type"] == 3 or chance.random() < 0.2:
            data["values"] = chance.choice((["0"], ["99"], ["x"], [], ["٣"], ["-1"]))
        before = place.app.bot.malformed_events
        async with turns:
            place.sandbox.state.messages[channel][forged.id] = forged
            sent = start(place, 3, data, "cleo", forged)
            end = await asyncio.wait_for(end_of(place, sent), 30)
        is_counted = place.app.bot.malformed_events > before
        assert end != "silence" or is_counted, data
        assert "hidden" not in str(sent.modal)

    await asyncio.gather(*(press() for _ in range(ROUNDS)))
    await eventually(lambda: idle(place))
    seen = await place.member.messages("general", user="cleo", limit=500)
    assert not [one for one in seen if "hidden" in words(one)]
    await still_well(place)


async def idle(place: Town) -> bool:
    return place.app.studio.running == 0


async def test_a_value_nobody_could_choose_is_named(place: Town) -> None:
    """Text that is too much for a guild's settings is said in words, not in an apology."""
    for form, typed, said in (
        ("Limits", "999999999999/1", "guild"),
        ("Blocked words", "x" * 200, "more than 100 characters"),
        ("Blocked words", "\n".join(str(number) for number in range(600)), "600 words"),
    ):
        modal, message = await opened(place, form)
        data = submission(modal)
        which = next(
            index
            for index, one in enumerate(data["components"])
            if one["component"]["type"] == 4 and (form != "Limits" or index >= 2)
        )
        for index, one in enumerate(data["components"]):
            one["component"]["value"] = typed if index == which else ""
        sent = start(place, 5, data, "ada", message)
        assert await asyncio.wait_for(end_of(place, sent), 20) == "answered"
        answer = place.sandbox.state.message(sent.channel_id, sent.response_id or 0)
        assert said in str(answer.components)
        assert not items(answer.components, 2)
