from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadParameter
from bot.flags import FLAGS, parse_prompt
from bot.request import Wish


def test_words_and_flags_come_apart() -> None:
    assert parse_prompt("make it snow --strength .6 --steps 2 --seed 7 --count 2") == Wish(
        prompt="make it snow", strength=0.6, num_inference_steps=2, seed=7, count=2
    )


@pytest.mark.parametrize(
    "text", ["a cat —seed 7", "a cat --seed=7", "--SEED 7 a cat", "a --seed 7 cat"]
)
def test_flags_are_read_as_people_type_them(text: str) -> None:
    wish = parse_prompt(text)
    assert (wish.prompt, wish.seed) == ("a cat", 7)


def test_quotes_hold_a_flag_s_words_together() -> None:
    wish = parse_prompt('a "big" cat --no "a hat, shoes" --size wide')
    assert wish.prompt == 'a "big" cat'
    assert wish.negative_prompt == "a hat, shoes"
    assert wish.size == "wide"


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        ("a --strenght .5", "unknown_flag_near", "--strenght"),
        ("a --zzz 1", "unknown_flag", "--zzz"),
        ("a --seed", "flag_without_value", "--seed"),
        ("a --seed --steps 2", "flag_without_value", "--seed"),
        ("a --steps two", "bad_parameter", "--steps"),
        ("a --size round", "bad_parameter", "--size"),
    ],
)
def test_a_typo_names_the_flag(text: str, code: str, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parse_prompt(text)
    assert caught.value.code == code
    assert caught.value.details["name"] == name


def test_the_nearest_flag_is_offered() -> None:
    with pytest.raises(BadParameter) as caught:
        parse_prompt("a --strenght .5")
    assert caught.value.details["near"] == "--strength"


def test_a_hyphenated_word_is_a_word() -> None:
    assert parse_prompt("a well-known cat - asleep -- at 5").prompt == (
        "a well-known cat - asleep -- at 5"
    )


@given(st.text(max_size=200))
def test_any_text_is_a_wish_or_a_named_flag(text: str) -> None:
    with contextlib.suppress(BadParameter):
        assert "  " not in parse_prompt(text).prompt


@given(st.sampled_from(sorted(FLAGS)), st.text(alphabet="abc ", min_size=1).map(str.strip))
def test_flags_never_reach_the_prompt(name: str, prompt: str) -> None:
    value = {"size": "wide", "style": "ink", "no": "hats"}.get(name, "1")
    assert parse_prompt(f"{prompt} --{name} {value}").prompt == " ".join(prompt.split())
