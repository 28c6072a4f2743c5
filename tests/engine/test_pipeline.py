"""Ours equals the stock pipelines, and company changes nothing.

Tolerances: latents within 2e-5 of their own largest value, pixels within 1 of 255. Both run in fp32
on the CPU, so what differs is only the order of floating-point sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bot.engine.pipeline import TurboPipeline
from bot.errors import BadOutput, BadParameter
from bot.models.loader import load_model
from bot.request import Draw, Pixels

LATENTS = 2e-5
PIXELS = 1

Alone = Callable[[Draw], tuple[torch.Tensor, Pixels]]


def draw(prompt: str = "a red circle on blue", seed: int = 7, **options: Any) -> Draw:
    return Draw(prompt=prompt, seed=seed, **{"width": 128, "height": 128, **options})


def assert_same_latents(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < LATENTS * theirs.abs().max()


def assert_same_pixels(ours: Pixels, theirs: Any) -> None:
    assert ours.shape == np.asarray(theirs).shape
    assert np.abs(ours.astype(int) - np.asarray(theirs).astype(int)).max() <= PIXELS


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "guidance",
    [
        {},
        {"guidance_scale": 1.0},
        {"guidance_scale": 3.5},
        {"guidance_scale": 3.5, "negative_prompt": "blurred, grey"},
    ],
    ids=["plain", "one", "guided", "negative"],
)
def test_text_to_image_equals_stock(
    alone: Alone, stock: Any, steps: int, guidance: dict[str, Any]
) -> None:
    wanted = draw(num_inference_steps=steps, **guidance)
    latents, pixels = alone(wanted)
    assert_same_latents(latents, stock.draw(wanted, output_type="latent"))
    assert_same_pixels(pixels, stock.draw(wanted))


@pytest.mark.parametrize(
    ("steps", "strength"),
    [(1, 1.0), (2, 0.5), (2, 0.7), (2, 1.0), (3, 0.4), (3, 0.7), (4, 0.3), (4, 0.55), (4, 1.0)],
)
@pytest.mark.parametrize(
    "guidance",
    [{}, {"guidance_scale": 2.5, "negative_prompt": "blurred"}],
    ids=["plain", "negative"],
)
def test_image_to_image_equals_stock(
    alone: Alone,
    stock: Any,
    photo: Image.Image,
    steps: int,
    strength: float,
    guidance: dict[str, Any],
) -> None:
    wanted = draw(num_inference_steps=steps, strength=strength, sources=(photo,), **guidance)
    latents, pixels = alone(wanted)
    assert_same_latents(latents, stock.draw(wanted, output_type="latent"))
    assert_same_pixels(pixels, stock.draw(wanted))


def test_steps_are_raised_where_stock_would_crash(alone: Alone, photo: Image.Image) -> None:
    few = draw(num_inference_steps=1, strength=0.3, sources=(photo,))
    enough = replace(few, num_inference_steps=4)
    assert_same_pixels(alone(few)[1], alone(enough)[1])


def test_full_size_and_portrait(alone: Alone, stock: Any) -> None:
    for width, height in ((512, 512), (448, 576)):
        wanted = draw(width=width, height=height, num_inference_steps=1)
        assert_same_pixels(alone(wanted)[1], stock.draw(wanted))


def test_mixed_requests_share_unet_calls_and_equal_alone(
    pipeline: TurboPipeline, alone: Alone, photo: Image.Image
) -> None:
    draws = [
        draw("one", 1, num_inference_steps=1),
        draw("two", 2, num_inference_steps=4),
        draw("three", 3, num_inference_steps=4, strength=0.5, sources=(photo,)),
        draw("four", 4, num_inference_steps=2, guidance_scale=3.0, negative_prompt="grey"),
        draw("five", 5, num_inference_steps=3, guidance_scale=2.0),
        draw("six", 6, num_inference_steps=2, strength=0.7, sources=(photo,)),
    ]
    expected = [alone(each) for each in draws]
    calls = 0
    samples = pipeline.start(draws)
    while running := [sample for sample in samples if sample.steps_left]:
        pipeline.step(running)
        calls += 1
    assert calls == 4
    pictures = pipeline.decode(samples).collect()
    for sample, picture, (latents, pixels) in zip(samples, pictures, expected, strict=True):
        assert_same_latents(sample.latents[0], latents)
        assert picture is not None
        assert_same_pixels(picture, pixels)


def test_a_sample_joins_a_running_batch(pipeline: TurboPipeline, alone: Alone) -> None:
    early, late = draw(seed=1, num_inference_steps=4), draw(seed=2, num_inference_steps=2)
    (first,) = pipeline.start([early])
    pipeline.step([first])
    (second,) = pipeline.start([late])
    pipeline.step([first, second])
    pipeline.step([second, first])
    pipeline.step([first])
    assert (first.steps_left, second.steps_left) == (0, 0)
    assert_same_latents(first.latents[0], alone(early)[0])
    assert_same_latents(second.latents[0], alone(late)[0])


def test_seeds_and_prompts_matter(alone: Alone) -> None:
    one = alone(draw(seed=1))[1].astype(int)
    assert np.abs(one - alone(draw(seed=2))[1]).mean() > 1
    assert np.abs(one - alone(draw("something else", seed=1))[1]).mean() > 0.5


def test_the_global_generator_is_left_alone(alone: Alone, photo: Image.Image) -> None:
    before = torch.get_rng_state()
    alone(draw(num_inference_steps=4, strength=0.5, sources=(photo,)))
    assert torch.equal(before, torch.get_rng_state())


def test_prompts_are_encoded_once(pipeline: TurboPipeline) -> None:
    first, again, other = pipeline.encode_prompts(["a", "a", "b"])
    assert first is again
    assert pipeline.encode_prompts(["b"])[0] is other
    assert not torch.equal(first.embeds, other.embeds)


def test_blended_sources_lie_between(alone: Alone, photo: Image.Image) -> None:
    other = photo.transpose(Image.Transpose.ROTATE_180)
    base = draw(num_inference_steps=4, strength=0.25)

    def pixels(weights: tuple[float, float]) -> Any:
        return alone(replace(base, sources=(photo, other), weights=weights))[1].astype(float)

    mostly_first, half, mostly_other = pixels((99, 1)), pixels((1, 1)), pixels((1, 99))
    span = np.abs(mostly_first - mostly_other).mean()
    assert np.abs(mostly_first - half).mean() < span
    assert np.abs(mostly_other - half).mean() < span
    # Only the weights' ratio counts.
    assert_same_pixels(pixels((3, 3)).astype(np.uint8), half)


def test_sizes_the_latents_cannot_have_are_refused(pipeline: TurboPipeline) -> None:
    with pytest.raises(BadParameter, match="width"):
        pipeline.start([draw(width=100)])
    with pytest.raises(BadParameter, match="sources"):
        pipeline.start([draw(sources=(Image.new("RGB", (64, 64)),))])


def test_broken_output_is_told(pipeline: TurboPipeline) -> None:
    good, broken = pipeline.start([draw(seed=1), draw(seed=2)])
    for _ in range(2):
        pipeline.step([good, broken])
    broken.latents = torch.full_like(broken.latents, float("nan"))
    first, second = pipeline.decode([good, broken]).collect()
    assert first is not None
    assert second is None


def test_full_precision_comes_to_the_rescue(tiny_folder: Path, alone: Alone) -> None:
    model = load_model(tiny_folder, device=torch.device("cpu"), dtype=torch.float16)
    again = TurboPipeline(model).redo(draw(num_inference_steps=1))
    assert model.dtype == torch.float16
    # The text encoders stay in half precision, so the picture is near, not equal.
    assert np.abs(again.astype(int) - alone(draw(num_inference_steps=1))[1]).mean() < 2


def test_bad_twice_is_an_error(tiny_folder: Path) -> None:
    model = load_model(tiny_folder, device=torch.device("cpu"))
    with torch.no_grad():
        model.vae.decoder.conv_out.weight.fill_(float("nan"))
    with pytest.raises(BadOutput):
        TurboPipeline(model).redo(draw())


def test_black_sources_may_stay_black(tiny_folder: Path, photo: Image.Image) -> None:
    model = load_model(tiny_folder, device=torch.device("cpu"))
    with torch.no_grad():
        model.vae.decoder.conv_out.weight.zero_()
        model.vae.decoder.conv_out.bias.fill_(-5.0)
    pipeline = TurboPipeline(model)
    black = Image.new("RGB", photo.size)
    samples = pipeline.start([draw(sources=(black,), strength=0.5), draw(sources=(photo,))])
    dark, wrong = pipeline.decode(samples).collect()
    assert dark is not None
    assert wrong is None
