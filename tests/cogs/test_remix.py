"""/remix, the message menus and mentions: one remix path, whichever door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e import Town, eventually, items, town, words
from tests.pictures import pixels_of, png, sideways_photo


async def test_a_photo_is_taken_as_it_is_seen(place: Town) -> None:
    record = await place.command(
        "/remix prompt:snow strength:0.4 seed:3", files={"image": ("photo.jpg", sideways_photo())}
    )
    message = record["response"]
    text = words(message)
    assert "448×576" in text
    assert "strength 0.4" in text
    picture = pixels_of(await place.member.download(message["files"][0]))
    assert picture.shape == (576, 448, 3)
    # What a screen reader says, of the file and where it is shown.
    (gallery,) = items(message["components"], 12)
    assert message["files"][0]["description"] == "snow"
    assert [one["description"] for one in gallery["items"]] == ["snow"]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.png", b"", "empty"),
        ("a.png", png()[:60], "damaged"),
        ("a.png", b"GIF89a" + b"\0" * 40, "damaged"),
        ("a.pdf", b"%PDF-1.7\n" + b"x" * 100, "PDF"),
        ("a.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 100, "video"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, "HEIC"),
        ("a.bin", b"\x01\x02\x03" * 50, "do not recognise"),
    ],
)
async def test_each_bad_picture_has_its_sentence(
    place: Town, name: str, data: bytes, sentence: str
) -> None:
    record = await place.command("/remix prompt:snow", files={"image": (name, data)})
    assert sentence in words(record["response"])
    assert record["response"]["files"] == []


async def test_the_menu_asks_and_remixes_anybody_s_picture(place: Town) -> None:
    message = await place.member.send(
        "look", user="ben", channel="general", files={"a.png": png(), "b.png": png(90, 60)}
    )
    opened = await place.member.context_menu("Remix", message=message["id"], user="cleo")
    record = await place.member.wait_response(opened)
    prompt, strength, style, which = (
        row["component"]["custom_id"] for row in record["modal"]["components"]
    )
    sent = await place.member.submit_modal(
        opened,
        {prompt: "in the snow", strength: "0,5", style: ["watercolour"], which: ["1"]},
        user="cleo",
    )
    answer = await place.member.wait_response(sent, until="files", timeout=30)
    text = words(answer["response"])
    assert "in the snow" in text
    assert "style watercolour" in text
    assert "strength 0.5" in text
    assert "576×448" in text


async def test_a_strength_that_is_no_number_is_named(place: Town) -> None:
    message = await place.member.send("", user="ben", channel="general", files={"a.png": png()})
    opened = await place.member.context_menu("Remix", message=message["id"], user="cleo")
    record = await place.member.wait_response(opened)
    inputs = [row["component"]["custom_id"] for row in record["modal"]["components"]]
    sent = await place.member.submit_modal(
        opened, {inputs[0]: "snow", inputs[1]: "much"}, user="cleo"
    )
    answer = await place.member.wait_response(sent, timeout=30)
    assert "`strength` cannot be much" in words(answer["response"])


async def test_the_menu_looks_into_a_forward(place: Town) -> None:
    original = await place.member.send("", user="ben", channel="art", files={"a.png": png()})
    forward = await place.member.send("", user="ben", channel="general", forward=original["id"])
    opened = await place.member.context_menu("Remix", message=forward["id"], user="cleo")
    assert (await place.member.wait_response(opened))["modal"]


async def test_a_message_without_a_picture_gets_the_sentence(place: Town) -> None:
    message = await place.member.send("words", user="ben", channel="general")
    for menu in ("Remix", "Picture info"):
        opened = await place.member.context_menu(menu, message=message["id"], user="cleo")
        record = await place.member.wait_response(opened)
        assert "no picture in that message" in words(record["response"])
        assert record["response"]["ephemeral_for"]


async def test_picture_info_reads_what_the_picture_tells(place: Town) -> None:
    drawn = await place.command("/imagine prompt:a ||cat|| seed:11")
    opened = await place.member.context_menu(
        "Picture info", message=drawn["response"]["id"], user="cleo"
    )
    record = await place.member.wait_response(opened, until="answer")
    text = words(record["response"])
    assert "seed 11" in text
    assert "\\|\\|cat\\|\\|" in text
    plain = await place.member.send("", user="ben", channel="general", files={"a.png": png()})
    opened = await place.member.context_menu("Picture info", message=plain["id"], user="cleo")
    record = await place.member.wait_response(opened, until="answer")
    assert "no drawing parameters" in words(record["response"])


async def test_picture_info_tells_of_those_that_are_there(place: Town) -> None:
    drawn = await place.command("/imagine prompt:a cat seed:11 count:2")
    await place.member.fault("cdn", "error", status=404, times=1)
    opened = await place.member.context_menu(
        "Picture info", message=drawn["response"]["id"], user="cleo"
    )
    text = words((await place.member.wait_response(opened))["response"])
    assert text.count("a cat") == 1
    await place.member.fault("cdn", "error", status=404, times=2)
    opened = await place.member.context_menu(
        "Picture info", message=drawn["response"]["id"], user="cleo"
    )
    assert "gone" in words((await place.member.wait_response(opened))["response"])


@pytest.fixture
async def open_place(tmp_path: Path) -> AsyncIterator[Town]:
    async with town(tmp_path, message_content=True) as place:
        yield place


async def mention(place: Town, text: str, **options: object) -> dict[str, object]:
    """Send a message that mentions the bot and return the bot's answer."""
    bot = place.sandbox.application_id
    sent = await place.member.send(f"<@{bot}> {text}", user="cleo", channel="general", **options)
    return await place.member.wait_message(
        "general", user="cleo", after=sent["id"], author="turbocord", timeout=30
    )


