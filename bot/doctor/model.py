"""The model's files, as far as can be told without loading or hashing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.doctor.check import Check, fail, ok, warn
from bot.models.catalog import ModelError, installed_path, load_catalog, models_root
from bot.models.catalog_fetch import human_bytes
from bot.models.catalog_manifest import read_manifest
from bot.models.catalog_verify import missing_parts, safetensors_fault
from bot.models.single_file import configuration_advice, find_configuration

STARTER: Final = Path(__file__).parents[1] / "models" / "starter" / "weights"
_PARTS: Final = ("unet", "vae", "text_encoder", "text_encoder_2")


@dataclass(frozen=True, slots=True)
class Weights:
    """The size in bytes of what would be loaded: on the disk, in fp16 and in fp32.

    `waiting` is what further models may take of the host's memory besides.
    """

    on_disk: int = 0
    half: int = 0
    full: int = 0
    on_cpu: bool = False
    waiting: int = 0


def together(models: Sequence[Weights], *, waiting_bytes: int) -> Weights:
    """Return what several models take of which one is loaded and others wait."""
    sizes = [each.full if each.on_cpu else each.half for each in models]
    return Weights(
        on_disk=max(each.on_disk for each in models),
        half=max(each.half for each in models),
        full=max(each.full for each in models),
        on_cpu=models[0].on_cpu,
        waiting=min(waiting_bytes, sum(sizes) - min(sizes)),
    )


def check_model(
    name: str, *, root: Path | None = None, extra: Path | None = None, on_cpu: bool = False
) -> tuple[Check, Weights]:
    """Check that the model `name` (as in TURBOCORD_MODEL) is there and looks whole.

    `root` is where fetched models are kept, `extra` an operator's own catalogue.
    """
    try:
        known = name in load_catalog(extra)
    except ModelError as error:
        return fail("Model", str(error), "Mend the file, or change TURBOCORD_CATALOG."), Weights()
    if name == "tiny":
        return ok("Model", "tiny: random weights, built when needed"), Weights()
    if name == "starter" and not (STARTER / "model_index.json").is_file():
        advice = "Name another model in TURBOCORD_MODEL, or install a release with the weights."
        return warn("Model", "the starter's weights are not installed", advice), Weights()
    try:
        path = STARTER if name == "starter" else installed_path(name, root, extra=extra)
        if path is None:
            if known:
                where = (root or models_root()).absolute()
                advice = f"Fetch it: turbocord model fetch {name}"
                return fail("Model", f"{name} is not in {where}", advice), Weights()
            path = Path(name).expanduser()
        manifest = read_manifest(path)
    except ModelError as error:
        return fail("Model", str(error), "See the sentence itself."), Weights()
    files = _loaded(path)
    weights = _weights(files, on_cpu=on_cpu)
    if fault := _fault(path, files):
        return fail("Model", f"{path}: {fault}", "turbocord model verify tells more."), weights
    if path.is_file() and find_configuration(path) is None:
        lacking = "no configuration or tokenizers, here or in the local Hugging Face cache"
        return fail("Model", f"{path}: {lacking}", configuration_advice(path)), weights
    origin = f", fetched from {manifest.source}" if manifest else ""
    return ok("Model", f"{path}, {human_bytes(weights.on_disk)}{origin}"), weights


def _fault(path: Path, files: list[Path]) -> str:
    """Return the first thing that is wrong, or an empty text."""
    if not path.exists():
        return "there is nothing"
    if path.is_dir() and not (path / "model_index.json").is_file():
        return "no model_index.json, so not a folder in the sdxl-turbo layout"
    if path.is_file() and path.suffix != ".safetensors":
        return "not a .safetensors file"
    if lacking := missing_parts(path):
        return f"{', '.join(lacking)} missing"
    return next((f"{file.name} is {bad}" for file in files if (bad := safetensors_fault(file))), "")


def _loaded(path: Path) -> list[Path]:
    """Return the weights that loading would read: the half-precision ones where there are any."""
    if path.is_file():
        return [path] if path.suffix == ".safetensors" else []
    files: list[Path] = []
    for part in _PARTS:
        found = sorted((path / part).glob("*.safetensors"))
        files += [file for file in found if _is_half(file)] or found
    return files


def _weights(files: list[Path], *, on_cpu: bool) -> Weights:
    sizes = [(file.stat().st_size, _is_half(file)) for file in files]
    return Weights(
        on_disk=sum(size for size, _ in sizes),
        half=sum(size if half else size // 2 for size, half in sizes),
        full=sum(size * 2 if half else size for size, half in sizes),
        on_cpu=on_cpu,
    )


def _is_half(file: Path) -> bool:
    return "fp16" in file.name
