"""The folder we ship: stock classes load it, and its pictures show what the prompt says."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForText2Image

from bot.models.starter import WEIGHTS, reading
from bot.models.starter.grammar import SCOPES, Scene, Thing, caption
from bot.models.starter.layout import arrange
from bot.models.starter.render import render
from bot.models.starter.score import (
    draw,
    dtype_on,
    held_out_scenes,
    score_changes,
    score_grain,
    score_prompts,
)

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_index.json").is_file(), reason="the starter weights are not built yet"
)
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def text2image() -> Any:
    torch.set_num_threads(1)
    pipeline = AutoPipelineForText2Image.from_pretrained(WEIGHTS, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def image2image(text2image: Any) -> Any:
    pipeline = AutoPipelineForImage2Image.from_pipe(text2image)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_folder_is_small_and_has_the_stock_layout(text2image: Any) -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25 * MEGABYTE
    names = {part: type(getattr(text2image, part)).__name__ for part in text2image.components}
    assert names["unet"] == "UNet2DConditionModel"
    assert names["vae"] == "AutoencoderKL"
    assert names["text_encoder"] == "CLIPTextModel"
    assert names["text_encoder_2"] == "CLIPTextModelWithProjection"
    assert names["scheduler"] == "EulerAncestralDiscreteScheduler"
    assert text2image.unet.config.addition_embed_type == "text_time"
    assert text2image.scheduler.config.timestep_spacing == "trailing"
    assert text2image.default_sample_size * text2image.vae_scale_factor == 512


def test_loading_warns_of_nothing_that_matters(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", FutureWarning)
        AutoPipelineForText2Image.from_pretrained(WEIGHTS, dtype=torch.float32)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("steps", [1, 2])
def test_background_and_colour_can_be_read_off(text2image: Any, steps: int) -> None:
    scenes = [
        Scene((Thing("circle", "red"),), background="blue"),
        Scene((Thing("square", "yellow"),), background="purple"),
        Scene((Thing("heart", "white"),), background="green"),
        Scene((Thing("star", "black"),), background="orange"),
    ]
    prompts = [caption(scene, random.Random(0), plain=True) for scene in scenes]
    pictures, numbers = draw(text2image, prompts, steps=steps, seed=1)
    assert pictures.shape == (4, 3, 512, 512)
    for scene, picture, own in zip(scenes, pictures, numbers, strict=True):
        small = reading.shrink(picture)
        painting = arrange(scene, own.tolist(), 1.0)
        assert reading.read_background(small) == scene.background
        assert reading.read_colour(small, painting, 0) == scene.things[0].colour
        assert reading.read_kind(small, painting, 0) == scene.things[0].kind


@pytest.mark.parametrize("steps", [1, 2])
def test_most_of_everything_is_right(text2image: Any, steps: int) -> None:
    """Counts, relations, landscapes and styles of combinations that training never drew."""
    found = score_prompts(
        text2image, held_out_scenes(24, SCOPES["full"], seed=5), steps=steps, spread=1.0, seed=2
    )
    for name, least in {"background": 0.9, "colour": 0.85, "kind": 0.8, "style": 0.8}.items():
        share, count = found[name]
        assert count > 5
        assert share >= least, (name, found)


def test_the_seed_moves_what_the_prompt_leaves_open(text2image: Any) -> None:
    prompt = "a small red circle on a blue background"
    pictures, numbers = draw(text2image, [prompt] * 12, steps=1, seed=4)
    centres, misses = [], []
    for picture, own in zip(pictures, numbers, strict=True):
        red = reading.shrink(picture)[0] > 0.5
        rows, columns = torch.nonzero(red, as_tuple=True)
        centre = columns.float().mean() / red.shape[1], rows.float().mean() / red.shape[0]
        painting = arrange(Scene((Thing("circle", "red"),), size="small"), own.tolist(), 1.0)
        (stroke,) = painting.strokes
        miss = float(centre[0]) - 0.5 - stroke.x, float(centre[1]) - 0.5 - stroke.y
        misses.append(max(abs(part) for part in miss))
        centres.append((round(float(centre[0]), 1), round(float(centre[1]), 1)))
    assert len(set(centres)) >= 3
    # A number between two places of the grid may give something between them.
    assert max(misses) < 0.125
    assert sorted(misses)[7] < 0.0625


def test_other_aspect_ratios_are_drawn(text2image: Any) -> None:
    pictures, _ = draw(
        text2image, ["a red circle on a blue background"], steps=1, seed=0, size=(576, 448)
    )
    assert pictures.shape == (1, 3, 576, 448)
    assert reading.read_background(pictures[0]) == "blue"


def test_similarity_to_the_source_falls_with_strength(image2image: Any) -> None:
    scenes = held_out_scenes(3, SCOPES["single"], seed=7)
    found: dict[float, list[float]] = {0.3: [], 0.6: [], 1.0: []}
    for i, scene in enumerate(scenes):
        source = render([arrange(scene, (0.5, 0.5), 0.0)], 512, 512)
        prompt = caption(scenes[i - 1], random.Random(0), plain=True)
        for strength, own in found.items():
            picture = image2image(
                prompt,
                image=source,
                strength=strength,
                num_inference_steps=4,
                guidance_scale=0.0,
                generator=torch.Generator().manual_seed(i),
                output_type="pt",
            ).images
            own.append(float((picture - source).square().mean()))
    kept, middle, free = (sum(errors) for errors in found.values())
    assert kept < middle <= free * 1.1
    # 20 dB and better on average at a low strength, whatever the prompt.
    assert kept / len(scenes) < 0.01


def test_a_remix_shows_what_its_prompt_names() -> None:
    """Also in a single step in the middle, and where the prompt names no thing."""
    found = score_changes(WEIGHTS, "cpu", 10, seed=2)
    assert len(found) == 4
    for at, shares in found.items():
        assert shares["all"][1] == 10
        for name in ("kind", "style"):
            assert shares[name][0] >= 0.6, (at, found)
        if at != "0.75 of 4 steps":
            assert shares["near"][0] >= 0.6, (at, found)


def test_plain_ground_has_next_to_no_grain() -> None:
    for name, deviation in score_grain(WEIGHTS, "cpu", 3, seed=2).items():
        assert 0 < deviation < 3, name


def test_a_cpu_scores_in_full_precision() -> None:
    """Half precision has to be emulated there and takes six times as long."""
    assert dtype_on("cpu") is dtype_on(torch.device("cpu")) is torch.float32
    assert dtype_on("cuda") is torch.float16
