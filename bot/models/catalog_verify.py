"""Check a model on the disk: every hash that is known, and what can be seen without one."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bot.models.catalog import PICKLES, ModelError, load_catalog
from bot.models.catalog_manifest import MANIFEST, FileRecord, read_manifest
from bot.models.catalog_transfer import digest

_HEADER_LIMIT: Final = 100_000_000
"""The most bytes the safetensors format allows its header."""

Checked = Callable[["FileCheck"], None]


class State(StrEnum):
    """What a file turned out to be."""

    OK = "ok"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNKNOWN = "unknown"
    PICKLE = "pickle"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file's verdict; `detail` is a short phrase."""

    path: str
    state: State
    detail: str

    @property
    def bad(self) -> bool:
        """Whether the model must not be used like this."""
        return self.state in (State.DAMAGED, State.MISSING)


def verify(
    path: Path, *, checked: Checked = lambda _: None, extra: Path | None = None
) -> list[FileCheck]:
    """Check every file of a model's folder, or one `.safetensors` file.

    A file's SHA-256 comes from the manifest that `fetch` left, or its SHA-1 from the catalogue
    (`extra` is an operator's own); weights with neither are only checked to be whole. `checked` is
    called as each is done. Raises ModelError when there is no model at `path`.
    """
    if not path.exists():
        raise ModelError(f"There is nothing at {path}; fetch a model with `turbocord model fetch`.")
    results: list[FileCheck] = []

    def add(check: FileCheck) -> None:
        results.append(check)
        checked(check)

    if path.is_file():
        add(check_file(path, path.name, None, extra=extra))
        return results
    manifest = read_manifest(path)
    records: Mapping[str, FileRecord] = manifest.files if manifest else {}
    names = {file.relative_to(path).as_posix() for file in path.rglob("*") if _counts(file, path)}
    if not names:
        raise ModelError(f"{path} is empty; fetch a model with `turbocord model fetch`.")
    for name in sorted(names | records.keys()):
        add(check_file(path / name, name, records.get(name), extra=extra))
    for name in missing_parts(path):
        add(FileCheck(name, State.MISSING, "named in model_index.json"))
    return results


def check_file(
    file: Path, name: str, record: FileRecord | None, *, extra: Path | None = None
) -> FileCheck:
    """Check one file against its record, a published SHA-1, or its own structure."""
    if not file.is_file():
        return FileCheck(name, State.MISSING, "listed in the manifest")
    if file.suffix.lower() in PICKLES:
        return FileCheck(name, State.PICKLE, "a pickle; it is never loaded and can be deleted")
    if file.suffix == ".safetensors" and (fault := safetensors_fault(file)):
        return FileCheck(name, State.DAMAGED, fault)
    if record is not None:
        if file.stat().st_size != record.size:
            detail = f"{file.stat().st_size} bytes, expected {record.size}"
            return FileCheck(name, State.DAMAGED, detail)
        return _compare(file, name, "sha256", record.sha256)
    if (known := published_sha1(extra).get(file.name)) is not None:
        return _compare(file, name, "sha1", known)
    whole = "whole, but " if file.suffix == ".safetensors" else ""
    return FileCheck(name, State.UNKNOWN, f"{whole}no hash is known for it")


def published_sha1(extra: Path | None = None) -> dict[str, str]:
    """Return the checksums that the catalogue knows, by file name."""
    entries = load_catalog(extra).values()
    return {file: known for entry in entries for file, known in entry.sha1.items()}


def safetensors_fault(file: Path) -> str | None:
    """Return what is wrong with the file's structure, or None.

    Reads the header alone: its length in 8 bytes, then JSON whose largest `data_offsets` end tells
    the size of the rest (the safetensors format).
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(_HEADER_LIMIT, size):
                return "not a safetensors file"
            header = json.loads(stream.read(length))
        tensors = [value for name, value in header.items() if name != "__metadata__"]
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "not a safetensors file"
    expected = 8 + length + end
    if size != expected:
        return f"{size} bytes, its header says {expected}"
    return None


def missing_parts(folder: Path) -> list[str]:
    """Return the parts that model_index.json names and the folder lacks."""
    index = folder / "model_index.json"
    if not index.is_file():
        return []
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))
        named = [name for name, value in parts.items() if isinstance(value, list) and value[0]]
    except (OSError, ValueError, AttributeError, IndexError):
        return ["model_index.json"]
    lacking = [f"{name}/" for name in named if not any((folder / name).glob("*"))]
    weighted = [folder / name for name in ("unet", "vae", "text_encoder", "text_encoder_2")]
    return lacking + [
        f"{part.name}/*.safetensors"
        for part in weighted
        if part.is_dir() and any(part.iterdir()) and not any(part.glob("*.safetensors"))
    ]


def _compare(file: Path, name: str, algorithm: str, expected: str) -> FileCheck:
    found = digest(file, algorithm)
    if found == expected:
        return FileCheck(name, State.OK, f"{algorithm} {found[:12]}…")
    return FileCheck(
        name, State.DAMAGED, f"{algorithm} is {found[:12]}…, expected {expected[:12]}…"
    )


def _counts(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.suffix != ".part" and file.name != MANIFEST
