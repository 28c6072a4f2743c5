from __future__ import annotations

import re
import string

import pytest

from bot.words import best_locale, catalogue, languages, say


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
