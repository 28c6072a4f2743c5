"""Characters that look like Latin letters, after the idea of Unicode's confusables (UTS #39).

Every table maps one character to one small letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

MIXED_I: Final = "\ue000"
"""Stands for a capital I among small letters, where it may be an l; a private-use character."""

_BY_LETTER: Final = {
    # Letters of other alphabets, and digits and signs that people write for letters.
    "a": "αаɑ@4",
    "b": "βбвь68",
    "c": "сϲ¢",
    "d": "ԁд",
    "e": "єеҽɛε€3",
    "f": "ғ",
    "g": "ԍց9",
    "h": "һнհ",
    "i": "іιɩ",
    "j": "јϳյ",
    "k": "кκҡ",
    "l": "ӏ",
    "m": "м",
    "n": "ոпη",
    "o": "оοօσɵ0",
    "p": "рρþ",
    "q": "ԛզ",
    "r": "г",
    "s": "ѕ5$",
    "t": "тτ7",
    "u": "υսʊ",
    "v": "νѵ",
    "w": "ԝωшѡ",
    "x": "хχ×",
    "y": "уүγ",
    "z": "2",
}

_SCRIPTS: Final = {
    # Cherokee, whose case folding leads to capitals.
    "ᎠᎡᎢᎥᎦᎩᎪᎫᎬᎳᎷᎻᎽᎾᏀᏂᏃᏎᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏮᏳᏴ": "drtisyajewmhyoghzabrwsvslcpkdbgb",
    # Lisu
    "ꓐꓑꓒꓓꓔꓖꓗꓙꓚꓛꓜꓝꓟꓠꓡꓢꓣꓤꓥꓦꓧꓪꓫꓬꓮꓯꓰꓱꓲꓳꓴ": "bpddtgkjcczfmnlsrrvvhwxyaaeeiou",
}

_COPTIC: Final = "ⲁⲃⲅⲇⲉⲍⲏⲓⲕⲗⲙⲛⲟⲡⲣⲥⲧⲩⲭⲱϣϥϩ"
_COPTIC_SEEN: Final = "abrdezhiklmnonpctyxwwqh"
_COPTIC_HEARD: Final = "abgdezhiklmnoprstuxosfh"

_NAMED: Final = re.compile(
    r"LATIN (?:SMALL LETTER|LETTER SMALL CAPITAL) (?:SCRIPT |DOTLESS )?([A-Z])(?: WITH .+)?"
)
_LATIN: Final = (
    range(0x00E0, 0x02B0),
    range(0x1D00, 0x1F00),
    range(0x2C60, 0x2C80),
    range(0xA720, 0xA800),
    range(0xAB30, 0xAB70),
)


def _latin() -> Iterator[tuple[str, str]]:
    """Yield strokes, hooks and small capitals, which no normalization takes away, by name."""
    for code in (code for block in _LATIN for code in block):
        named = _NAMED.fullmatch(unicodedata.name(chr(code), ""))
        if named is not None:
            yield chr(code), named[1].lower()


def _emoji() -> Iterator[tuple[str, str]]:
    """Yield regional indicators, and negative circled and squared capitals."""
    for first in (0x1F1E6, 0x1F150, 0x1F170):
        for number in range(26):
            yield chr(first + number), chr(ord("a") + number)


LOOKALIKES: Final[Mapping[str, str]] = {
    **dict(_latin()),
    **dict(_emoji()),
    **{other: letter for letter, others in _BY_LETTER.items() for other in others},
    **{
        other: letter
        for others, letters in _SCRIPTS.items()
        for other, letter in zip(others, letters, strict=True)
    },
}

STROKES: Final = "1!|"
"""An upright stroke is an i to some and an l to others, as is a capital I among small letters."""

READINGS: Final[tuple[dict[int, str], ...]] = tuple(
    str.maketrans(
        {**LOOKALIKES, **dict(zip(_COPTIC, coptic, strict=True))}
        | dict(zip((*STROKES, MIXED_I), strokes, strict=True))
    )
    for strokes, coptic in (
        ("iiii", _COPTIC_SEEN),
        ("llll", _COPTIC_HEARD),
        ("iill", _COPTIC_SEEN),
    )
)
"""The ways to read a text, the usual one first: strokes, and Coptic by how it looks or sounds."""

SIGNS: Final = frozenset(
    one for one in (*"".join(_BY_LETTER.values()), *STROKES) if not one.isalpha()
)
"""What stands for a letter only among letters: a number or a price is no word."""
