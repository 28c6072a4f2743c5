from __future__ import annotations

import re

import pytest

from bot.errors import BadParameter, BadPicture, EngineError, RateLimited
from bot.replies import error_text, quote, when
from bot.words import catalogue


@pytest.mark.parametrize(
    "text",
    ["@everyone ||x|| **", "<@123> <#4> <t:1:R>", "# big\n> quoted\n- list", "[a](http://b.c)"],
)
def test_a_quoted_prompt_is_inert(text: str) -> None:
    shown = quote(text)
    assert "\n" not in shown
    assert "@everyone" not in shown
    for mark in "*_~|`>#[]()<":
        assert shown.count(mark) == shown.count(f"\\{mark}")


def test_a_long_prompt_is_cut_with_an_ellipsis() -> None:
    assert len(quote("a" * 1000, limit=50)) == 50
    assert quote("a" * 1000, limit=50).endswith("…")


def test_a_limit_says_when_to_come_back() -> None:
    error = RateLimited("guild", retry_after=12.2, limit=5, per_seconds=60)
    text = error_text(error, locale="en", now=1000.0)
    assert "<t:1013:R>" in text
    assert "5" in text


def test_hostile_values_in_an_error_are_quoted() -> None:
    error = BadParameter(name="steps", value="@everyone **", allowed="1 – 4")
    text = error_text(error, locale="en", now=0.0)
    assert "@everyone" not in text
    assert "1" in text


def test_a_fault_of_ours_carries_the_reference() -> None:
    assert "`abc123`" in error_text(ValueError("secret"), locale="en", now=0.0, job_id="abc123")
    assert "secret" not in error_text(ValueError("secret"), locale="en", now=0.0)
    assert "`abc123`" in error_text(EngineError(), locale="zh-CN", now=0.0, job_id="abc123")


def test_when_rounds_up() -> None:
    assert when(0.1, 10.0) == "<t:11:R>"


PICTURE_DETAILS = {
    "format": "TIFF",
    "limit_mib": "25",
    "seconds": "15",
    "megapixels": 64,
    "side": 40000,
    "limit": 32768,
}


@pytest.mark.parametrize(
    "code",
    sorted(
        key.removeprefix("error.") for key in catalogue("en") if key.startswith("error.picture_")
    ),
)
def test_every_refused_picture_hears_what_was_wrong_and_what_to_do(code: str) -> None:
    error = BadPicture(code, **PICTURE_DETAILS)
    text = error_text(error, locale="en", now=0.0)
    assert "{" not in text
    assert re.search(r"work|Try again|screenshot|Attach|Apps", text), text
    assert text != error_text(error, locale="zh-CN", now=0.0)
