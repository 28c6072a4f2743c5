"""The picture check's files: found and looked over without loading them, and without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot import exit_codes
from bot.errors import StartupError
from bot.models.catalog_verify import safetensors_fault

ARCHITECTURE: Final = "StableDiffusionSafetyChecker"

WEIGHTS: Final = ("model.safetensors", "model.fp16.safetensors")
"""The files the weights may be in, best first."""

OPENAI_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
OPENAI_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class SafetyFiles:
    """Where the checker lies and how CLIP wants its pictures: mean and deviation per channel."""

    folder: Path
    weights: Path
    mean: tuple[float, ...] = OPENAI_CLIP_MEAN
    std: tuple[float, ...] = OPENAI_CLIP_STD

    @property
    def variant(self) -> str | None:
        """The `variant` by which diffusers and transformers call this file of weights."""
        return "fp16" if self.weights.name == WEIGHTS[1] else None


def find_safety_files(path: Path) -> SafetyFiles:
    """Return what there is at `path`: the checker's own folder, or a pipeline's that holds it.

    In a pipeline's folder it is `safety_checker`, with `feature_extractor` beside it. Raises
    StartupError naming what is missing.
    """
    given = path.expanduser()
    folder = given / "safety_checker" if (given / "safety_checker").is_dir() else given
    config = _read_json(folder / "config.json")
    if ARCHITECTURE not in (config.get("architectures") or ()):
        raise _unusable(folder, f"its config.json is not a {ARCHITECTURE}'s")
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise _unusable(folder, f"no {WEIGHTS[0]} in it, and other kinds of weights are not loaded")
    if fault := safetensors_fault(weights):
        raise _unusable(folder, f"{weights.name} is {fault}")
    for place in (folder, given / "feature_extractor"):
        if (place / "preprocessor_config.json").is_file():
            wanted = _read_json(place / "preprocessor_config.json")
            return SafetyFiles(
                folder,
                weights,
                mean=tuple(wanted.get("image_mean") or OPENAI_CLIP_MEAN),
                std=tuple(wanted.get("image_std") or OPENAI_CLIP_STD),
            )
    return SafetyFiles(folder, weights)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _unusable(path.parent, f"no {path.name} in it") from None
    except (OSError, ValueError) as error:
        raise _unusable(path.parent, f"{path.name} cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise _unusable(path.parent, f"{path.name} is not a table")
    return read


def _unusable(folder: Path, why: str) -> StartupError:
    return StartupError(
        f"The picture check at {folder} cannot be used: {why}. TURBOCORD_SAFETY_CHECKER names a "
        f"folder with a {ARCHITECTURE} (config.json, {WEIGHTS[0]}).",
        exit_code=exit_codes.MODEL,
    )
