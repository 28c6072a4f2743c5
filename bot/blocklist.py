"""Words a guild does not want drawn: whole words, whatever alphabet they hide in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_LOOKALIKES: Final = str.maketrans(
    # Cyrillic and Greek letters that look Latin, and the digits people write for letters.
    "абвгдеѕіјкӏмнопрстухԁԛԝүһαβεικνορτυχω013457$@",
    "abbrdesijklmhonpctyxdqwyhabeikvoptuxwoieastsa",
)
_WORD: Final = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """Return `text` as it looks to a reader: no case, no accents, no look-alike letters.

    Compatibility forms (full width, circled, mathematical) are taken apart first, as Unicode's
    normalization form KD does; invisible characters go away.
    """
    flat = unicodedata.normalize("NFKD", text.casefold())
    seen = "".join(
        character
        for character in flat
        if not unicodedata.combining(character) and unicodedata.category(character) != "Cf"
    )
    return seen.translate(_LOOKALIKES)


def words_of(text: str) -> list[str]:
    """Return the folded words of `text`."""
    return _WORD.findall(fold(text))


def blocked_word(text: str, blocklist: Iterable[str]) -> str | None:
    """Return the first entry of `blocklist` that stands in `text` as whole words, or None.

    An entry of several words matches them in that order with nothing between.
    """
    words = f" {' '.join(words_of(text))} "
    for entry in blocklist:
        wanted = " ".join(words_of(entry))
        if wanted and f" {wanted} " in words:
            return entry
    return None
