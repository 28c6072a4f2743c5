"""Where things go: a scene and what the noise decides become strokes on a canvas.

Scene coordinates have their origin in the middle, run right and down, and the canvas's shorter side
is 1 long, so that one layout serves every aspect ratio.

Middles lie on a grid of eighths and radii are few, because an eighth is one place of the UNet's
coarsest level: a thing drawn in one place is then drawn alike in all. With middles and radii
anywhere, kinds were still blobs after 70,000 pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from bot.models.starter.grammar import ANYWHERE, HOME, Scene, Thing
from bot.models.starter.vocabulary import COLOURS, PAPER, Rgb

HORIZON = 0.14
"""How far below the middle the ground begins, in scene units."""
CELL = 0.125
"""The grid that middles lie on."""
STEP = 2 * CELL
"""Half the distance between neighbours."""
SMALL, MEDIUM, LARGE, HUGE = 0.15, 0.20, 0.30, 0.41
"""The radii there are."""
RADII = {"small": SMALL, "medium": LARGE, "big": HUGE}
GROUND_RADII = {"small": SMALL, "medium": MEDIUM, "big": LARGE}
ROOM = {"small": 2, "medium": 1, "big": 0}
"""How many cells a thing by itself may be from the middle."""

_ROWS: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((-STEP, 0), (STEP, 0)),
    3: ((0, -STEP), (-STEP, STEP), (STEP, STEP)),
    4: ((-STEP, -STEP), (STEP, -STEP), (-STEP, STEP), (STEP, STEP)),
    5: ((-STEP, -STEP), (STEP, -STEP), (0, 0), (-STEP, STEP), (STEP, STEP)),
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
    """Return two numbers in 0..1 for each picture, read off its initial noise (n, c, h, w).

    A channel's sum over a chessboard of signs, by √(h·w), is a standard normal; its distribution
    function makes it uniform. The plain sum would do for noise alone; but at strength 1 a trace of
    the source is left in it, whose mean is large where its chessboard is nearly 0.
    """
    height, width = noise.shape[2:]
    row, column = torch.arange(height)[:, None], torch.arange(width)
    signs = (1 - 2 * ((row + column) % 2)).to(noise.device)
    sums = (noise[:, :2].float() * signs).sum(dim=(2, 3)) / math.sqrt(height * width)
    return 0.5 * (1 + torch.erf(sums / math.sqrt(2)))


def arrange(scene: Scene, numbers: Sequence[float], spread: float) -> Painting:
    """Place the scene's things; `spread` 0 is the middle layout, 1 the widest the model knows."""
    across, down = (0.5 + (value - 0.5) * spread for value in numbers)
    strokes = tuple(
        Stroke(thing.kind, x, y, radius, 0.0, COLOURS[thing.colour])
        for thing, x, y, radius in _places(scene, across, down)
    )
    return _painting(scene, strokes)


def rearrange(painting: Painting, scene: Scene) -> Painting:
    """Put a remix's scene (see `grammar.remix`) where the painting's things are.

    Where there are none, its own go to the middle: the source does not say where else.
    """
    if not painting.strokes:
        return arrange(scene, (0.5, 0.5), 0.0)
    things = reversed(scene.things) if scene.relation else scene.things * len(painting.strokes)
    turned = scene.relation != painting.scene.relation
    strokes = tuple(
        replace(stroke, kind=thing.kind, colour=COLOURS[thing.colour])
        for stroke, thing in zip(painting.strokes[:: -1 if turned else 1], things, strict=True)
    )
    return _painting(scene, strokes)


def _painting(scene: Scene, strokes: tuple[Stroke, ...]) -> Painting:
    if scene.place == ANYWHERE:
        scene = replace(scene, place=HOME)
    background = COLOURS[scene.background] if scene.background else PAPER
    return Painting(scene, strokes, background)


def _places(scene: Scene, across: float, down: float) -> list[tuple[Thing, float, float, float]]:
    if not scene.things:
        return []
    first = scene.things[0]
    if scene.place != "plain":
        return [(first, _shift(across, 2), CELL, GROUND_RADII[scene.size])]
    if scene.relation == "inside":
        return [(scene.things[1], 0, 0, HUGE), (first, 0, 0, SMALL)]
    if scene.relation:
        (x1, y1), (x2, y2) = _PAIRS[scene.relation]
        # A pair moves across the line between its two.
        x = _shift(across, 1) if x1 == x2 else 0.0
        y = _shift(down, 1) if y1 == y2 else 0.0
        return [
            (scene.things[1], x2 + x, y2 + y, MEDIUM),
            (first, x1 + x, y1 + y, MEDIUM),
        ]
    if scene.count > 1:
        radius = SMALL if scene.count == 5 else MEDIUM
        y = _shift(down, 1) if scene.count == 2 else 0.0
        return [(first, x, y + own, radius) for x, own in _ROWS[scene.count]]
    room = ROOM[scene.size]
    return [(first, _shift(across, room), _shift(down, room), RADII[scene.size])]


def _shift(number: float, cells: int) -> float:
    """Return one of the 2·cells + 1 steps from the middle, as likely as all others."""
    return CELL * (min(int(number * (2 * cells + 1)), 2 * cells) - cells)
