"""Style presets from TOML: a template around the member's words and a few defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bot import exit_codes
from bot.errors import StartupError
from bot.request import Style

BUILT_IN: Final = Path(__file__).with_name("styles.toml")
_FIELDS: Final = {
    "prompt": str,
    "negative_prompt": str,
    "strength": float,
    "num_inference_steps": int,
    "lora": str,
}


def load_styles(path: Path | None = None) -> Mapping[str, Style]:
    """Return the presets by name: ours, and over them those of the file at `path`.

    Raises StartupError naming the file, the style and the field that is wrong.
    """
    styles = _read(BUILT_IN)
    return styles if path is None else {**styles, **_read(path)}


def _read(path: Path) -> dict[str, Style]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartupError(
            f"The styles file {path} cannot be read: {error}", exit_code=exit_codes.CONFIG
        ) from None
    return {name.casefold(): _style(path, name.casefold(), table) for name, table in tables.items()}


def _style(path: Path, name: str, table: object) -> Style:
    if not isinstance(table, Mapping):
        raise _wrong(path, name, "is not a table")
    for field, value in table.items():
        kind = _FIELDS.get(field)
        if kind is None:
            raise _wrong(path, name, f"has an unknown field {field!r}")
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise _wrong(path, name, f"needs {kind.__name__} for {field!r}")
    if "{prompt}" not in table.get("prompt", "{prompt}"):
        raise _wrong(path, name, "has a prompt without {prompt}")
    return Style(name=name, **table)


def _wrong(path: Path, name: str, what: str) -> StartupError:
    return StartupError(f"The style {name!r} in {path} {what}", exit_code=exit_codes.CONFIG)
