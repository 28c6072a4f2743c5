from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

from bot import errors
from bot.words import best_locale, catalogue, has, languages, say, span_text

ROOT = Path(__file__).resolve().parents[1]
SCOPED = {"startup", "rate_limited", "queue_full"}
"""Never said as they are: one is for operators, the others always carry their scope."""
RAISED = {
    "BadPicture",
    "BadParameter",
    "NotAllowed",
    "EngineError",
    "StoreError",
    "WeightsUnavailable",
}


def raised_codes() -> set[str]:
    """Return every code that the sources give an error by a literal first argument."""
    codes = set()
    for path in [*ROOT.glob("bot/**/*.py"), *ROOT.glob("cogs/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                literal = node.args[0] if node.args else None
                if node.func.id in RAISED and isinstance(literal, ast.Constant):
                    codes.add(str(literal.value))
    return codes


def test_every_error_has_its_sentence() -> None:
    codes = raised_codes()
    assert {"picture_gone", "blocked_word"} <= codes
    kinds = [errors.TurbocordError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    codes |= {kind.default_code for kind in kinds} - SCOPED
    assert not {code for code in codes if not has(f"error.{code}")}


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("locale", [name for name in languages() if name != "en"])
def test_translations_are_complete_and_fill_in_the_same_details(locale: str) -> None:
    english, other = catalogue("en"), catalogue(locale)
    assert set(other) == set(english)
    for key, template in english.items():
        assert placeholders(other[key]) == placeholders(template), key


@pytest.mark.parametrize("locale", languages())
def test_command_words_fit_discords_limits(locale: str) -> None:
    for key, words in catalogue(locale).items():
        if key.startswith("command.") and key.endswith(".name"):
            assert re.fullmatch(r"[-_\w]{1,32}", words), key
            assert words == words.lower()
        elif key.startswith(("command.", "option.", "size.")):
            assert 1 <= len(words) <= 100, key


def test_unknown_languages_read_english() -> None:
    assert best_locale("en-GB") == "en"
    assert best_locale("zh-CN") == "zh-CN"
    assert best_locale("tlh") == "en"
    assert say("tlh", "error.prompt_empty") == say("en", "error.prompt_empty")


def test_a_missing_sentence_is_an_error_not_silence() -> None:
    with pytest.raises(KeyError):
        say("en", "error.no_such_sentence")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60, "60 s"), (90, "90 s"), (120, "2 min"), (3600, "60 min"), (7200, "2 h"), (86_400, "24 h")],
)
def test_a_span_is_told_in_the_largest_unit_that_fits(seconds: int, words: str) -> None:
    assert span_text(seconds, locale="en") == words


@pytest.mark.parametrize(
    ("key", "count", "words"),
    [
        ("me.kept", 1, "1 picture could not be delivered and waits for you."),
        ("me.kept", 2, "2 pictures could not be delivered and wait for you."),
        ("result.steps", 1, "1 step"),
        ("result.steps", 0, "0 steps"),
    ],
)
def test_words_bend_with_their_number(key: str, count: int, words: str) -> None:
    assert say("en", key, count=count, steps=count) == words


@pytest.mark.parametrize("locale", languages())
def test_every_number_of_pictures_and_requests_can_be_one(locale: str) -> None:
    several = {"error.several_pictures"}  # never said of fewer than two
    for key, template in catalogue(locale).items():
        for noun in ("pictures", "requests", "steps"):
            unbent = re.search(rf"{{\w+}} {noun}\b", template)
            assert unbent is None or key in several, key
