"""Where things go: a scene and what the noise decides become strokes on a canvas.

Scene coordinates have their origin in the middle, run right and down, and the canvas's shorter side
is 1 long, so that one layout serves every aspect ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bot.models.starter.grammar import Scene, Thing
from bot.models.starter.vocabulary import COLOURS, PAPER, Rgb

HORIZON = 0.14
"""How far below the middle the ground begins, in scene units."""
STEP = 0.24
"""Half the distance between neighbours."""
RADII = {"small": 0.17, "medium": 0.30, "big": 0.42}
GROUND_RADII = {"small": 0.15, "medium": 0.22, "big": 0.29}

_ROWS: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((-STEP, 0), (STEP, 0)),
    3: ((0, -STEP), (-STEP, STEP), (STEP, STEP)),
    4: ((-STEP, -STEP), (STEP, -STEP), (-STEP, STEP), (STEP, STEP)),
    5: ((-0.29, -0.29), (0.29, -0.29), (0, 0), (-0.29, 0.29), (0.29, 0.29)),
}
_PAIRS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "above": ((0, -STEP), (0, STEP)),
    "below": ((0, STEP), (0, -STEP)),
    "left": ((-STEP, 0), (STEP, 0)),
    "right": ((STEP, 0), (-STEP, 0)),
}


@dataclass(frozen=True, slots=True)
class Stroke:
    """One thing on the canvas: centre and radius in scene units, turn in radians."""

    kind: str
    x: float
    y: float
    radius: float
    turn: float
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Painting:
    """A scene with its layout settled: strokes from bottom to top."""

    scene: Scene
    strokes: tuple[Stroke, ...]
    background: Rgb


def layout_numbers(noise: torch.Tensor) -> torch.Tensor:
    """Return three numbers in 0..1 for each picture, read off its initial noise (n, c, h, w).

    A channel's sum over a chessboard of signs, by √(h·w), is a standard normal; its distribution
    function makes it uniform. The plain sum would do for noise alone; but at strength 1 a trace of
    the source is left in it, whose mean is large where its chessboard is nearly 0.
    """
    _, channels, height, width = noise.shape
    row, column = torch.arange(height)[:, None], torch.arange(width)
    signs = (1 - 2 * ((row + column) % 2)).to(noise.device)
    sums = (noise.float() * signs).sum(dim=(2, 3)) / math.sqrt(height * width)
    uniform = 0.5 * (1 + torch.erf(sums / math.sqrt(2)))
    return uniform[:, torch.arange(3) % channels]


def arrange(scene: Scene, numbers: Sequence[float], spread: float) -> Painting:
    """Place the scene's things; `spread` 0 is the middle layout, 1 the widest the model knows."""
    across, down, third = ((value - 0.5) * 2 * spread for value in numbers)
    placed = _places(scene, across, down, third)
    strokes = tuple(
        Stroke(thing.kind, x, y, radius, 0.0, COLOURS[thing.colour])
        for thing, x, y, radius in placed
    )
    background = COLOURS[scene.background] if scene.background else PAPER
    return Painting(scene, strokes, background)


def _places(
    scene: Scene, across: float, down: float, third: float
) -> list[tuple[Thing, float, float, float]]:
    if not scene.things:
        return []
    first = scene.things[0]
    grow = 1 + 0.15 * third
    if scene.place != "plain":
        radius = GROUND_RADII[scene.size] * grow
        # Standing on the ground, a little behind its near edge.
        return [(first, 0.22 * across, HORIZON + 0.12 - 0.75 * radius, radius)]
    if scene.relation == "inside":
        x, y = 0.06 * across, 0.06 * down
        return [(scene.things[1], x, y, 0.41), (first, x, y, 0.165 * grow)]
    if scene.relation:
        (x1, y1), (x2, y2) = _PAIRS[scene.relation]
        sideways, lengthways = 0.06 * across, 0.06 * down
        return [
            (scene.things[1], x2 + sideways, y2 + lengthways, 0.20 * (2 - grow)),
            (first, x1 + sideways, y1 + lengthways, 0.20 * grow),
        ]
    if scene.count > 1:
        radius = (0.15 if scene.count == 5 else 0.20) * (1 + 0.1 * third)
        shift = (0.05 * across, 0.05 * down)
        return [(first, x + shift[0], y + shift[1], radius) for x, y in _ROWS[scene.count]]
    room = {"small": 0.24, "medium": 0.16, "big": 0.05}[scene.size]
    return [(first, room * across, room * down, RADII[scene.size] * grow)]
