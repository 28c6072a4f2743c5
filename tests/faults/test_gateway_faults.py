"""The gateway broken in the middle of a job: the picture arrives, and the next one as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.sandbox import SandboxError
from tests.e2e import Town, eventually
from tests.faults.conftest import PacedPipeline

MALFORMED: dict[str, dict[str, Any]] = {
    "an interaction without most of itself": {"event": "INTERACTION_CREATE"},
    "a message that is a list": {"event": "MESSAGE_CREATE", "data": [1, 2]},
    "a guild that is null": {"event": "GUILD_CREATE", "data": None},
    "a deletion of nothing": {"event": "MESSAGE_DELETE", "data": {}},
    "a member of no guild": {"event": "GUILD_MEMBER_UPDATE", "data": {"guild_id": "x"}},
    "a channel of an unknown kind": {"event": "CHANNEL_UPDATE", "data": {"id": [], "type": {}}},
    "a READY that is null": {"event": "READY", "data": None},
    "a READY without where to resume": {"event": "READY", "data": {"session_id": "x"}},
    "a RESUMED that is null": {"event": "RESUMED", "data": None},
    "a hello that is null": {"frame": '{"op":10,"d":null}'},
    "a frame that is a list": {"frame": "[1,2]"},
    "a frame that is no JSON": {"frame": '{"op":0,"t":"X"'},
}


async def identified(place: Town) -> int:
    """Return how often the bot began a session."""
    entries = await place.member.traffic(kind="gateway")
    return sum("READY" in entry["name"] for entry in entries)


async def listening(place: Town) -> None:
    """Return once the bot answers again; what is asked of nobody fails after three seconds."""

    async def answers() -> bool:
        sent = await place.member.command("/status", user="ben", channel="general")
        try:
            await place.member.wait_response(sent, timeout=10)
        except SandboxError:
            return False
        return True

    await eventually(answers, timeout=90)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("drop", {}),
        ("drop", {"code": 4009}),
        ("reset", {}),
        ("reconnect", {}),
        ("invalidate", {"resumable": False}),
        ("invalidate", {"resumable": True}),
    ],
    ids=["closed", "timed out", "reset", "op 7", "op 9", "op 9 resumable"],
)
async def test_a_job_outlives_its_connection(
    place: Town, pace: type[PacedPipeline], kind: str, options: dict[str, Any]
) -> None:
    pace.seconds = 0.7
    sent = await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    await place.member.wait_response(sent, until="ack", timeout=30)
    assert await place.member.gateway_fault(kind, **options) == 1
    record = await place.member.wait_response(sent, until="files", timeout=30)
    assert len(record["response"]["files"]) == 1
    pace.seconds = 0.0
    await listening(place)


async def test_a_session_that_cannot_be_resumed_is_begun_anew(place: Town) -> None:
    before = await identified(place)
    await place.member.gateway_fault("refuse_resume")
    await place.member.gateway_fault("reconnect")

    async def is_anew() -> bool:
        return await identified(place) > before

    await eventually(is_anew, timeout=60)
    await listening(place)


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
async def test_an_event_that_cannot_be_read_is_left_out_and_counted(
    place: Town, event: dict[str, Any]
) -> None:
    """It costs the connection where discord.py reads it outside its parsers."""
    before = place.app.bot.malformed_events
    (connection,) = place.sandbox.core.gateway.connections
    await place.member.gateway_fault("malformed", **event)

    async def is_counted() -> bool:
        return place.app.bot.malformed_events > before

    await eventually(is_counted)
    assert place.app.serving is not None
    assert not place.app.serving.done()
    await listening(place)
    is_parsed = event.get("event") not in (None, "READY", "RESUMED")
    assert (connection in place.sandbox.core.gateway.connections) is is_parsed


async def test_after_a_frame_that_cannot_be_read_there_is_one_connection(
    place: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one is open still, and its heartbeats would go on."""
    (connection,) = place.sandbox.core.gateway.connections
    secret = b"aW50ZXJhY3Rpb246c2VjcmV0"
    await connection.socket.send_bytes(secret + b"\x00\x00\xff\xff")
    await listening(place)
    assert connection not in place.sandbox.core.gateway.connections
    assert len(place.sandbox.core.gateway.connections) == 1
    assert place.app.bot.malformed_events == 1
    said = [one.getMessage() for one in caplog.records if one.name == "bot.shard"]
    assert said == [
        "shard 0: the gateway sent a frame that cannot be read (error): connecting anew"
    ]
    assert secret.decode() not in caplog.text


async def test_a_storm_of_malformed_events_costs_no_answer(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.3
    sent = [
        await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
        for _ in range(3)
    ]
    await asyncio.gather(
        *(
            place.member.gateway_fault("malformed", **one)
            for one in MALFORMED.values()
            for _ in "ab"
        )
    )
    for one in sent:
        record = await place.member.wait_response(one, until="files", timeout=60)
        assert record["response"]["files"]


async def test_a_repeated_event_is_one_request(place: Town) -> None:
    """Whatever the connection repeats after a resume is drawn once."""
    sent = await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    await place.member.wait_response(sent, until="files", timeout=30)
    (session,) = place.sandbox.core.gateway.sessions.values()
    events = [json.loads(text) for _, text in session._sent if "INTERACTION_CREATE" in text]
    before = len(await place.member.messages("general", user="ada"))
    assert await place.app.studio.wait_until_idle(30)
    session.push("INTERACTION_CREATE", events[-1]["d"])

    async def is_counted() -> bool:
        return place.app.bot.arrivals.repeated == 1

    await eventually(is_counted)
    assert place.app.studio.running == 0
    assert len(await place.member.messages("general", user="ada")) == before
