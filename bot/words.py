"""Message catalogues: every sentence a member can read, by key and language.

The catalogues are the TOML files in `bot/locales`, one per language, named by Discord's locale
code. English is complete; another language falls back to it key by key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

DEFAULT_LOCALE: Final = "en"
LOCALES_DIR: Final = Path(__file__).parent / "locales"


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
    return template.format(**details)


def steps_text(steps: int, *, locale: str) -> str:
    """Return a number of steps in words."""
    return say(locale, "result.one_step" if steps == 1 else "result.steps", steps=steps)


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
