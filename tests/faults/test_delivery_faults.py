"""Every call of a reply broken in every way: exactly one answer is seen, whatever happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.store import JobState
from cogs.common.delivery import ALREADY_ACKNOWLEDGED
from tests.e2e import Town, eventually, words
from tests.faults.conftest import PacedPipeline

CALLBACK = "*/callback"
ORIGINAL = "/webhooks/*/messages/*"
FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}"
CHANNEL = "/channels/{channel_id}/messages"

FAULTS: dict[str, dict[str, Any]] = {
    "limited": {"kind": "rate_limit", "via": True, "retry_after": 0.3},
    "limited everywhere": {"kind": "rate_limit", "is_global": True, "retry_after": 0.3},
    "limited without via": {"kind": "rate_limit", "via": False, "retry_after": 0.3},
    "500": {"kind": "error", "status": 500},
    "503": {"kind": "error", "status": 503},
    "500 after it was done": {"kind": "error", "status": 500, "moment": "after"},
    "reset": {"kind": "reset"},
    "reset twice": {"kind": "reset", "times": 2},
    "reset after it was done": {"kind": "reset", "moment": "after"},
    "stall": {"kind": "stall", "seconds": 600.0},
    "stall after it was done": {"kind": "stall", "seconds": 600.0, "moment": "after"},
}


async def seen(place: Town, user: str = "ada", channel: str = "general") -> list[dict[str, Any]]:
    """Return the bot's messages that a member sees, pictures and sentences, not "thinking"."""
    messages = await place.member.messages(channel, user=user)
    return [one for one in messages if one["author"].get("bot") and not one["loading"]]


async def answers_after(place: Town, before: int) -> list[dict[str, Any]]:
    """Return what became visible after `before` answers, once nothing is under way any more."""

    async def settled() -> bool:
        return place.app.studio.running == 0 and len(await seen(place)) > before

    await eventually(settled, timeout=60)
    await asyncio.sleep(0.3)
    return (await seen(place))[before:]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(
    ("route", "deferred"),
    [(CALLBACK, False), (CALLBACK, True), (ORIGINAL, True)],
    ids=["first response", "acknowledgement", "edit"],
)
async def test_one_picture_is_seen(
    place: Town, pace: type[PacedPipeline], route: str, fault: dict[str, Any], deferred: bool
) -> None:
    pace.seconds = 0.7 if deferred else 0.0
    before = len(await seen(place))
    await place.member.fault("rest", route=route, method="*", **fault)
    await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    assert len(answer["files"]) == 1
    assert (await place.member.faults())[0]["hits"] >= 1


