"""Pictures that are nothing like the grammar's: fractal light, gradients, blurred shapes.

They stand for members' photographs where the model learns to keep a source it cannot name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


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
    return (picture + 0.06 * (detail - 0.5)).clamp(0, 1)


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


def tint(picture: torch.Tensor, dark: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Return `picture` (n, 3, h, w) halfway to a duotone of two colours (n, 3), by brightness."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=picture.device).view(1, 3, 1, 1)
    brightness = (picture * weights).sum(dim=1, keepdim=True).expand_as(picture)
    duotone = torch.lerp(
        dark[:, :, None, None].expand_as(picture),
        light[:, :, None, None].expand_as(picture),
        brightness,
    )
    return 0.4 * picture + 0.6 * duotone
