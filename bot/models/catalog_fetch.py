"""Fetch a model of the catalogue: plan, check the disk, bring the files, write the manifest."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from bot import exit_codes
from bot.models.catalog import PICKLES, Entry, ModelError, Part, Source, find, models_root
from bot.models.catalog_hubs import HubFile, Listing, list_files
from bot.models.catalog_manifest import FileRecord, Manifest, read_manifest, write_manifest
from bot.models.catalog_transfer import digest, matches, part_of, transfer

log = logging.getLogger(__name__)

MARGIN: Final = 64 << 20
"""Bytes that must stay free after the last file."""
SCHEDULER: Final = "scheduler/scheduler_config.json"
_HARMLESS: Final = frozenset({".safetensors", ".json", ".txt", ".md"})


class Progress(Protocol):
    """Told about each file: how many of its `size` bytes are on the disk."""

    def __call__(self, path: str, done: int, size: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Download:
    """One file on its way: where it lies in the repository and where it goes.

    `have` bytes of it are here; `done` says that they are the target, and what the hub lists. A
    part that is all here has yet to be checked.
    """

    file: HubFile
    target: Path
    have: int
    done: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one fetch will do; sizes in bytes."""

    entry: Entry
    variant: str
    source: Source
    folder: Path
    downloads: tuple[Download, ...]
    repos: dict[str, str]

    @property
    def model(self) -> Path:
        """What TURBOCORD_MODEL must name to draw with it: the folder, or the one file."""
        singles = {self.folder / file for file in self.entry.singles}
        return next((each.target for each in self.downloads if each.target in singles), self.folder)

    @property
    def size(self) -> int:
        """The size of all wanted files."""
        return sum(download.file.size for download in self.downloads)

    @property
    def missing(self) -> int:
        """What is still to be brought."""
        return sum(download.file.size - download.have for download in self.downloads)


def fetch(
    name: str,
    *,
    source: Source = "huggingface",
    variant: str | None = None,
    target: Path | None = None,
    progress: Progress = lambda path, done, size: None,
    endpoint: str | None = None,
    extra: Path | None = None,
) -> Path:
    """Bring the catalogue's `name` to `target/<its folder>` and return that folder.

    Blocks until done. Files that are there and whole are kept, unfinished ones resumed. Raises
    ModelError, saying what to do, when anything stands in the way.
    """
    plan = plan_fetch(
        name, source=source, variant=variant, target=target, endpoint=endpoint, extra=extra
    )
    return carry_out(plan, progress=progress)


def plan_fetch(
    name: str,
    *,
    source: Source = "huggingface",
    variant: str | None = None,
    target: Path | None = None,
    endpoint: str | None = None,
    extra: Path | None = None,
) -> Plan:
    """Ask the hub what there is and compare it with the disk; fetch nothing yet."""
    entry = find(name, extra=extra)
    variant = variant or entry.default_variant
    if variant not in entry.variants:
        raise ModelError(
            f"{name} has no variant {variant!r}; it has {', '.join(entry.variants)}.",
            exit_code=exit_codes.CONFIG,
        )
    folder = (target or models_root()) / entry.folder
    downloads: dict[Path, Download] = {}
    repos: dict[str, str] = {}
    for part in entry.parts:
        if source not in part.repos:
            raise ModelError(f"{name} is not on {source}; take the other hub with --from.")
        listing = list_files(source, part.repos[source], part.revision, endpoint=endpoint)
        repos[listing.repo] = listing.revision
        for file in select(listing, part, variant, source=source):
            path = folder / entry.place(part, variant, file.path)
            downloads[path] = _compare(file, path)
    return Plan(entry, variant, source, folder, tuple(downloads.values()), repos)


def select(listing: Listing, part: Part, variant: str, *, source: Source) -> list[HubFile]:
    """Return the files that `part` wants, each once.

    Raises ModelError when one is not there, in other words when there is only a pickle of it.
    """
    chosen: dict[str, HubFile] = {}
    for pattern in part.wanted(variant):
        found = _matching(listing.files, pattern)
        if not found:
            raise _absent(listing, pattern, source)
        chosen.update((file.path, file) for file in found)
    for pattern in part.optional:
        chosen.update((file.path, file) for file in _matching(listing.files, pattern))
    return list(chosen.values())