async def test_a_mention_alone_imagines(place: Town) -> None:
    answer = await mention(place, "a cat --seed 7 --count 2")
    assert len(answer["files"]) == 2
    assert "seed 7" in words(answer)


async def test_a_mention_with_a_picture_of_its_own_remixes_it(place: Town) -> None:
    answer = await mention(place, "snow --strength .6", files={"a.png": png(60, 90)})
    assert "strength 0.6" in words(answer)
    assert "448×576" in words(answer)


async def test_a_typo_in_a_flag_is_named(place: Town) -> None:
    answer = await mention(place, "a cat --sede 7")
    assert "`--sede`" in words(answer).replace("\\", "")
    assert "`--seed`" in words(answer).replace("\\", "")


async def test_a_reply_remixes_another_s_picture_with_the_intent(open_place: Town) -> None:
    target = await open_place.member.send(
        "", user="ben", channel="general", files={"a.png": png(90, 60)}
    )
    answer = await mention(open_place, "make it snow", reply_to=target["id"])
    assert "576×448" in words(answer)


async def test_a_reply_without_the_intent_says_what_to_do_instead(place: Town) -> None:
    target = await place.member.send("", user="ben", channel="general", files={"a.png": png()})
    answer = await mention(place, "make it snow", reply_to=target["id"])
    assert "Apps › Remix" in words(answer)


async def test_in_a_direct_message_nothing_is_hidden(place: Town) -> None:
    """Discord shows the bot all of it there, so that where no picture is seen there is none."""
    channel = await place.member.dm("cleo")
    bot = place.sandbox.application_id
    plain = await place.member.send("just words", user="cleo", channel=channel["id"])
    sent = await place.member.send(
        f"<@{bot}> snow", user="cleo", channel=channel["id"], reply_to=plain["id"]
    )
    answer = await place.member.wait_message(
        channel["id"], user="cleo", after=sent["id"], author="turbocord", timeout=30
    )
    assert "no picture in that message" in words(answer)


async def test_a_reply_to_our_own_picture_works_without_the_intent(place: Town) -> None:
    drawn = await place.command("/imagine prompt:a cat")
    answer = await mention(place, "make it snow", reply_to=drawn["response"]["id"])
    assert "make it snow" in words(answer)
    assert "strength" in words(answer)


async def test_a_mention_of_several_pictures_asks_which_and_the_question_lasts(
    place: Town,
) -> None:
    files = {"a.png": png(60, 90), "b.png": png(90, 60)}
    asked = await mention(place, "snow --strength .6", files=files)
    assert "There are 2 pictures" in words(asked)
    (select,) = items(asked["components"], 3)
    assert [one["description"] for one in select["options"]] == ["a.png", "b.png"]
    other = await place.member.select(asked["id"], select["custom_id"], ["1"], user="ben")
    refused = await place.member.wait_response(other)
    assert "Only the member who asked" in words(refused["response"])
    # Nothing is remembered: the question works as long as the mention is there.
    await place.member.advance(3 * 24 * 3600)
    pressed = await place.member.select(asked["id"], select["custom_id"], ["1"], user="cleo")
    answer = await place.member.wait_response(pressed, until="files", timeout=30)
    assert "576×448" in words(answer["response"])
    assert "strength 0.6" in words(answer["response"])

    async def is_gone() -> bool:
        messages = await place.member.messages("general", user="ben")
        return asked["id"] not in [one["id"] for one in messages]

    await eventually(is_gone)


async def test_a_typo_is_named_before_it_is_asked_which(place: Town) -> None:
    answer = await mention(place, "snow --sede 7", files={"a.png": png(), "b.png": png()})
    assert "`--sede`" in words(answer).replace("\\", "")


async def test_a_question_whose_mention_was_deleted_says_so(place: Town) -> None:
    asked = await mention(place, "snow", files={"a.png": png(), "b.png": png()})
    (select,) = items(asked["components"], 3)
    await place.member.delete(select["custom_id"].split(":")[2], user="cleo")
    place.expected_rules.append("10008: Unknown Message")
    pressed = await place.member.select(asked["id"], select["custom_id"], ["1"], user="cleo")
    answer = await place.member.wait_response(pressed)
    assert "is gone" in words(answer["response"])


async def test_talk_about_a_picture_draws_nothing(place: Town) -> None:
    drawn = await place.command("/imagine prompt:a cat")
    await place.member.send(
        "nice one!", user="ben", channel="general", reply_to=drawn["response"]["id"]
    )
    marker = await mention(place, "a marker")
    messages = await place.member.messages("general", user="ben")
    from_bot = [one for one in messages if one["author"]["username"] == "turbocord"]
    assert [one["id"] for one in from_bot] == [drawn["response"]["id"], marker["id"]]
