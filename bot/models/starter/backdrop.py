"""What lies behind the things: a plain colour, or sky, ground and a light in the sky."""

from __future__ import annotations

import math

import torch

from bot.models.starter.layout import HORIZON, Painting
from bot.models.starter.shapes import disc, union
from bot.models.starter.vocabulary import Rgb

SKIES: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((0.33, 0.64, 0.95), (0.78, 0.91, 0.99)),
    "sunset": ((0.40, 0.20, 0.50), (0.99, 0.60, 0.30)),
    "night": ((0.03, 0.04, 0.15), (0.12, 0.15, 0.38)),
}
"""Each time's sky, at the top and at the horizon."""
_GROUNDS: dict[str, Rgb] = {
    "sea": (0.10, 0.42, 0.70),
    "hills": (0.36, 0.70, 0.26),
    "snow": (0.93, 0.95, 0.98),
    "city": (0.42, 0.43, 0.47),
}
_LIGHTS: dict[str, tuple[float, Rgb]] = {
    "day": (0.09, (1.0, 0.88, 0.25)),
    "sunset": (0.11, (1.0, 0.80, 0.40)),
    "night": (0.08, (0.97, 0.95, 0.82)),
}
_STARS = (
    (-0.42, -0.36),
    (-0.30, -0.22),
    (-0.12, -0.40),
    (0.08, -0.30),
    (0.20, -0.42),
    (0.44, -0.2),
)
_TOWERS = (0.18, 0.30, 0.22, 0.36, 0.15, 0.26, 0.40, 0.20, 0.33, 0.17)
"""Heights of the skyline's houses, from left to right, in scene units."""


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Return the colour `share` of the way from `a` to `b`."""
    red, green, blue = (p * (1 - share) + q * share for p, q in zip(a, b, strict=True))
    return red, green, blue


def backdrop(painting: Painting, x: torch.Tensor, y: torch.Tensor, pixel: float) -> torch.Tensor:
    """Return the background (3, h, w) at scene coordinates (h, w); `pixel` is a pixel's side."""
    scene = painting.scene
    if scene.place == "plain":
        return _fill(painting.background, x)
    top, bottom = SKIES[scene.time]
    reach = ((y - y.min()) / (HORIZON - float(y.min()))).clamp(0, 1)
    canvas = torch.lerp(_fill(top, x), _fill(bottom, x), reach)
    if scene.time == "night":
        stars = union(*(disc(x, y, a, b, 0.012) for a, b in _STARS))
        canvas = paint(canvas, stars, (0.97, 0.96, 0.88), pixel)
    radius, colour = _LIGHTS[scene.time]
    light = disc(x, y, 0.32, 0.02 if scene.time == "sunset" else -0.32, radius)
    canvas = paint(canvas, light, colour, pixel)
    ground = _GROUNDS[scene.place]
    if scene.time == "night":
        ground = mix(ground, (0.03, 0.04, 0.16), 0.6)
    elif scene.time == "sunset":
        ground = mix(ground, (0.60, 0.25, 0.25), 0.35)
    if scene.place == "city":
        canvas = paint(canvas, _skyline(x, y), mix(ground, (0.10, 0.11, 0.20), 0.5), pixel)
    if scene.place in ("hills", "snow"):
        far = HORIZON - 0.05 - 0.05 * torch.cos(x * math.tau * 1.1 + 0.6) - y
        canvas = paint(canvas, far, mix(ground, top, 0.25), pixel)
    wave = 0.02 * torch.sin(x * 9) if scene.place in ("hills", "snow") else torch.zeros_like(x)
    canvas = paint(canvas, HORIZON + wave - y, ground, pixel)
    if scene.place == "sea":
        crests = (y - HORIZON - 0.10 - 0.015 * torch.sin(x * 26)).abs() - 0.008
        crests = union(crests, (y - HORIZON - 0.24 - 0.02 * torch.sin(x * 20 + 2)).abs() - 0.010)
        canvas = paint(canvas, crests, mix(ground, (0.9, 0.95, 1.0), 0.3), pixel)
    return canvas


def paint(canvas: torch.Tensor, distance: torch.Tensor, colour: Rgb, pixel: float) -> torch.Tensor:
    """Fill the inside of a signed distance, with an edge one pixel wide."""
    cover = (0.5 - distance / pixel).clamp(0, 1)
    return torch.lerp(canvas, _fill(colour, distance), cover)


def _skyline(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    tower = torch.floor(x * 9 + 5).long()
    heights = torch.tensor(_TOWERS, device=x.device)[tower.remainder(len(_TOWERS))]
    return HORIZON - heights - y


def _fill(colour: Rgb, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(colour, device=like.device)[:, None, None].expand(3, *like.shape)