def carry_out(
    plan: Plan, *, progress: Progress = lambda path, done, size: None, pause_s: float = 1.0
) -> Path:
    """Bring what `plan` misses, small files first, and write the manifest.

    Raises ModelError before the first byte when the disk has no room for all of them.
    """
    _check_room(plan)
    # Small files first, and the index last: a folder that has it counts as installed.
    index = plan.folder / "model_index.json"
    for download in sorted(plan.downloads, key=lambda each: (each.target == index, each.file.size)):
        file = download.file
        report = _reporter(progress, file)
        if download.done:
            report(file.size)
            continue
        report(download.have)
        transfer(file, download.target, received=report, pause_s=pause_s)
    _write_noise_schedule(plan.entry, plan.folder)
    fetched = _manifest(plan)
    earlier = read_manifest(plan.folder)
    write_manifest(plan.folder, earlier.merged(fetched) if earlier else fetched)
    log.info(
        "Fetched %s (%s) from %s into %s", plan.entry.name, plan.variant, plan.source, plan.folder
    )
    return plan.folder


def human_bytes(count: float) -> str:
    """Return `count` bytes in decimal units, as hubs and disks are sold."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def free_bytes(folder: Path) -> int:
    """Return the free space where `folder` is or will be."""
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    return shutil.disk_usage(existing).free


def _manifest(plan: Plan) -> Manifest:
    return Manifest(
        name=plan.entry.name,
        source=plan.source,
        licence=plan.entry.licence,
        variants=(plan.variant,),
        repos=plan.repos,
        files={
            download.target.relative_to(plan.folder).as_posix(): _record(download)
            for download in plan.downloads
        },
    )


def _record(download: Download) -> FileRecord:
    # Weights were just compared with the hub's hash; the small files may have been rewritten here.
    known = download.file.sha256 if download.target.suffix == ".safetensors" else None
    return FileRecord(
        size=download.target.stat().st_size, sha256=known or digest(download.target, "sha256")
    )


def _check_room(plan: Plan) -> None:
    free = free_bytes(plan.folder)
    short = plan.missing + MARGIN - free if plan.missing else 0
    if short > 0:
        raise ModelError(
            f"{plan.folder.absolute()} has {human_bytes(free)} free, but {plan.entry.name} needs "
            f"{human_bytes(plan.missing)} more and {human_bytes(MARGIN)} to spare; free "
            f"{human_bytes(short)} or choose another folder with --into."
        )


def _compare(file: HubFile, target: Path) -> Download:
    """Return what is to be done about `file`, by what is on the disk."""
    if matches(target, file):
        return Download(file, target, file.size, done=True)
    part = part_of(file, target)
    have = min(part.stat().st_size, file.size) if part.is_file() else 0
    return Download(file, target, have, done=False)


def _matching(files: Iterable[HubFile], pattern: str) -> list[HubFile]:
    return [
        file
        for file in files
        if fnmatchcase(file.path, pattern)
        and (PurePosixPath(file.path).suffix in _HARMLESS or "LICENSE" in file.path)
        and PurePosixPath(file.path).suffix.lower() not in PICKLES
    ]


def _absent(listing: Listing, pattern: str, source: Source) -> ModelError:
    pickles = [
        file.path
        for file in listing.files
        if PurePosixPath(file.path).suffix.lower() in PICKLES
        and PurePosixPath(file.path).parent == PurePosixPath(pattern).parent
    ]
    if pickles and pattern.endswith(".safetensors"):
        return ModelError(
            f"{listing.repo} has no {pattern}, only the pickle {pickles[0]}, which would run code "
            "when loaded and is never fetched; choose a repository with safetensors."
        )
    other = "modelscope" if source == "huggingface" else "huggingface"
    return ModelError(
        f"{listing.repo} on {source} has no {pattern}; fetch with --from {other}, which keeps the "
        "files that are already here."
    )


def _reporter(progress: Progress, file: HubFile) -> Callable[[int], None]:
    return lambda done: progress(file.path, done, file.size)


def _write_noise_schedule(entry: Entry, folder: Path) -> None:
    """Make the folder's noise schedule the one that the weights were distilled for."""
    path = folder / SCHEDULER
    if not path.is_file():
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"_class_name": entry.noise_schedule, "timestep_spacing": entry.timestep_spacing}
    if all(config.get(key) == value for key, value in wanted.items()):
        return
    path.write_text(json.dumps({**config, **wanted}, indent=2) + "\n", encoding="utf-8")
    index = folder / "model_index.json"
    parts = json.loads(index.read_text(encoding="utf-8"))
    parts["scheduler"] = ["diffusers", entry.noise_schedule]
    index.write_text(json.dumps(parts, indent=2) + "\n", encoding="utf-8")
