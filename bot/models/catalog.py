"""Models by name: what the catalogue knows, and which of it is installed.

`catalog.toml` beside this file is the catalogue; an operator's own file in the same form
(TURBOCORD_CATALOG, `extra` here) can add to it. Nothing here reads weights or imports torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from bot import exit_codes
from bot.errors import StartupError

Source = Literal["huggingface", "modelscope"]
SOURCES: Final[tuple[Source, ...]] = ("huggingface", "modelscope")

CATALOG: Final = Path(__file__).with_name("catalog.toml")
PICKLES: Final = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
"""Suffixes of weights that run code when they are loaded."""

_TOKENIZER = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")
_WITHOUT_UNET = ("text_encoder/model", "text_encoder_2/model", "vae/diffusion_pytorch_model")
_WEIGHTS = (*_WITHOUT_UNET, "unet/diffusion_pytorch_model")
CONFIGURATION: Final = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    *(f"{part}/config.json" for part in ("text_encoder", "text_encoder_2", "unet", "vae")),
    *(f"{part}/{name}" for part in ("tokenizer", "tokenizer_2") for name in _TOKENIZER),
)
"""What an SDXL folder of diffusers has besides its weights."""
_LAYOUT: Final = frozenset(PurePosixPath(path).parts[0] for path in CONFIGURATION)
_SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "@folder": CONFIGURATION,
    "@fp16": tuple(f"{stem}.fp16.safetensors" for stem in _WEIGHTS),
    "@fp32": tuple(f"{stem}.safetensors" for stem in _WEIGHTS),
    "@fp16-without-unet": tuple(f"{stem}.fp16.safetensors" for stem in _WITHOUT_UNET),
}
"""Names for the lists of files that every SDXL folder of diffusers consists of."""


class ModelError(StartupError):
    """A model cannot be named, fetched or trusted; the message is one sentence with the remedy."""

    def __init__(self, message: str, *, exit_code: int = exit_codes.MODEL) -> None:
        super().__init__(message, exit_code=exit_code)


@dataclass(frozen=True, slots=True)
class Part:
    """Some files of one repository; patterns are those of `fnmatch`."""

    repos: Mapping[Source, str]
    revision: str
    files: tuple[str, ...]
    optional: tuple[str, ...]
    variants: Mapping[str, tuple[str, ...]]
    rename: Mapping[str, str]

    def wanted(self, variant: str) -> tuple[str, ...]:
        """Return the patterns that must each match a file."""
        return self.files + self.variants.get(variant, ())


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    `steps`, `guidance` and `size` (pixels) are its authors' defaults; `sha1` holds published
    checksums of single files by name, and `single_files` names whole checkpoints in one file.
    """

    name: str
    title: str
    folder: str
    licence: str
    licence_note: str
    steps: int
    max_steps: int
    guidance: float
    size: int
    noise_schedule: str
    timestep_spacing: str
    default_variant: str
    parts: tuple[Part, ...]
    sha1: Mapping[str, str] = field(default_factory=dict)
    single_files: tuple[str, ...] = ()

    @property
    def singles(self) -> tuple[str, ...]:
        """The names under which the whole model is published as one file."""
        return tuple(dict.fromkeys((*self.sha1, *self.single_files)))

    def place(self, part: Part, variant: str, path: str) -> PurePosixPath:
        """Return where the repository's file `path` goes inside the model's folder.

        What a checkpoint in one file lacks goes into a folder of its name: an index beside it would
        make a folder without weights of the whole.
        """
        target = PurePosixPath(part.rename.get(path, path))
        wanted = {pattern for each in self.parts for pattern in each.wanted(variant)}
        single = next((file for file in self.singles if file in wanted), None)
        if single is not None and target.parts[0] in _LAYOUT:
            return PurePosixPath(single).with_suffix("") / target
        return target

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that can be fetched, in the catalogue's order."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.variants))


@dataclass(frozen=True, slots=True)
class Installed:
    """A model on this machine; `entry` is None when the catalogue does not know it."""

    path: Path
    entry: Entry | None
    size: int


