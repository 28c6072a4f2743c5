"""Message catalogues: every sentence a member can read, by key and language.

The catalogues are the TOML files in `bot/locales`, one per language, named by Discord's locale
code. English is complete; another language falls back to it key by key. A word that bends with a
number is written `{count:picture|pictures}`, singular first; a language without plurals leaves it
out.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from bot.errors import Phrase

DEFAULT_LOCALE: Final = "en"
LOCALES_DIR: Final = Path(__file__).parent / "locales"


class _Sentences(string.Formatter):
    """Fills in details, and chooses between singular and plural by them."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        one, bends, other = format_spec.partition("|")
        if not bends:
            return super().format_field(value, format_spec)
        return one if value == 1 else other


_SENTENCES: Final = _Sentences()


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


@cache
def catalogue(locale: str) -> Mapping[str, str]:
    """Return the flat catalogue of one language, empty when we do not have it."""
    path = LOCALES_DIR / f"{locale}.toml"
    if locale not in languages():
        return {}
    return dict(_flatten(tomllib.loads(path.read_text(encoding="utf-8"))))


@cache
def languages() -> tuple[str, ...]:
    """Return the locale codes we have catalogues for."""
    return tuple(sorted(path.stem for path in LOCALES_DIR.glob("*.toml")))


def best_locale(locale: str) -> str:
    """Return the catalogue to use for one of Discord's locale codes (`en-GB` reads `en`)."""
    if locale in languages():
        return locale
    language = locale.split("-", 1)[0]
    return language if language in languages() else DEFAULT_LOCALE


def has(key: str) -> bool:
    """Return whether the complete catalogue has a sentence for `key`."""
    return key in catalogue(DEFAULT_LOCALE)


def say(locale: str, key: str, **details: object) -> str:
    """Return the sentence `key` in the reader's language, filled with `details`.

    Raises KeyError for a key that English does not have: a sentence is never silently empty.
    """
    template = catalogue(best_locale(locale)).get(key) or catalogue(DEFAULT_LOCALE)[key]
    said = {
        name: say(locale, value) if isinstance(value, Phrase) else value
        for name, value in details.items()
    }
    return _SENTENCES.vformat(template, (), said)


def steps_text(steps: int, *, locale: str) -> str:
    """Return a number of steps in words."""
    return say(locale, "result.steps", steps=steps)


STRENGTH_LENGTH = 6
"""Most characters in which a strength is typed; Discord refuses a form filled in with more."""


def strength_text(strength: float) -> str:
    """Return a strength as a form is filled in with it, in no more than STRENGTH_LENGTH."""
    return f"{max(round(strength, 3), 0.001):g}"


def span_text(seconds: int, *, locale: str) -> str:
    """Return a length of time in the largest unit of which there are at least two, all whole."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0 and seconds >= 2 * size:
            return say(locale, f"span.{unit}", n=seconds // size)
    return say(locale, "span.seconds", n=seconds)
