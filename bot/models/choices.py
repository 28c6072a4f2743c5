"""The models that members can choose between, and what each is made for. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bot import exit_codes
from bot.errors import StartupError
from bot.imaging.metadata_fields import model_name
from bot.models.catalog import Entry, entry_of, installed_path, load_catalog
from bot.request import ModelChoice

MOST: Final = 25
"""Choices that Discord shows for one option."""


def model_choices(
    first: str,
    further: Sequence[str] = (),
    *,
    root: Path | None = None,
    extra: Path | None = None,
) -> Mapping[str, ModelChoice]:
    """Return the models of TURBOCORD_MODEL and TURBOCORD_MODELS by name, the first one first.

    `root` is where fetched models are kept, `extra` an operator's own catalogue. Raises
    StartupError when two have one name, there are more than Discord can show, or the catalogue
    cannot be read.
    """
    choices: dict[str, ModelChoice] = {}
    for source in (first, *further):
        choice = _choice(source, is_first=not choices, root=root, extra=extra)
        if choice.name in choices:
            raise StartupError(
                f"TURBOCORD_MODELS: both {choices[choice.name].source} and {source} would be "
                f"called {choice.name}; members choose by name, so rename one.",
                exit_code=exit_codes.CONFIG,
            )
        choices[choice.name] = choice
    if len(choices) > MOST:
        raise StartupError(
            f"TURBOCORD_MODELS has {len(choices)} models with the first; Discord shows {MOST}.",
            exit_code=exit_codes.CONFIG,
        )
    return choices


def _choice(source: str, *, is_first: bool, root: Path | None, extra: Path | None) -> ModelChoice:
    name = model_name(source) or source
    path = installed_path(source, root, extra=extra) or Path(source).expanduser()
    entry = load_catalog(extra).get(source) or entry_of(path, extra=extra)
    return ModelChoice(
        name=name,
        source=source,
        key="" if is_first else name,
        steps=entry.steps if entry else None,
        max_steps=entry.max_steps if entry else None,
        guidance=entry.guidance if entry else None,
        size=_size(entry, path),
    )


def _size(entry: Entry | None, folder: Path) -> int | None:
    """Return the side in pixels that a model is made for: the catalogue's word, or the folder's."""
    if entry is not None:
        return entry.size
    latent = _read(folder / "unet" / "config.json").get("sample_size")
    halvings = _read(folder / "vae" / "config.json").get("block_out_channels")
    if not isinstance(latent, int) or not isinstance(halvings, list):
        return None
    return latent * int(2 ** (len(halvings) - 1))


def _read(path: Path) -> Mapping[str, Any]:
    """Return a configuration; an empty one where there is none, for loading will tell of it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
