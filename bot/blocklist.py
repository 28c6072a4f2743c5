"""Words a guild does not want drawn: whole words, whatever alphabet they hide in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from bot.confusables import MIXED_I, READINGS, SIGNS

_INVISIBLE: Final = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)]
)
"""What shows as nothing though Unicode calls it no format character: joiners, fillers, variants."""

_WORD: Final = re.compile(r"[^\W_]+")

_WRITTEN: Final = re.compile(r"[\w!|@$]+")
"""A word as it was typed, signs for letters included."""

_SEPARATORS: Final = str.maketrans("!|", "  ")
_ENDS: Final = re.compile(r"!(?![\w|])")
"""Exclamation marks that end a word and are no letter of it."""

_UNSPACED: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
"""Writing without spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer."""


def fold(text: str) -> str:
    """Return `text` as it looks to a reader: no case, no accents, no look-alike letters.

    Compatibility forms (full width, circled, mathematical) are taken apart first, as Unicode's
    normalization form KD does; invisible characters go away.
    """
    return _seen(text).translate(READINGS[0])


def _seen(text: str) -> str:
    """Return `text` in small letters without accents, where capitals no longer tell anything."""
    capitals = _WRITTEN.sub(_mark_i, _without_marks(text))
    return _without_marks(unicodedata.normalize("NFKD", capitals.casefold()).casefold())


def _without_marks(text: str) -> str:
    flat = unicodedata.normalize("NFKD", text)
    return "".join(character for character in flat if not _is_mark(character))


def _mark_i(word: re.Match[str]) -> str:
    """Mark a capital I among small letters; in a word all in capitals it is an I."""
    mixed = "I" in word[0] and any(character.islower() for character in word[0])
    return word[0].replace("I", MIXED_I) if mixed else word[0]


def _is_mark(character: str) -> bool:
    """Return whether a character only changes its neighbours, or nothing that is seen."""
    code = ord(character)
    return bool(
        unicodedata.combining(character)
        or unicodedata.category(character) in ("Cf", "Me")
        or code in _INVISIBLE
        or 0xE0100 <= code <= 0xE01EF
    )


class _Word(NamedTuple):
    """A word as it is seen, and folded."""

    seen: str
    folded: str

    @property
    def is_number(self) -> bool:
        """Whether no letter is in it, only what could stand for one."""
        return SIGNS.issuperset(self.seen)

    def __str__(self) -> str:
        return self.seen if self.is_number else self.folded


def _words(seen: str, folding: Mapping[int, str]) -> list[_Word]:
    # One character folds to one, so that a word stands in both at the same place.
    found = _WORD.finditer(seen.translate(folding))
    return [_Word(seen[one.start() : one.end()], one.group()) for one in found]


def _spelled_out(words: Iterable[_Word]) -> str:
    """Return what single letters in a row spell, as `g o r e` does; a space between the runs."""
    runs: list[str] = []
    for single, run in groupby(words, key=lambda word: len(word.folded) == 1):
        letters = list(run)
        numbers = all(word.is_number for word in letters)
        runs.append("".join(word.seen if numbers else word.folded for word in letters))
        if not single:
            runs[-1] = " "
    return "".join(runs)


@lru_cache(maxsize=4096)
def _entry(entry: str) -> tuple[str, ...]:
    """Return the words of a blocklist's entry, which is asked for at every request."""
    return tuple(map(str, _words(_ENDS.sub(" ", _seen(entry)), READINGS[0])))


def blocked_word(text: str, blocklist: Iterable[str]) -> str | None:
    """Return the first entry of `blocklist` that stands in `text` as whole words, or None.

    An entry of several words matches them in that order with nothing between. One of three letters
    or more is also found where it is spelled out, and one in writing that puts no spaces between
    words wherever it stands. Digits and signs stand for letters where there is a letter among them;
    without one they are a number, which only an entry of the same number blocks. `!` and `|` are
    read both ways, as letters and between words.
    """
    readings = _readings(_seen(text))
    for entry in blocklist:
        wanted = _entry(entry)
        if wanted and any(reading.has(wanted) for reading in readings):
            return entry
    return None


def _readings(seen: str) -> list[_Reading]:
    """Return every different way in which a text can be read: most have one."""
    ways = {
        cut.translate(folding): (cut, folding)
        for folding in reversed(READINGS)
        for cut in (_ENDS.sub(" ", seen), seen.translate(_SEPARATORS))
    }
    return [_Reading.of(_words(cut, folding)) for cut, folding in ways.values()]


class _Reading(NamedTuple):
    """A text as one looks for words in it: with spaces, single letters joined, and without."""

    spaced: str
    spelled: str
    joined: str

    @classmethod
    def of(cls, words: list[_Word]) -> _Reading:
        told = [str(word) for word in words]
        return cls(f" {' '.join(told)} ", _spelled_out(words), "".join(told))

    def has(self, wanted: tuple[str, ...]) -> bool:
        """Return whether the words of an entry stand in the text."""
        if f" {' '.join(wanted)} " in self.spaced:
            return True
        letters = "".join(wanted)
        if len(letters) > 2 and letters in self.spelled:
            return True
        return bool(_UNSPACED.search(letters)) and letters in self.joined
