from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.blocklist import blocked_word, fold


@pytest.mark.parametrize(
    "text",
    [
        "a gore scene",
        "GORE!",
        "gоrе",
        "ｇｏｒｅ",
        "𝓰𝓸𝓻𝓮",
        "g0re",
        "gö́re",
        "go\u200bre",
        "so-gore-y",
        "g\ufe0fo\ufe0fr\ufe0fe",
        "a g o r e scene",
        "g.o.r.e",
        "ցοгє",
        "gᴏʀᴇ",
        "🇬🇴🇷🇪",
        "🅶🅾🆁🅴",
        "90r3",
        "g 0 r 3",
        "gorɇ",
        "ɠore",
        "ᏀᎾᎡᎬ",
        "ꮐꮎꭱꭼ",
        "ꓖꓳꓣꓰ",
        "ⲅⲟⲣⲉ",
        "ⲄⲞⲢⲈ",
        "cat|gore",
        "||gore||",
        "gore|cat!",
    ],
)
def test_a_blocked_word_is_found_however_it_is_dressed(text: str) -> None:
    assert blocked_word(text, ["gore"]) == "gore"


@pytest.mark.parametrize("text", ["gorey", "a gorgeous cat", "ore", ""])
def test_only_whole_words_count(text: str) -> None:
    assert blocked_word(text, ["gore"]) is None


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("he11", "hell"),
        ("k1ll", "kill"),
        ("ki11", "kill"),
        ("a1l", "ail"),
        ("kiII", "kill"),
        ("ki||", "kill"),
        ("k!||", "kill"),
        ("k1II", "kill"),
        ("k!ll", "kill"),
        ("KILL", "kill"),
        ("KILL!", "kill"),
        ("sh!t!", "shit"),
        ("!diot", "idiot"),
        ("k i | |", "kill"),
        ("ⲣⲟⲣⲉ", "pope"),
    ],
)
def test_a_stroke_is_read_both_ways(text: str, entry: str) -> None:
    assert blocked_word(f"a {text} b", [entry]) == entry


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("driving down route 66 at sunset", "88"),
        ("BB-8 in the desert", "88"),
        ("white bg, a cat", "69"),
        ("summer of 89", "bg"),
        ("a 55 year old man", "SS"),
        ("a $5 bill", "ss"),
        ("455 nm laser", "ass"),
        ("dressed as a pirate", "45"),
        ("rooms 4 5 5", "ass"),
        ("11 cats", "ll"),
        ("wow! a cat", "wowi"),
        ("BAIL", "ball"),
        ("OIL PAINTING", "oll"),
        ("World War II", "ll"),
        ("I|I", "ill"),
        ("9! or 5|5", "ss"),
        ("a cat | a dog", "ai"),
        ("Ill at ease", "lil"),
    ],
)
def test_numbers_and_prices_are_no_words_and_words_no_numbers(text: str, entry: str) -> None:
    assert blocked_word(text, [entry]) is None


@pytest.mark.parametrize("text", ["1488", "a 1488 b", "1 4 8 8", "１４８８"])
def test_a_number_is_blocked_by_itself(text: str) -> None:
    assert blocked_word(text, ["1488"]) == "1488"


@pytest.mark.parametrize(
    ("text", "entry"),
    [("一个血腥的场面", "血腥"), ("ภาพเลือดสาด", "เลือด"), ("グロい絵", "グロ"), ("血 腥", "血腥")],
)
def test_writing_without_spaces_is_searched_through(text: str, entry: str) -> None:
    assert blocked_word(text, [entry]) == entry
    assert blocked_word("一只猫", [entry]) is None


def test_single_letters_that_spell_something_else_are_fine() -> None:
    assert blocked_word("plan a b c and x y z", ["gore", "ab"]) is None


def test_an_entry_of_two_words_wants_both_in_order() -> None:
    assert blocked_word("a red  Cross here", ["red cross"]) == "red cross"
    assert blocked_word("a cross red thing", ["red cross"]) is None


def test_an_entry_without_letters_blocks_nothing() -> None:
    assert blocked_word("anything --", ["--", " "]) is None


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet="abcdefgh ", min_size=1, max_size=20).filter(str.strip))
def test_a_text_is_blocked_by_itself(text: str) -> None:
    assert blocked_word(f"x {text} y", [text]) == text
