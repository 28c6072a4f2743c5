"""The prompt of a mention: words, then flags, as `make it snow --strength .6 --seed 7`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot.errors import BadParameter, Phrase
from bot.request import SIZES, Wish

DASHES: Final = {"—": "--", "–": "--"}
"""Phones turn two hyphens into a dash."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: the Wish field it sets, how its value is read, what is allowed in words."""

    field: str
    read: Callable[[str], object]
    allowed: str


def _size(value: str) -> str:
    if value not in SIZES:
        raise ValueError(value)
    return value


FLAGS: Final[dict[str, Flag]] = {
    "strength": Flag("strength", float, "0.01 – 1"),
    "steps": Flag("num_inference_steps", int, "1, 2, 3 …"),
    "seed": Flag("seed", int, "0, 1, 2 …"),
    "count": Flag("count", int, "1 – 4"),
    "guidance": Flag("guidance_scale", float, "0 – 10"),
    "size": Flag("size", _size, ", ".join(SIZES)),
    "style": Flag("style", str, "/styles"),
    "model": Flag("model", str, "/status"),
    "no": Flag("negative_prompt", str, Phrase("flag.words")),
}


def parse_prompt(text: str) -> Wish:
    """Return the wish in a mention's text, without sources.

    A flag's value is one word, or several in double quotes; `--name=value` works too. Raises
    BadParameter naming the flag when it is unknown (with the nearest known one), has no value or
    a value that cannot be read.
    """
    words: list[str] = []
    values: dict[str, object] = {}
    tokens = _tokens(text)
    while tokens:
        token = tokens.pop(0)
        name = _flag_name(token)
        if name is None:
            words.append(token)
            continue
        name, given, value = name.partition("=")
        flag = FLAGS.get(name)
        if flag is None:
            near = difflib.get_close_matches(name, FLAGS, n=1)
            raise BadParameter(
                "unknown_flag_near" if near else "unknown_flag",
                name=f"--{name}",
                near=f"--{near[0]}" if near else "",
                allowed=", ".join(f"--{known}" for known in FLAGS),
            )
        if not given:
            if not tokens or _flag_name(tokens[0]) is not None:
                raise BadParameter("flag_without_value", name=f"--{name}", allowed=flag.allowed)
            value = tokens.pop(0)
        try:
            values[flag.field] = flag.read(value)
        except ValueError:
            raise BadParameter(name=f"--{name}", value=value[:40], allowed=flag.allowed) from None
    return Wish(prompt=" ".join(words), **values)  # type: ignore[arg-type]  # read by each flag


def _flag_name(token: str) -> str | None:
    """Return the name in a flag token, or None for a word."""
    for dash, hyphens in DASHES.items():
        if token.startswith(dash):
            token = hyphens + token[len(dash) :]
    if token.startswith("--") and len(token) > 2 and token[2].isalpha():
        return token[2:].lower()
    return None


def _tokens(text: str) -> list[str]:
    """Split at white space; double quotes keep a flag's words together and then go away.

    Quotes around ordinary words stay: they may be part of the prompt.
    """
    tokens: list[str] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        if text[position] == '"' and tokens and _flag_name(tokens[-1]) is not None:
            end = text.find('"', position + 1)
            if end > 0:
                tokens.append(text[position + 1 : end])
                position = end + 1
                continue
        end = position
        while end < len(text) and not text[end].isspace():
            end += 1
        tokens.append(text[position:end])
        position = end
    return tokens
