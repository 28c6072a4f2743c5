"""Style presets from TOML: a template around the member's words and a few defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bot import exit_codes
from bot.errors import StartupError
from bot.models.catalog_verify import safetensors_fault
from bot.request import Style

BUILT_IN: Final = Path(__file__).with_name("styles.toml")
_FIELDS: Final = {
    "prompt": str,
    "negative_prompt": str,
    "strength": float,
    "num_inference_steps": int,
    "lora": str,
    "lora_weight": float,
}

MAX_WEIGHT: Final = 4.0
"""The most of a LoRA that can be added or taken away; beyond 1 or 2 pictures fall apart."""


def load_styles(
    path: Path | None = None, *, loras: Path | None = None, find_loras: bool = True
) -> Mapping[str, Style]:
    """Return the presets by name: ours, and over them those of the file at `path`.

    A LoRA's relative path starts from the folder `loras`, or else from the styles file's. With
    `find_loras` each must be there; without, it may be on another machine alone. Raises
    StartupError naming the file, the style and the field that is wrong.
    """
    styles = _read(BUILT_IN, loras)
    if path is not None:
        styles |= _read(path, loras)
    if find_loras and path is not None:
        for style in styles.values():
            if style.lora and (fault := lora_fault(style.lora)):
                raise _wrong(path, style.name, f"names the LoRA {style.lora}, which is {fault}")
    return styles


def lora_fault(lora: str) -> str | None:
    """Return what is wrong with a LoRA's file as far as its header tells, or None."""
    file = Path(lora)
    if file.suffix != ".safetensors":
        return "not a .safetensors file"
    return safetensors_fault(file) if file.is_file() else "not there"


def _read(path: Path, loras: Path | None) -> dict[str, Style]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartupError(
            f"The styles file {path} cannot be read: {error}", exit_code=exit_codes.CONFIG
        ) from None
    folder = (loras or path.parent).absolute()
    return {
        name.casefold(): _style(path, name.casefold(), table, folder)
        for name, table in tables.items()
    }


def _style(path: Path, name: str, table: object, folder: Path) -> Style:
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
    values = dict(table)
    if "lora" in values:
        values["lora"] = str(folder / Path(values["lora"]).expanduser())
    elif "lora_weight" in values:
        raise _wrong(path, name, "has a lora_weight without a lora")
    if not abs(values.get("lora_weight", 1.0)) <= MAX_WEIGHT:
        raise _wrong(path, name, f"needs a lora_weight from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}")
    return Style(name=name, **values)


def _wrong(path: Path, name: str, what: str) -> StartupError:
    return StartupError(f"The style {name!r} in {path} {what}", exit_code=exit_codes.CONFIG)
