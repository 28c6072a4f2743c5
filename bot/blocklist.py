"""Words a guild does not want drawn: whole words, whatever alphabet they hide in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_LOOKALIKES: Final = {
    # Letters of other alphabets, small capitals and strokes that look Latin, after Unicode's
    # confusables (UTS #39); digits and signs that people write for letters.
    "a": "αаɑᴀ@4",
    "b": "βбвьʙ68",
    "c": "сϲᴄ¢",
    "d": "ԁдɗđᴅ",
    "e": "еєεҽɛᴇ3€",
    "f": "ғſꜰ",
    "g": "ɡɢԍց9",
    "h": "һнհʜ",
    "i": "іιıɩɪ1",
    "j": "јϳյᴊ",
    "k": "кκҡᴋ",
    "l": "ӏłʟⅼ",
    "m": "мᴍ",
    "n": "ոпηɴ",
    "o": "оοօøσɵᴏ0",
    "p": "рρþᴘ",
    "q": "ԛզ",
    "r": "гɍʀ",
    "s": "ѕʂꜱ5$",
    "t": "тτŧᴛ7",
    "u": "υսυʊᴜ",
    "v": "νѵᴠ",
    "w": "ԝωшѡᴡ",
    "x": "хχ×",
    "y": "уүγʏ",
    "z": "ʐᴢ2",
}
_FOLDED: Final = str.maketrans(
    {other: letter for letter, others in _LOOKALIKES.items() for other in others}
    # Emoji that are letters: regional indicators, and negative circled and squared capitals.
    | {
        chr(first + number): chr(ord("a") + number)
        for first in (0x1F1E6, 0x1F150, 0x1F170)
        for number in range(26)
    }
)
_ONE_AS_L: Final = str.maketrans("1", "l")

_INVISIBLE: Final = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)]
)
"""What shows as nothing though Unicode calls it no format character: joiners, fillers, variants."""

_WORD: Final = re.compile(r"[^\W_]+")

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
    return _seen(text).translate(_FOLDED)


def _seen(text: str) -> str:
    flat = unicodedata.normalize("NFKD", text.casefold()).casefold()
    return "".join(character for character in flat if not _is_mark(character))


def _is_mark(character: str) -> bool:
    """Return whether a character only changes its neighbours, or nothing that is seen."""
    code = ord(character)
    return bool(
        unicodedata.combining(character)
        or unicodedata.category(character) in ("Cf", "Me")
        or code in _INVISIBLE
        or 0xE0100 <= code <= 0xE01EF
    )


def words_of(text: str) -> list[str]:
    """Return the folded words of `text`."""
    return _WORD.findall(fold(text))


def _spelled_out(words: Iterable[str]) -> str:
    """Return what single letters in a row spell, as `g o r e` does; a space between the runs."""
    return "".join(word if len(word) == 1 else " " for word in words)


@lru_cache(maxsize=4096)
def _folded_entry(entry: str) -> tuple[str, ...]:
    """Return the folded words of a blocklist's entry, which is asked for at every request."""
    return tuple(words_of(entry))


def blocked_word(text: str, blocklist: Iterable[str]) -> str | None:
    """Return the first entry of `blocklist` that stands in `text` as whole words, or None.

    An entry of several words matches them in that order with nothing between. One of three letters
    or more is also found where it is spelled out, and one in writing that puts no spaces between
    words wherever it stands.
    """
    # A one is an i to some and an l to others.
    readings = [words_of(text), words_of(_seen(text).translate(_ONE_AS_L))]
    for entry in blocklist:
        wanted = _folded_entry(entry)
        phrase, letters = " ".join(wanted), "".join(wanted)
        for words in readings:
            if not letters:
                continue
            if f" {phrase} " in f" {' '.join(words)} ":
                return entry
            if len(letters) > 2 and letters in _spelled_out(words):
                return entry
            if _UNSPACED.search(letters) and letters in "".join(words):
                return entry
    return None
