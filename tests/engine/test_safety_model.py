from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bot import exit_codes
from bot.engine.safety_model import SafetyModel, views_of
from bot.errors import StartupError
from tests.safety import BLUE, RED, build_checker, plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checker(tmp_path_factory.mktemp("checker"))


def test_the_known_picture_is_flagged_and_others_are_not(folder: Path) -> None:
    checker = SafetyModel(folder, device="cpu")
    pictures = [plain(BLUE), plain(RED), plain((128, 128, 128)), plain(RED, (48, 48))]
    assert checker.flags(pictures) == [False, True, False, True]
    assert checker.flags([plain(BLUE)]) == [False]


def test_what_it_sees_is_what_clip_s_own_preparation_makes(folder: Path) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (96, 96, 3), np.uint8))
    theirs = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    expected = theirs(picture, return_tensors="pt")["pixel_values"][0]
    checker = SafetyModel(folder, device="cpu")
    (view,) = views_of(picture, 32)
    assert torch.allclose(torch.from_numpy(checker._normalised(view)), expected, atol=1e-4)


@pytest.mark.parametrize("size", [(704, 384), (384, 704), (576, 448), (512, 512), (900, 300)])
def test_a_picture_is_looked_at_from_end_to_end(folder: Path, size: tuple[int, int]) -> None:
    width, height = size
    checker = SafetyModel(folder, device="cpu")
    for at_the_end in (False, True):
        picture = plain(BLUE, size)
        short = min(size)
        corner = (width - short, height - short) if at_the_end else (0, 0)
        picture.paste(RED, (*corner, corner[0] + short, corner[1] + short))
        assert checker.flags([picture]) == [True]


def test_a_pipeline_s_folder_and_its_preparation_are_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "safety_checker").symlink_to(folder)
    (tmp_path / "feature_extractor").mkdir()
    prepared = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    config = tmp_path / "feature_extractor" / "preprocessor_config.json"
    config.write_text(json.dumps(prepared), encoding="utf-8")
    checker = SafetyModel(tmp_path, device="cpu")
    white = checker._normalised(plain((255, 255, 255), (32, 32)))
    assert np.allclose(white, 1.0)


def test_weights_without_a_concept_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["concept_embeds"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(StartupError, match="lack concept_embeds") as caught:
        SafetyModel(tmp_path, device="cpu")
    assert caught.value.exit_code == exit_codes.MODEL


def test_pickled_weights_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(StartupError, match=r"no model\.safetensors"):
        SafetyModel(tmp_path, device="cpu")


def test_another_model_s_folder_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPModel"]}', encoding="utf-8")
    with pytest.raises(StartupError, match="not a StableDiffusionSafetyChecker"):
        SafetyModel(tmp_path, device="cpu")
    with pytest.raises(StartupError, match=r"no config\.json"):
        SafetyModel(tmp_path / "nowhere", device="cpu")
