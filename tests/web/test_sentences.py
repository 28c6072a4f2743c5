"""What a visitor reads."""

from __future__ import annotations

import pytest

from bot.errors import BadParameter, BadPicture, QueueFull, RateLimited
from bot.web.pictures import Pictures, media_type
from bot.web.sentences import caption, error_sentence, locale_of
from tests.web.stand_ins import result


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("fr-FR,fr;q=0.9,zh;q=0.8", "zh-CN"),
        ("tlh;q=1, *;q=0.5", "en"),
    ],
)
def test_the_browser_s_language_is_met_as_well_as_we_can(header: str, locale: str) -> None:
    assert locale_of(header) == locale


def test_a_limit_says_in_how_many_seconds() -> None:
    error = RateLimited("member", retry_after=11.2, limit=20, per_seconds=60)
    assert error_sentence(error, locale="en", job_id="") == (
        "You have used your 20 pictures for now. Try again in 12 s."
    )
    assert "12 秒后" in error_sentence(error, locale="zh-CN", job_id="")
    assert "in 2 s" in error_sentence(QueueFull("guild", retry_after=1.5), locale="en", job_id="")


def test_sentences_are_plain_text() -> None:
    error = BadParameter(name="steps", value=9, allowed="1 – 4")
    assert error_sentence(error, locale="en", job_id="") == "steps cannot be 9: 1 – 4 works."
    assert "PDF" in error_sentence(
        BadPicture("picture_document", format="PDF"), locale="en", job_id=""
    )


def test_a_fault_of_ours_names_the_job_and_nothing_else() -> None:
    sentence = error_sentence(ValueError("secret path"), locale="en", job_id="0a1b2c")
    assert "0a1b2c" in sentence
    assert "secret" not in sentence


def test_a_caption_tells_time_and_seed() -> None:
    assert caption(result(count=1), locale="en") == (
        "110 ms (80 ms model) · 512×512 · 2 steps · seed 5"
    )


def test_the_oldest_pictures_make_room() -> None:
    picture = result(count=1).pictures[0]
    pictures = Pictures(most_bytes=2 * len(picture.data))
    names = [pictures.put(picture) for _ in range(3)]
    assert [pictures.get(name) is not None for name in names] == [False, True, True]
    assert len(set(names)) == 3
    assert media_type(names[0]) == "image/png"
    tiny = Pictures(most_bytes=1)
    assert tiny.get(tiny.put(picture)) is picture
