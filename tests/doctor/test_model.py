from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from bot.doctor import model as doctor_model
from bot.doctor.check import Grade
from bot.doctor.model import Weights, check_model, together
from bot.models.catalog import CATALOG
from bot.models.catalog_manifest import MANIFEST, Manifest, write_manifest

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def make_folder(folder: Path, *suffixes: str) -> Path:
    """Write a folder in the sdxl-turbo layout with 1000 bytes of weights per part and suffix."""
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        for suffix in suffixes:
            save_file({"weight": np.zeros(1000, np.uint8)}, folder / part / f"model{suffix}")
    index = {part: ["diffusers", "Kind"] for part in PARTS}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_of_several_models_one_is_loaded_and_others_wait() -> None:
    models = [Weights(on_disk=4, half=4, full=8), Weights(on_disk=6, half=6, full=12)]
    both = together(models, waiting_bytes=100)
    assert (both.on_disk, both.half, both.full, both.waiting) == (6, 6, 12, 6)
    assert together(models, waiting_bytes=5).waiting == 5
    assert together(models[:1], waiting_bytes=100) == models[0]


def test_a_folder_is_measured_in_the_precision_it_has(tmp_path: Path) -> None:
    half = make_folder(tmp_path / "half", ".fp16.safetensors", ".safetensors")
    full = make_folder(tmp_path / "full", ".safetensors")

    check, weights = check_model(str(half))
    assert check.grade is Grade.OK
    assert weights.half == weights.on_disk
    assert weights.full == 2 * weights.half

    check, weights = check_model(str(full), on_cpu=True)
    assert check.grade is Grade.OK
    assert weights.full == weights.on_disk
    assert weights.half == weights.full // 2
    assert weights.on_cpu


def test_a_catalogue_name_is_found_under_the_root(tmp_path: Path) -> None:
    check, _ = check_model("sdxl-turbo", root=tmp_path)
    assert check.grade is Grade.FAIL
    assert check.advice == "Fetch it: turbocord model fetch sdxl-turbo"

    folder = make_folder(tmp_path / "stabilityai/sdxl-turbo", ".fp16.safetensors")
    write_manifest(folder, Manifest("sdxl-turbo", "modelscope", "mit", ("fp16",)))
    check, _ = check_model("sdxl-turbo", root=tmp_path)
    assert check.grade is Grade.OK
    assert check.detail.endswith("fetched from modelscope")


def test_an_own_catalogue_counts_and_is_told_when_it_cannot_be_read(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(CATALOG.read_text(encoding="utf-8").replace("sdxl-turbo", "mine"))
    assert "there is nothing" in check_model("mine", root=tmp_path)[0].detail
    check, _ = check_model("mine", root=tmp_path, extra=own)
    assert check.advice == "Fetch it: turbocord model fetch mine"
    make_folder(tmp_path / "stabilityai/mine", ".fp16.safetensors")
    assert check_model("mine", root=tmp_path, extra=own)[0].grade is Grade.OK

    check, _ = check_model("tiny", extra=tmp_path / "absent.toml")
    assert check.grade is Grade.FAIL
    assert "absent.toml cannot be read" in check.detail


def test_a_single_file_will_do_where_its_configuration_is_here_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "sd_xl_turbo_1.0_fp16.safetensors"
    save_file({"weight": np.zeros(1000, np.uint8)}, file)

    check, _ = check_model(str(file))
    assert check.grade is Grade.FAIL
    assert "no configuration or tokenizers" in check.detail
    assert "hf download stabilityai/stable-diffusion-xl-base-1.0" in check.advice

    make_folder(file.with_suffix(""))
    check, weights = check_model(str(file))

    assert check.grade is Grade.OK
    assert weights.half == file.stat().st_size


def damage_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def damage_part(folder: Path) -> None:
    for file in (folder / "vae").iterdir():
        file.unlink()


def damage_weights(folder: Path) -> None:
    file = folder / "unet/model.fp16.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damage_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_index, "no model_index.json"),
        (damage_part, "vae/ missing"),
        (damage_weights, "model.fp16.safetensors is "),
        (damage_manifest, "turbocord.json cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_loaded_fails(tmp_path: Path, damage: object, words: str) -> None:
    folder = make_folder(tmp_path / "model", ".fp16.safetensors")
    damage(folder)  # type: ignore[operator]  # parametrized

    check, _ = check_model(str(folder))

    assert check.grade is Grade.FAIL
    assert words in check.detail
    assert check.advice


@pytest.mark.parametrize(
    ("name", "words"), [("weights.ckpt", "not a .safetensors file"), ("absent", "there is nothing")]
)
def test_what_is_no_model_fails(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "weights.ckpt").write_bytes(b"pickle")

    check, weights = check_model(str(tmp_path / name))

    assert check.grade is Grade.FAIL
    assert words in check.detail
    assert weights.on_disk == 0


def test_the_starter_is_looked_for_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_model, "STARTER", tmp_path / "weights")
    assert check_model("starter")[0].grade is Grade.WARN

    make_folder(tmp_path / "weights", ".safetensors")
    check, weights = check_model("starter")
    assert check.grade is Grade.OK
    assert weights.on_disk > 4000


def test_tiny_is_always_there() -> None:
    assert check_model("tiny")[0].grade is Grade.OK