@cache
def load_catalog(extra: Path | None = None) -> Mapping[str, Entry]:
    """Return every entry by name, those of `extra` last and winning.

    Raises ModelError when a file cannot be read or an entry is incomplete.
    """
    entries: dict[str, Entry] = {}
    for path in (CATALOG, extra):
        if path is None:
            continue
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ModelError(
                f"The catalogue {path} cannot be read: {error}", exit_code=exit_codes.CONFIG
            ) from error
        for name, table in tables.items():
            entries[name] = _entry(name, table, path)
    return entries


def find(name: str, *, extra: Path | None = None) -> Entry:
    """Return the entry called `name`. Raises ModelError with the known names if there is none."""
    entries = load_catalog(extra)
    if name not in entries:
        raise ModelError(
            f"The catalogue has no model {name!r}; it has {', '.join(entries)}.",
            exit_code=exit_codes.CONFIG,
        )
    return entries[name]


def models_root() -> Path:
    """Return where models are kept: TURBOCORD_MODELS_DIR, or the current folder.

    Raises StartupError when a setting is wrong.
    """
    # Here, as the engine and its bench must do without what reads settings.
    from bot.config import load_settings

    return load_settings().models_dir


def installed_path(
    name: str, root: Path | None = None, *, extra: Path | None = None
) -> Path | None:
    """Return the folder or single file that the catalogue's `name` is installed at, or None."""
    entry = load_catalog(extra).get(name)
    if entry is None:
        return None
    folder = (root or models_root()) / entry.folder
    if (folder / "model_index.json").is_file():
        return folder
    return next((folder / file for file in entry.singles if (folder / file).is_file()), None)


def entry_of(path: Path, *, extra: Path | None = None) -> Entry | None:
    """Return the entry that a model's folder or single file is named after, or None."""
    for entry in load_catalog(extra).values():
        if path.name in entry.singles:
            return entry
        folder = PurePosixPath(entry.folder).parts
        if path.suffix != ".safetensors" and path.absolute().parts[-len(folder) :] == folder:
            return entry
    return None


def list_installed(root: Path | None = None, *, extra: Path | None = None) -> list[Installed]:
    """Return every model under `root`, at most two folders deep as `owner/name`."""
    root = root or models_root()
    by_folder = {entry.folder: entry for entry in load_catalog(extra).values()}
    found = {
        path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/model_index.json")
    }
    # What `place` puts beside a single file is no model of its own.
    found -= {path for path in found if path.with_name(f"{path.name}.safetensors").is_file()}
    found |= {root / folder for folder in by_folder if any((root / folder).glob("*.safetensors"))}
    return [
        Installed(
            path=folder,
            entry=by_folder.get(folder.relative_to(root).as_posix()),
            size=sum(file.stat().st_size for file in folder.rglob("*.safetensors")),
        )
        for folder in sorted(found)
    ]


def _entry(name: str, table: Any, path: Path) -> Entry:
    try:
        values = dict(table)
        given = ("name", "sha1", "single_files")
        required = [known.name for known in fields(Entry) if known.name not in given]
        if lacking := [known for known in required if known not in values]:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        parts = tuple(_part(part) for part in values.pop("parts"))
        singles = tuple(values.pop("single_files", ()))
        entry = Entry(name=name, parts=parts, single_files=singles, **values)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"The catalogue {path} describes {name!r} wrongly: {error}", exit_code=exit_codes.CONFIG
        ) from error
    if entry.default_variant not in entry.variants:
        raise ModelError(
            f"The catalogue {path} gives {name!r} the default variant {entry.default_variant!r}, "
            f"but its parts have {', '.join(entry.variants) or 'none'}.",
            exit_code=exit_codes.CONFIG,
        )
    return entry


def _part(table: Mapping[str, Any]) -> Part:
    variants = {name: _patterns(listed) for name, listed in table.get("variants", {}).items()}
    return Part(
        repos={source: table[source] for source in SOURCES if source in table},
        revision=table["revision"],
        files=_patterns(table.get("files", ())),
        optional=_patterns(table.get("optional", ())),
        variants=variants,
        rename=dict(table.get("rename", {})),
    )


def _patterns(listed: Any) -> tuple[str, ...]:
    patterns = tuple(
        pattern for item in listed for pattern in (_SETS[item] if item.startswith("@") else (item,))
    )
    for pattern in patterns:
        if PurePosixPath(pattern).suffix.lower() in PICKLES:
            raise ValueError(f"{pattern} is a pickle; only safetensors are ever fetched")
    return patterns