@pytest.mark.parametrize(
    "name",
    ["503", "reset", "reset twice", "reset after it was done", "limited without via", "stall"],
)
async def test_an_acknowledgement_is_tried_again_within_three_seconds(
    place: Town, pace: type[PacedPipeline], name: str
) -> None:
    """The picture takes longer than Discord waits, so that nothing else can save the answer."""
    pace.seconds = 2.0
    await place.member.fault("rest", route=CALLBACK, **FAULTS[name])
    sent = await place.member.command(
        "/imagine prompt:a cat private:true", user="ada", channel="general"
    )
    record = await place.member.wait_response(sent, until="files", timeout=60)
    assert record["deferred"]
    assert record["ack_ms"] < 3000
    assert record["response"]["files"]
    # Discord's word that it has one already is believed: nothing is uploaded as another.
    refused = [one["rule"] for one in await place.member.traffic(broken_only=True)]
    assert len([rule for rule in refused if rule.startswith(str(ALREADY_ACKNOWLEDGED))]) <= 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_mention_is_answered_once(place: Town, fault: dict[str, Any]) -> None:
    await place.member.fault("rest", route=CHANNEL, method="POST", **fault)
    before = len(await seen(place))
    bot = place.sandbox.application_id
    await place.member.send(f"<@{bot}> a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    assert len(answer["files"]) == 1


@pytest.mark.parametrize("kind", ["reset", "error", "stall"])
async def test_edits_that_never_work_end_in_one_message(
    place: Town, pace: type[PacedPipeline], kind: str
) -> None:
    """Every edit's answer is lost although Discord took it: the look back finds it there."""
    pace.seconds = 0.7
    before = len(await seen(place))
    await place.member.fault(
        "rest",
        kind,
        route=ORIGINAL,
        method="PATCH",
        times=None,
        moment="after",
        status=501,
        seconds=600,
    )
    await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    assert answer["files"]


@pytest.mark.parametrize(
    "name",
    [
        "503",
        "reset",
        "limited without via",
        "reset after it was done",
        "stall",
        "stall after it was done",
    ],
)
async def test_a_follow_up_through_faults_is_seen_once(
    place: Town, pace: type[PacedPipeline], name: str
) -> None:
    """No edit works, so a message of its own has to; when its answer is lost, it is looked for."""
    pace.seconds = 0.7
    before = len(await seen(place))
    await place.member.fault(
        "rest", "error", route=ORIGINAL, method="PATCH", times=None, status=404
    )
    await place.member.fault("rest", route=FOLLOW_UP, method="POST", **FAULTS[name])
    await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    assert answer["files"]
    assert (await place.member.faults())[1]["hits"] >= 1


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_an_upload_cut_in_its_middle_is_made_again(
    place: Town, pace: type[PacedPipeline], method: str
) -> None:
    pace.seconds = 0.7
    before = len(await seen(place))
    route = ORIGINAL if method == "PATCH" else CHANNEL
    await place.member.fault("rest", "reset", route=route, method=method, moment="during", times=2)
    if method == "PATCH":
        await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    else:
        bot = place.sandbox.application_id
        await place.member.send(f"<@{bot}> a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    assert len(answer["files"]) == 1
    assert (await place.member.faults())[0]["hits"] == 2


async def wait_for_waiting(place: Town, interaction: str) -> None:
    await place.member.wait_response(interaction, until="ack", timeout=30)


async def test_an_ended_token_leaves_a_public_answer_in_its_place(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    before = len(await seen(place))
    sent = await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    await wait_for_waiting(place, sent)
    await place.member.expire(sent)
    (answer,) = await answers_after(place, before)
    assert answer["files"]
    everything = await place.member.messages("general", user="ada")
    assert not [one for one in everything if one["loading"]]


async def test_an_ended_token_of_a_private_answer_leads_to_a_direct_message(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    before = len(await seen(place))
    sent = await place.member.command(
        "/imagine prompt:a cat private:true", user="ada", channel="general"
    )
    await wait_for_waiting(place, sent)
    await place.member.expire(sent)

    async def has_mail() -> bool:
        channel = await place.member.dm("ada")
        return bool(await place.member.messages(channel["id"], user="ada"))

    await eventually(has_mail, timeout=60)
    assert len(await seen(place)) == before


async def kept_after(place: Town, user_id: int) -> int:
    """Return how many pictures wait in /me once nothing is under way."""

    async def kept() -> bool:
        return bool(await place.app.store.kept_pictures(user_id))

    await eventually(kept, timeout=60)
    return len(await place.app.store.kept_pictures(user_id))


async def user_id_of(place: Town, name: str) -> int:
    world = await place.member.world(user=name)
    return next(int(one["id"]) for one in world["users"] if one["username"] == name)


async def test_a_private_picture_with_nowhere_to_go_waits_in_me(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    await place.member.set_user("ada", accepts_dms=False)
    sent = await place.member.command(
        "/imagine prompt:a cat private:true", user="ada", channel="general"
    )
    await wait_for_waiting(place, sent)
    await place.member.expire(sent)
    assert await kept_after(place, await user_id_of(place, "ada")) == 1
    record = await place.command("/me", user="ada")
    assert "1 picture could not be delivered and waits" in words(record["response"])


async def test_a_channel_deleted_meanwhile_leads_to_a_direct_message(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    sent = await place.member.command("/imagine prompt:a cat", user="ada", channel="art")
    await wait_for_waiting(place, sent)
    await place.member.delete_channel("art")

    async def has_mail() -> bool:
        channel = await place.member.dm("ada")
        found = await place.member.messages(channel["id"], user="ada")
        return len(found) == 1 and bool(found[0]["files"])

    await eventually(has_mail, timeout=60)


async def test_a_mention_where_speaking_was_forbidden_meanwhile_is_answered_by_mail(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    bot = place.sandbox.application_id
    await place.member.send(f"<@{bot}> a cat", user="ada", channel="general")

    async def is_drawing() -> bool:
        return place.app.studio.running > 0

    await eventually(is_drawing)
    send_messages = 1 << 11
    await place.member.set_overwrite("general", str(bot), deny=send_messages)

    async def has_mail() -> bool:
        channel = await place.member.dm("ada")
        found = await place.member.messages(channel["id"], user="ada")
        return len(found) == 1 and bool(found[0]["files"])

    await eventually(has_mail, timeout=60)


async def test_a_lower_upload_limit_gets_a_smaller_picture(
    place: Town, pace: type[PacedPipeline]
) -> None:
    pace.seconds = 0.7
    before = len(await seen(place))
    await place.member.fault(
        "rest", "error", route=ORIGINAL, method="PATCH", status=413, code=40005, times=1
    )
    await place.member.command("/imagine prompt:a cat", user="ada", channel="general")
    (answer,) = await answers_after(place, before)
    (file,) = answer["files"]
    job = await place.app.store.get_job(file["filename"].split("-")[1])
    assert job is not None
    assert job.state is JobState.DONE
    usual = (await seen(place))[0]["files"][0]["size"]
    assert file["size"] <= usual // 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"kind": "error", "status": 404}, "gone"),
        ({"kind": "expired"}, "expired"),
        ({"kind": "error", "status": 503, "times": None}, "Try again"),
        ({"kind": "truncate", "times": None}, "broke off"),
        ({"kind": "length", "length": 10**9, "times": None}, "larger than"),
        ({"kind": "reset", "times": None}, "Try again"),
    ],
    ids=["gone", "expired", "503", "truncated", "lying length", "reset"],
)
async def test_a_source_that_cannot_be_had_is_said_in_words(
    place: Town, fault: dict[str, Any], sentence: str
) -> None:
    made = await place.command("/imagine prompt:a cat", user="ada")
    picture = await place.member.download(made["response"]["files"][0])
    await place.member.fault("cdn", **fault)
    record = await place.command(
        "/remix prompt:snow", user="ada", files={"image": ("cat.png", picture)}
    )
    assert sentence in words(record["response"])
    assert not record["response"]["files"]


async def test_a_type_that_lies_is_not_believed(place: Town) -> None:
    made = await place.command("/imagine prompt:a cat", user="ada")
    picture = await place.member.download(made["response"]["files"][0])
    await place.member.fault("cdn", "type", content_type="text/html", times=None)
    record = await place.command(
        "/remix prompt:snow", user="ada", files={"image": ("cat.png", picture)}
    )
    assert record["response"]["files"]


@pytest.mark.parametrize("name", ["503", "reset", "reset after it was done", "limited without via"])
async def test_a_live_panel_redraws_through_faults(place: Town, name: str) -> None:
    opened = await place.command("/live prompt:a cat", user="ada")
    panel = opened["response"]
    await place.member.fault("rest", route=CALLBACK, **FAULTS[name])
    pressed = await place.member.press(panel["id"], "New seed", user="ada")
    await place.member.wait_response(pressed, timeout=30)

    async def is_redrawn() -> bool:
        shown = await place.member.message(panel["id"], user="ada")
        return bool(shown["files"]) and shown["files"][0]["id"] != panel["files"][0]["id"]

    await eventually(is_redrawn, timeout=30)
    assert len((await place.member.message(panel["id"], user="ada"))["files"]) == 1
