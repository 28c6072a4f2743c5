"""A checkpoint in one file draws as the folder of the same weights does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

from bot.engine.pipeline import TurboPipeline
from bot.models.catalog import entry_of, find
from bot.models.loader import load_model
from bot.models.random_weights import TURBO_NOISE, build_random_pipeline
from bot.models.tiny import TINY
from bot.request import Draw, Pixels
from tests.models.single_file import save_single_file

CPU = torch.device("cpu")

# Encoders of two widths, by which the library tells them apart in a single file.
ARCHITECTURE = replace(
    TINY,
    unet={**TINY.unet, "cross_attention_dim": 80},
    text_encoder_2={**TINY.text_encoder_2, "hidden_size": 48},
)
BASE_NOISE = {**TURBO_NOISE, "timestep_spacing": "leading"}


@pytest.fixture(scope="module")
def stock() -> StableDiffusionXLPipeline:
    return build_random_pipeline(ARCHITECTURE, seed=5)


@pytest.fixture
def folder(stock: StableDiffusionXLPipeline, tmp_path: Path) -> Path:
    stock.save_pretrained(tmp_path / "turbo")
    return tmp_path / "turbo"


def base_configuration(stock: StableDiffusionXLPipeline, folder: Path) -> None:
    """Write what the library would take from the SDXL base model: another noise schedule."""
    turbo = stock.scheduler
    stock.scheduler = EulerDiscreteScheduler(**BASE_NOISE)
    try:
        stock.save_pretrained(folder)
    finally:
        stock.scheduler = turbo
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()


def picture(path: Path) -> Pixels:
    pipeline = TurboPipeline(load_model(path, device=CPU))
    return pipeline.redo(Draw("a red circle", 7, 64, 64, num_inference_steps=2))


@pytest.mark.parametrize(
    ("name", "configured"),
    [
        ("sd_xl_turbo_1.0_fp16.safetensors", "sd_xl_turbo_1.0_fp16"),
        ("sd_xl_turbo_1.0.safetensors", "."),
    ],
)
def test_a_file_named_as_in_the_catalogue_draws_as_the_folder(
    stock: StableDiffusionXLPipeline, folder: Path, tmp_path: Path, name: str, configured: str
) -> None:
    home = tmp_path / "single"
    home.mkdir()
    base_configuration(stock, home / configured)
    save_single_file(stock, home / name)
    single, whole = load_model(home / name, device=CPU), load_model(folder, device=CPU)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        ours = getattr(single.pipeline, part).state_dict()
        theirs = getattr(whole.pipeline, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert single.noise_schedule.ancestral
    assert single.pipeline.scheduler.config.timestep_spacing == "trailing"
    assert np.array_equal(picture(home / name), picture(folder))


def test_a_file_of_another_name_keeps_its_own_schedule(
    stock: StableDiffusionXLPipeline, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    save_single_file(stock, path)
    base_configuration(stock, tmp_path / "other")
    model = load_model(path, device=CPU)
    assert not model.noise_schedule.ancestral
    assert model.pipeline.scheduler.config.timestep_spacing == "leading"
    # The difference is one that can be seen, so the test above cannot pass without the catalogue.
    assert np.abs(picture(path).astype(int) - picture(folder)).mean() > 1


def test_models_are_known_by_their_published_names(tmp_path: Path) -> None:
    turbo = find("sdxl-turbo")
    assert entry_of(tmp_path / "sd_xl_turbo_1.0.safetensors") is turbo
    assert entry_of(tmp_path / "stabilityai" / "sdxl-turbo") is turbo
    four = entry_of(tmp_path / "sdxl_lightning_4step.safetensors")
    assert four is find("sdxl-lightning")
    assert entry_of(tmp_path / "sdxl-turbo") is None
    assert entry_of(tmp_path / "model.safetensors") is None
