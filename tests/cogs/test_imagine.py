"""/imagine over the wire, with stock discord.py on one side and a member on the other."""

from __future__ import annotations

import asyncio

import pytest

from bot.imaging.metadata import read_metadata
from bot.request import MAX_SEED
from bot.sandbox import answering
from tests.e2e import Town, words
from tests.pictures import pixels_of


async def test_a_picture_comes_with_what_reproduces_it(place: Town) -> None:
    record = await place.command(
        "/imagine prompt:a red circle negative_prompt:hats count:2 size:wide steps:3 "
        "guidance:1.5 seed:7 style:pixel"
    )
    message = record["response"]
    assert len(message["files"]) == 2
    text = words(message)
    for part in ("a red circle", "hats", "704×384", "3 steps", "seed 7", "guidance 1\\.5", "pixel"):
        assert part.replace("\\", "") in text.replace("\\", "")
    second = await place.member.download(message["files"][1])
    assert pixels_of(second).shape == (384, 704, 3)
    metadata = read_metadata(second)
    assert metadata is not None
    assert metadata.seed == 8
    assert metadata.style == "pixel"


async def test_the_seed_is_random_and_fits_discord(place: Town) -> None:
    seeds = set()
    for _ in range(3):
        record = await place.command("/imagine prompt:a cat")
        metadata = read_metadata(await place.member.download(record["response"]["files"][0]))
        assert metadata is not None
        assert 0 <= metadata.seed <= MAX_SEED
        seeds.add(metadata.seed)
    assert len(seeds) == 3


async def test_a_private_picture_is_seen_by_its_member_alone(place: Town) -> None:
    record = await place.command("/imagine prompt:a cat private:true")
    assert record["response"]["ephemeral_for"]
    assert not await place.member.messages("general", user="ben")


async def test_a_hostile_prompt_pings_nobody_and_formats_nothing(place: Town) -> None:
    record = await place.command("/imagine prompt:@everyone <@&1> ||x|| ** `` # hi")
    message = record["response"]
    assert message["mention_everyone"] is False
    assert message["mentions"] == []
    assert not message.get("pinged")
    text = words(message).splitlines()[0]
    assert "@everyone" not in text
    assert "\\|\\|x\\|\\|" in text


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("/imagine prompt:a steps:8", "`steps` cannot be 8"),
        ("/imagine prompt:a style:nonsense", "`style` cannot be nonsense"),
    ],
)
async def test_a_refusal_is_a_sentence_for_its_member(
    place: Town, command: str, sentence: str
) -> None:
    record = await place.command(command)
    assert sentence in words(record["response"])
    assert record["response"]["ephemeral_for"]
    assert record["response"]["files"] == []


async def test_chinese_members_read_chinese(place: Town) -> None:
    await place.member.set_user("cleo", locale="zh-CN")
    record = await place.command("/imagine prompt:猫 seed:3", user="cleo")
    assert "种子 3" in words(record["response"])
    refused = await place.command("/imagine prompt:猫 steps:8", user="cleo")
    assert "不能是" in words(refused["response"])
    commands = (await place.member.world(user="cleo"))["commands"]
    (imagine,) = [one for one in commands if one["name"] == "imagine"]
    assert imagine["name_localizations"]["zh-CN"] == "想象"


async def test_styles_are_offered_while_typing(place: Town) -> None:
    choices = await place.member.autocomplete(
        "imagine", focused="style", options={"prompt": "a", "style": "PIX"}, user="ada"
    )
    assert [one["value"] for one in choices] == ["pixel"]


async def test_the_limit_says_when_to_come_back_and_failures_are_free(place: Town) -> None:
    limiter = place.app.studio.service.limiter
    for _ in range(limiter.member.count // 4):
        await place.command("/imagine prompt:a count:4", user="cleo")
    record = await place.command("/imagine prompt:a", user="cleo")
    text = words(record["response"])
    assert "You have used your 20 pictures" in text
    assert "<t:" in text
    assert record["response"]["ephemeral_for"]
    other = await place.command("/imagine prompt:a", user="ben")
    assert other["response"]["files"]


async def test_a_quick_picture_is_the_first_response(place: Town) -> None:
    await place.command("/imagine prompt:warm up")
    before = max(entry["id"] for entry in await place.member.traffic())
    record = await place.command("/imagine prompt:a cat")
    calls = await place.member.traffic(after=before, kind="rest")
    assert record["callback_type"] == 4
    assert len(calls) == 1


async def test_two_hundred_at_once_are_all_acknowledged_and_answered(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside other tests the sandbox gets a fraction of a core: it waits longer than Discord here,
    # and `turbocord bench overhead` says how long an acknowledgement takes on a quiet machine.
    monkeypatch.setattr(answering, "ACK_WITHIN_S", 30.0)
    # An acknowledgement whose answer is slow is sent again, to be told that the first had arrived.
    place.tolerated_codes.add("40060")
    users = [f"member{number}" for number in range(50)]
    for user in users:
        await place.member.create_user(user)
    for number in range(4):
        await place.member.create_guild(
            f"guild{number}", owner="ada", channels=[f"room{number}"], members=users
        )
    calls = [
        {
            "text": f"/imagine prompt:picture {number} seed:{number}",
            "user": users[number % 50],
            "guild": f"guild{number % 4}",
            "channel": f"room{number % 4}",
        }
        for number in range(200)
    ]
    ids = await place.member.invoke_many(calls)
    records = await asyncio.gather(
        *(place.member.wait_response(one, timeout=100, until="files") for one in ids)
    )
    assert all(record["ack_ms"] <= record["answer_ms"] for record in records)
    seeds = set()
    for record in records:
        (file,) = record["response"]["files"]
        seeds.add(file["filename"].rsplit("-", 1)[1])
    assert len(seeds) == 200
