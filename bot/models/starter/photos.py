"""Pictures that are nothing like the grammar's: fractal light, gradients, shapes upon shapes.

They stand for members' photographs where the model learns to keep a source it cannot name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from bot.models.starter.backdrop import SKIES
from bot.models.starter.grammar import Scene
from bot.models.starter.render import BLOCK, INK, blocks, wash
from bot.models.starter.vocabulary import COLOURS, PAPER, Rgb


def photo_like(count: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Return pictures (count, 3, height, width), RGB in 0..1."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator)

    colours = uniform(count, 4, 3, 1, 1)
    clouds = _fractal(count, 3, height, width, generator)
    shade, field, detail = (
        0.5 + 0.5 * torch.tanh(1.5 * part) for part in torch.split(clouds, 1, dim=1)
    )
    y = torch.linspace(0, 1, height).view(1, 1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, -1)
    slope = uniform(count, 1, 1, 1)
    ramp = slope * y + (1 - slope) * x
    picture = torch.lerp(
        colours[:, 0], colours[:, 1], (0.6 * ramp + 0.4 * shade).expand(-1, 3, -1, -1)
    )
    for i in (2, 3):
        cx, cy = uniform(count, 1, 1, 1), uniform(count, 1, 1, 1)
        rx, ry = 0.08 + 0.3 * uniform(count, 1, 1, 1), 0.08 + 0.3 * uniform(count, 1, 1, 1)
        reach = ((x - cx) / rx).square() + ((y - cy) / ry).square() + (field - 0.5)
        blur = 2 + 30 * uniform(count, 1, 1, 1).square()
        cover = torch.sigmoid((1 - reach) * blur).expand(-1, 3, -1, -1)
        lit = colours[:, i] * (0.6 + 0.6 * detail)
        picture = torch.lerp(picture, lit, cover)
    leafy = _leaves(picture, generator)
    picture = torch.where(uniform(count, 1, 1, 1) < 0.6, leafy, picture)
    # Photographs are seldom as colourful as chance is.
    gray = picture.mean(dim=1, keepdim=True).expand_as(picture)
    picture = torch.lerp(picture, gray, 0.7 * uniform(count, 1, 1, 1).expand_as(picture))
    return (picture + 0.06 * (detail - 0.5)).clamp(0, 1)


def _leaves(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return `picture` under boxes and ellipses, small ones the most, as things cover each other.

    Lee, Mumford and Huang, "Occlusion Models for Natural Images", 2001.
    """
    count, _, height, width = picture.shape

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator)

    y = torch.linspace(0, 1, height).view(1, 1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, -1)
    for _ in range(24):
        reach = 0.02 / (0.04 + 0.96 * uniform(count, 1, 1, 1))
        tall = 2 ** (3 * uniform(count, 1, 1, 1) - 1.5)
        across = ((x - uniform(count, 1, 1, 1)) / (reach / tall)).abs()
        down = ((y - uniform(count, 1, 1, 1)) / (reach * tall)).abs()
        box = uniform(count, 1, 1, 1) < 0.5
        inside = torch.where(box, torch.maximum(across, down), torch.hypot(across, down)) < 1
        # A leaf is a shade of what it covers, or of another colour.
        colour = torch.lerp(
            uniform(count, 3, 1, 1), uniform(count, 1, 1, 1).expand(-1, 3, 1, 1), 0.5
        )
        leaf = torch.lerp(picture, colour, 0.4 + 0.6 * uniform(count, 1, 1, 1).expand_as(picture))
        picture = torch.where(inside, leaf * (0.85 + 0.3 * down.clamp(max=1)), picture)
    return picture


def _fractal(
    count: int, channels: int, height: int, width: int, generator: torch.Generator
) -> torch.Tensor:
    """Return smooth noise with power falling by octaves, about unit variance."""
    total = torch.zeros(count, channels, height, width)
    for octave in range(5):
        side = 2 ** (octave + 1)
        coarse = torch.randn(count, channels, side, side, generator=generator)
        total += 0.6**octave * F.interpolate(
            coarse, (height, width), mode="bilinear", align_corners=True
        )
    return total * 0.9


def recolour(pictures: torch.Tensor, prompts: Sequence[Scene]) -> torch.Tensor:
    """Return `pictures` (n, 3, h, w) in two colours of each one's prompt, by brightness.

    A prompt names a ground, a thing or a landscape's light; one that names none leaves the colours.
    Its style pales or darkens the picture as it does our own grounds, or makes blocks of it.
    """
    pairs = [_colours(prompt) for prompt in prompts]
    dark, light = (
        torch.tensor([pair[i] if pair else (0.0,) * 3 for pair in pairs]).to(pictures)
        for i in range(2)
    )
    luma = torch.tensor([0.299, 0.587, 0.114]).to(pictures).view(1, 3, 1, 1)
    brightness = (pictures * luma).sum(dim=1, keepdim=True)
    spread, mean = torch.std_mean(brightness, dim=(2, 3), keepdim=True)
    # A dim or a hazy picture shows as much as any other.
    share = torch.sigmoid(2.5 * (brightness - mean) / spread.clamp(min=0.03))
    duotone = torch.lerp(dark[:, :, None, None], light[:, :, None, None], share.expand_as(pictures))
    named = torch.tensor([pair is not None for pair in pairs], device=pictures.device)
    drawn = torch.where(named.view(-1, 1, 1, 1), duotone, pictures)
    return torch.stack(
        [_styled(own, prompt.style) for own, prompt in zip(drawn, prompts, strict=True)]
    )


def _styled(picture: torch.Tensor, style: str) -> torch.Tensor:
    if style == "pixel":
        return blocks(picture, min(picture.shape[1:]) // BLOCK)
    return wash(picture, style)


def _colours(prompt: Scene) -> tuple[Rgb, Rgb] | None:
    """Return the darker and the lighter colour that a prompt names, or None."""
    thing = COLOURS[prompt.things[0].colour] if prompt.things else None
    if prompt.place != "plain":
        top, bottom = SKIES[prompt.time]
        pair = (top, thing or bottom)
    elif prompt.background:
        ground = COLOURS[prompt.background]
        pair = (ground, thing or (INK if sum(ground) > 1.5 else PAPER))
    elif thing:
        pair = (PAPER, thing)
    else:
        return None
    return (pair[0], pair[1]) if sum(pair[0]) < sum(pair[1]) else (pair[1], pair[0])
