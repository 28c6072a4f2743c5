"""What was fetched into a model's folder, written there as `turbocord.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from bot.models.catalog import ModelError

MANIFEST: Final = "turbocord.json"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file's size in bytes and SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a folder's files came from; `repos` maps repository to commit."""

    name: str
    source: str
    licence: str
    variants: tuple[str, ...]
    repos: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def merged(self, newer: Manifest) -> Manifest:
        """Return `newer` together with what it does not replace of this one."""
        return replace(
            newer,
            variants=tuple(dict.fromkeys((*self.variants, *newer.variants))),
            repos={**self.repos, **newer.repos},
            files={**self.files, **newer.files},
        )


def read_manifest(folder: Path) -> Manifest | None:
    """Return the folder's manifest, or None without one. Raises ModelError if it is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("written by another version")
        files = {name: FileRecord(**record) for name, record in values.pop("files").items()}
        return Manifest(variants=tuple(values.pop("variants")), files=files, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); delete it and run `turbocord model fetch` again, "
            "which keeps the files that are whole."
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the folder's manifest, whole or not at all."""
    scratch = folder / f"{MANIFEST}.new"
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2, sort_keys=True)
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(folder / MANIFEST)
