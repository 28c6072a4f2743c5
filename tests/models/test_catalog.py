from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.models.catalog import (
    SOURCES,
    ModelError,
    find,
    installed_path,
    list_installed,
    load_catalog,
    models_root,
)

ENTRIES = list(load_catalog().values())


def test_sdxl_turbo_is_first_and_has_its_authors_defaults() -> None:
    turbo = ENTRIES[0]

    assert (turbo.name, turbo.folder) == ("sdxl-turbo", "stabilityai/sdxl-turbo")
    assert (turbo.steps, turbo.max_steps, turbo.guidance, turbo.size) == (1, 4, 0.0, 512)
    assert turbo.noise_schedule == "EulerAncestralDiscreteScheduler"
    assert turbo.variants == ("fp16", "fp32", "single-fp16", "single-fp32")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_can_be_fetched_from_both_hubs_and_run(entry: object) -> None:
    entry = find(entry.name)  # type: ignore[attr-defined]  # parametrized
    for part in entry.parts:
        assert set(part.repos) == set(SOURCES)
        assert re.fullmatch(r"[0-9a-f]{40}", part.revision)
        for source, target in part.rename.items():
            assert target.endswith(".safetensors") == source.endswith(".safetensors")
            assert any(source in part.wanted(variant) for variant in entry.variants)
    assert entry.licence
    assert 1 <= entry.steps <= entry.max_steps
    # The engine draws with these alone.
    assert entry.noise_schedule in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_folder_variant_is_a_whole_pipeline(entry: object) -> None:
    entry = find(entry.name)  # type: ignore[attr-defined]  # parametrized
    for variant in entry.variants:
        if variant.startswith("single-"):
            continue
        wanted = {
            part.rename.get(path, path) for part in entry.parts for path in part.wanted(variant)
        }
        suffix = ".fp16.safetensors" if variant == "fp16" else ".safetensors"
        assert {
            "model_index.json",
            "scheduler/scheduler_config.json",
            f"unet/diffusion_pytorch_model{suffix}",
            f"vae/diffusion_pytorch_model{suffix}",
            f"text_encoder/model{suffix}",
            f"text_encoder_2/model{suffix}",
        } <= wanted


MINIMAL = """
[{name}]
title = "T"
folder = "{folder}"
licence = "mit"
licence_note = ""
steps = 1
max_steps = 1
guidance = 0.0
size = 512
noise_schedule = "EulerDiscreteScheduler"
timestep_spacing = "trailing"
default_variant = "{default}"
[[{name}.parts]]
huggingface = "a/b"
revision = "main"
variants = {{ one = ["{file}"] }}
"""


def write(path: Path, **values: str) -> Path:
    """Write a catalogue of one model."""
    defaults = {"name": "own", "folder": "a/b", "default": "one", "file": "x.safetensors"}
    path.write_text(MINIMAL.format(**{**defaults, **values}))
    return path


def test_an_own_catalogue_adds_and_replaces(tmp_path: Path) -> None:
    extra = write(tmp_path / "more.toml")
    assert find("own", extra=extra).folder == "a/b"
    assert find("sdxl-turbo", extra=extra) == find("sdxl-turbo")

    replaced = write(tmp_path / "other.toml", name="sdxl-turbo")
    assert find("sdxl-turbo", extra=replaced).folder == "a/b"
    assert find("sdxl-turbo").folder == "stabilityai/sdxl-turbo"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"file": "x.bin"}, r"x\.bin is a pickle; only safetensors"),
        ({"file": "@nothing"}, "describes 'own' wrongly"),
        ({"default": "two"}, "default variant 'two', but its parts have one"),
        ({"name": "own]["}, "cannot be read"),
    ],
)
def test_a_wrong_catalogue_is_refused_by_name(
    tmp_path: Path, values: dict[str, str], words: str
) -> None:
    extra = write(tmp_path / "wrong.toml", **values)

    with pytest.raises(ModelError, match=words) as error:
        load_catalog(extra)
    assert error.value.exit_code == 64
    assert str(extra) in str(error.value)


def test_a_missing_field_is_refused(tmp_path: Path) -> None:
    extra = tmp_path / "short.toml"
    extra.write_text('[own]\ntitle = "T"\nparts = []\n')

    with pytest.raises(ModelError, match="lacks folder, licence, licence_note, steps, "):
        load_catalog(extra)


def test_the_articles_folder_counts_as_installed(tmp_path: Path) -> None:
    folder = tmp_path / "stabilityai" / "sdxl-turbo"
    assert installed_path("sdxl-turbo", tmp_path) is None

    folder.mkdir(parents=True)
    single = folder / "sd_xl_turbo_1.0_fp16.safetensors"
    single.write_bytes(b"12345")
    assert installed_path("sdxl-turbo", tmp_path) == single

    (folder / "model_index.json").write_text("{}")
    assert installed_path("sdxl-turbo", tmp_path) == folder
    assert installed_path("starter", tmp_path) is None


def test_models_of_other_origin_are_listed_too(tmp_path: Path) -> None:
    for folder in ("stabilityai/sdxl-turbo", "mine", "deep/er/model"):
        (tmp_path / folder / "unet").mkdir(parents=True)
        (tmp_path / folder / "model_index.json").write_text("{}")
        (tmp_path / folder / "unet/weights.safetensors").write_bytes(b"12345678")

    found = list_installed(tmp_path)

    assert [(model.path.relative_to(tmp_path).as_posix(), model.size) for model in found] == [
        ("mine", 8),
        ("stabilityai/sdxl-turbo", 8),
    ]
    assert [model.entry.name if model.entry else None for model in found] == [None, "sdxl-turbo"]


def test_models_live_here_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURBOCORD_MODELS_DIR", raising=False)
    assert models_root() == Path()
    (tmp_path / ".env").write_text("TURBOCORD_MODELS_DIR=kept")
    assert models_root() == Path("kept")
    monkeypatch.setenv("TURBOCORD_MODELS_DIR", "/srv/models")
    assert models_root() == Path("/srv/models")
