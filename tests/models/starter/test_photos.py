"""What lessons want of pictures outside the grammar: two of the prompt's colours, by brightness."""

from __future__ import annotations

import pytest
import torch

from bot.models.starter import photos
from bot.models.starter.grammar import ANYWHERE, Scene, Thing
from bot.models.starter.vocabulary import COLOURS

RED_HEART = Scene((Thing("heart", "red"),), background="white")


def photo(low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """Return a gray picture (1, 3, 8, 8), dark on the left and light on the right."""
    shades = torch.full((1, 3, 8, 8), low)
    shades[..., 4:] = high
    return shades


@pytest.mark.parametrize("contrast", [(0.0, 1.0), (0.4, 0.6)])
def test_dark_and_light_become_the_prompts_colours(contrast: tuple[float, float]) -> None:
    drawn = photos.recolour(photo(*contrast), [RED_HEART])[0]
    assert torch.allclose(drawn[:, 0, 0], torch.tensor(COLOURS["red"]), atol=0.1)
    assert torch.allclose(drawn[:, 0, 7], torch.tensor(COLOURS["white"]), atol=0.1)


def test_a_moment_gives_its_light_and_an_outline_changes_no_colour() -> None:
    prompts = [Scene((), place=ANYWHERE, time="night"), Scene((), style="outlined")]
    night, styled = photos.recolour(photo().repeat(2, 1, 1, 1), prompts)
    assert night.mean() < 0.2
    assert night[2].mean() > 2 * night[0].mean()
    assert torch.equal(styled, photo()[0])


def test_a_style_alone_shows_in_a_photograph() -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    prompts = [Scene((), style=style) for style in ("watercolour", "neon", "pixel")]
    pale, dark, coarse = photos.recolour(noise.repeat(3, 1, 1, 1), prompts)
    assert pale.mean() > 0.65
    assert dark.mean() < 0.2
    assert torch.equal(coarse[:, ::2, ::2], coarse[:, 1::2, 1::2])
    assert abs(coarse.mean() - noise.mean()) < 0.01


def test_pictures_differ_and_follow_their_seed() -> None:
    def made(seed: int) -> torch.Tensor:
        return photos.photo_like(2, 16, 24, torch.Generator().manual_seed(seed))

    first = made(1)
    assert first.shape == (2, 3, 16, 24)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, made(1))
    assert not torch.equal(first[0], first[1])
