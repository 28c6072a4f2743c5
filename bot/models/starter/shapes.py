"""The kinds as signed distances: negative inside, in units of the kind's own radius.

Coordinates run right and down from the kind's centre. Distances need to be right near an edge only,
so corners and unions may take the cheaper bound. Formulas follow the usual constructions: a
half-plane is a dot product, an intersection a maximum, a union a minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch

from bot.models.starter.vocabulary import Rgb

Tensor = torch.Tensor
Paint = Literal["main", "shade", "ink"] | Rgb
Layers = list[tuple[Tensor, Paint]]
"""Signed distances and what fills them, bottom to top."""

WOOD: Rgb = (0.38, 0.23, 0.12)
CREAM: Rgb = (0.97, 0.95, 0.88)
GLASS: Rgb = (0.72, 0.90, 0.98)
HONEY: Rgb = (0.99, 0.80, 0.20)


def disc(x: Tensor, y: Tensor, cx: float, cy: float, r: float) -> Tensor:
    """Signed distance to a disc."""
    return torch.hypot(x - cx, y - cy) - r


def slab(x: Tensor, y: Tensor, cx: float, cy: float, w: float, h: float) -> Tensor:
    """Signed distance to a box of half sides `w` and `h`; a bound at the corners."""
    return torch.maximum((x - cx).abs() - w, (y - cy).abs() - h)


def union(*parts: Tensor) -> Tensor:
    """Signed distance to several parts together."""
    joined = parts[0]
    for part in parts[1:]:
        joined = torch.minimum(joined, part)
    return joined


def common(*parts: Tensor) -> Tensor:
    """Signed distance to what lies in every part; a bound."""
    joined = parts[0]
    for part in parts[1:]:
        joined = torch.maximum(joined, part)
    return joined


def polygon(x: Tensor, y: Tensor, corners: list[tuple[float, float]]) -> Tensor:
    """Signed distance to a polygon: the nearest side, and the parity of sides crossed."""
    nearest = torch.full_like(x, 1e9)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        ex, ey = bx - ax, by - ay
        along = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        nearest = torch.minimum(nearest, torch.hypot(x - ax - along * ex, y - ay - along * ey))
        if ey:
            crossing = ((y >= ay) != (y >= by)) & (x < ax + (y - ay) * ex / ey)
            inside = inside ^ crossing
    return torch.where(inside, -nearest, nearest)


def _star(x: Tensor, y: Tensor) -> Layers:
    corners = [
        (r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5) + 0.06)
        for i, r in enumerate((1.08, 0.46) * 5)
    ]
    return [(polygon(x, y, corners), "main")]


def _heart(x: Tensor, y: Tensor) -> Layers:
    lobes = disc(x.abs(), y, 0.45, -0.34, 0.52)
    tip = polygon(x, y, [(-0.86, -0.02), (0.0, -0.42), (0.86, -0.02), (0.0, 0.98)])
    return [(union(lobes, tip), "main")]


def _moon(x: Tensor, y: Tensor) -> Layers:
    return [(common(disc(x, y, -0.05, 0, 0.96), -disc(x, y, 0.42, -0.14, 0.76)), "main")]


def _flower(x: Tensor, y: Tensor) -> Layers:
    turns = [i * math.tau / 5 - math.pi / 2 for i in range(5)]
    petals = union(*(disc(x, y, 0.56 * math.cos(a), 0.56 * math.sin(a), 0.40) for a in turns))
    return [(petals, "main"), (disc(x, y, 0, 0, 0.32), "ink")]


def _sun(x: Tensor, y: Tensor) -> Layers:
    r = torch.hypot(x, y)
    step = math.tau / 8
    angle = torch.atan2(y, x)
    offset = (angle - torch.round(angle / step) * step) * r
    rays = common(offset.abs() - 0.10, (r - 0.84).abs() - 0.18)
    return [(union(r - 0.54, rays), "main")]


def _cloud(x: Tensor, y: Tensor) -> Layers:
    puffs = union(
        disc(x, y, -0.54, 0.14, 0.38),
        disc(x, y, 0.0, -0.14, 0.52),
        disc(x, y, 0.56, 0.12, 0.40),
        slab(x, y, 0.0, 0.30, 0.56, 0.22),
    )
    return [(puffs, "main")]


def _house(x: Tensor, y: Tensor) -> Layers:
    return [
        (slab(x, y, 0, 0.36, 0.70, 0.54), "main"),
        (polygon(x, y, [(-0.98, -0.12), (0, -0.98), (0.98, -0.12)]), "shade"),
        (slab(x, y, 0, 0.62, 0.17, 0.28), WOOD),
        (slab(x.abs(), y, 0.44, 0.24, 0.14, 0.14), GLASS),
    ]


def _tree(x: Tensor, y: Tensor) -> Layers:
    crown = union(
        disc(x, y, 0, -0.46, 0.50), disc(x.abs(), y, 0.40, -0.04, 0.42), disc(x, y, 0, 0, 0.4)
    )
    return [(slab(x, y, 0, 0.60, 0.15, 0.40), WOOD), (crown, "main")]


def _boat(x: Tensor, y: Tensor) -> Layers:
    hull = polygon(x, y, [(-0.98, 0.26), (0.98, 0.26), (0.62, 0.80), (-0.62, 0.80)])
    return [
        (slab(x, y, 0, -0.30, 0.05, 0.66), WOOD),
        (polygon(x, y, [(0.09, -0.92), (0.80, 0.14), (0.09, 0.14)]), CREAM),
        (polygon(x, y, [(-0.09, -0.70), (-0.62, 0.14), (-0.09, 0.14)]), CREAM),
        (hull, "main"),
    ]


def _fish(x: Tensor, y: Tensor) -> Layers:
    body = (torch.hypot((x + 0.16) / 0.80, y / 0.52) - 1) * 0.52
    tail = polygon(x, y, [(0.40, 0.0), (0.98, -0.52), (0.98, 0.52)])
    return [(union(body, tail), "main"), (disc(x, y, -0.54, -0.12, 0.11), "ink")]


def _cat(x: Tensor, y: Tensor) -> Layers:
    side = x.abs()
    head = (torch.hypot(x / 0.94, (y - 0.16) / 0.78) - 1) * 0.78
    ears = polygon(side, y, [(0.20, -0.42), (0.82, -0.98), (0.90, 0.04)])
    mouth = common((torch.hypot(side - 0.16, y - 0.46) - 0.16).abs() - 0.045, 0.46 - y)
    return [
        (union(head, ears), "main"),
        (disc(side, y, 0.38, 0.04, 0.14), "ink"),
        (union(disc(x, y, 0, 0.38, 0.09), mouth), "ink"),
    ]


def _smiley(x: Tensor, y: Tensor) -> Layers:
    mouth = common((disc(x, y, 0, 0.06, 0.52)).abs() - 0.085, 0.20 - y)
    return [
        (disc(x, y, 0, 0, 0.96), "main"),
        (union(disc(x.abs(), y, 0.34, -0.24, 0.14), mouth), "ink"),
    ]


def _mushroom(x: Tensor, y: Tensor) -> Layers:
    cap = common((torch.hypot(x / 0.98, (y - 0.08) / 0.92) - 1) * 0.92, y - 0.12)
    spots = union(
        disc(x, y, -0.48, -0.20, 0.15), disc(x, y, 0.10, -0.48, 0.18), disc(x, y, 0.54, -0.12, 0.13)
    )
    return [
        (slab(x, y, 0, 0.52, 0.28, 0.42), CREAM),
        (cap, "main"),
        (spots, CREAM),
    ]


def _balloon(x: Tensor, y: Tensor) -> Layers:
    body = (torch.hypot(x / 0.66, (y + 0.26) / 0.72) - 1) * 0.66
    knot = polygon(x, y, [(0, 0.40), (0.16, 0.60), (-0.16, 0.60)])
    string = common((x - 0.06 * torch.sin(y * 9)).abs() - 0.035, (y - 0.78).abs() - 0.22)
    return [(string, "ink"), (union(body, knot), "main")]


SHAPES: dict[str, Callable[[Tensor, Tensor], Layers]] = {
    "circle": lambda x, y: [(disc(x, y, 0, 0, 0.95), "main")],
    "square": lambda x, y: [(slab(x, y, 0, 0, 0.82, 0.82), "main")],
    "triangle": lambda x, y: [(polygon(x, y, [(0, -0.92), (0.98, 0.78), (-0.98, 0.78)]), "main")],
    "star": _star,
    "heart": _heart,
    "diamond": lambda x, y: [((x.abs() / 0.68 + y.abs() - 1) / 1.78, "main")],
    "ring": lambda x, y: [((torch.hypot(x, y) - 0.70).abs() - 0.25, "main")],
    "cross": lambda x, y: [(union(slab(x, y, 0, 0, 0.9, 0.3), slab(x, y, 0, 0, 0.3, 0.9)), "main")],
    "moon": _moon,
    "flower": _flower,
    "sun": _sun,
    "cloud": _cloud,
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "fish": _fish,
    "cat": _cat,
    "smiley": _smiley,
    "mushroom": _mushroom,
    "balloon": _balloon,
}
"""Each kind's layers from its coordinates; the first "main" layer carries the thing's colour."""
