"""What a checkpoint in one file lacks: configuration and tokenizers. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from bot.models.catalog import CONFIGURATION

BASE: Final = "stabilityai/stable-diffusion-xl-base-1.0"
"""The repository whose configuration and tokenizers fit every SDXL checkpoint."""


def find_configuration(file: Path) -> Path | None:
    """Return the folder with what the checkpoint `file` lacks, or None.

    It is a folder of the file's name beside it, the one it lies in, or else SDXL's own in the local
    Hugging Face cache. The network is never asked.
    """
    folders = (file.with_suffix(""), file.parent)
    found = next((each for each in folders if (each / "model_index.json").is_file()), None)
    return found or _cached()


def configuration_advice(file: Path) -> str:
    """Return what to do where `find_configuration` finds nothing."""
    return (
        f"Put the configuration of an SDXL folder beside it, as {file.with_suffix('')}, or bring "
        f"SDXL's own into the cache: hf download {BASE} --include '*.json' --include '*.txt'"
    )


def _cached() -> Path | None:
    try:
        folder = snapshot_download(BASE, allow_patterns=list(CONFIGURATION), local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    # Other programs may have brought some files of the repository without its index.
    return Path(folder) if (Path(folder) / "model_index.json").is_file() else None
