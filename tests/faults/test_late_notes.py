"""A note on the wait that is slow on its way to Discord: the answer is what is seen in the end."""

from __future__ import annotations

from typing import Any

import pytest

from cogs.common import interaction_reply
from tests.e2e import Town, eventually, words
from tests.faults.conftest import PacedPipeline
from tests.faults.test_delivery_faults import ORIGINAL, answers_after, seen

NOTE = "In the queue"
IN_TIME, TOO_LATE = 1.6, 4.5
"""Seconds for which a note is on its way: a picture takes about one and a half."""


@pytest.fixture
async def waiting(place: Town, pace: type[PacedPipeline], monkeypatch: pytest.MonkeyPatch) -> Town:
    """Return a town where every wait is worth a note, and an answer waits a second for one."""
    monkeypatch.setattr(interaction_reply, "TELL_AFTER", 0.2)
    monkeypatch.setattr(interaction_reply, "TELL_AGAIN", 0.4)
    monkeypatch.setattr(interaction_reply, "TOLD_WITHIN", 1.0)
    pace.seconds = 0.7
    await place.command("/imagine prompt:as slow as the next one", user="ben")
    return place


async def after_a_slow_note(
    place: Town, seconds: float, *, skip: int = 0, options: str = ""
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the answers to a request once its note has landed, and the calls that were made."""
    before = len(await seen(place))
    done = max(entry["id"] for entry in await place.member.traffic())
    await place.member.fault(
        "rest", "slow", route=ORIGINAL, method="PATCH", seconds=seconds, skip=skip
    )
    await place.member.command(f"/imagine prompt:a cat{options}", user="ada", channel="general")
    await answers_after(place, before)

    async def has_landed() -> bool:
        calls = await place.member.traffic(after=done, kind="rest")
        notes = [one for one in calls if one["fault"]]
        assert all(NOTE in str(one["body"]) for one in notes)
        return bool(notes) and notes[0]["status"] is not None

    await eventually(has_landed)
    calls = await place.member.traffic(after=done, kind="rest")
    return (await seen(place))[before:], calls


@pytest.mark.parametrize(
    ("skip", "options"),
    [(0, ""), (1, ""), (0, " private:true")],
    ids=["thinking", "told once", "private"],
)
async def test_a_note_that_comes_too_late_is_not_seen(
    waiting: Town, skip: int, options: str
) -> None:
    """Nothing calls it back, so that the answer must not be where it is put."""
    (answer,), _ = await after_a_slow_note(waiting, TOO_LATE, skip=skip, options=options)
    assert len(answer["files"]) == 1
    assert NOTE not in words(answer)
    assert bool(answer["ephemeral_for"]) == bool(options)
    everything = await waiting.member.messages("general", user="ada")
    assert not [one for one in everything if one["loading"]]


async def test_a_note_that_is_soon_there_is_waited_for(waiting: Town) -> None:
    """The answer then takes the note's place, as ever."""
    (answer,), calls = await after_a_slow_note(waiting, IN_TIME)
    assert len(answer["files"]) == 1
    assert NOTE not in words(answer)
    assert [one["method"] for one in calls] == ["POST", "PATCH", "PATCH"]


async def test_nor_is_a_refusal_written_over(
    waiting: Town, pace: type[PacedPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the engine went wrong")

    monkeypatch.setattr(pace, "decode", broken)
    (answer,), _ = await after_a_slow_note(waiting, TOO_LATE)
    assert not answer["files"]
    assert NOTE not in words(answer)
