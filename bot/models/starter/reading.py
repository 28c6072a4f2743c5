"""Read a picture back: which colours, what kinds, how many, and where.

Nothing here is learned. Colour is the nearest of the palette inside the region where our renderer
puts it; kind is the rendering, among all kinds, nearest to the picture around each thing; count,
relation, landscape, light and style are those of the rendering nearest to the whole picture. Grain
is what differs on plain ground from place to place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from bot.models.starter.grammar import Scene
from bot.models.starter.layout import Painting, Stroke, arrange
from bot.models.starter.render import render
from bot.models.starter.shapes import SHAPES
from bot.models.starter.vocabulary import (
    COLOURS,
    COUNTS,
    KINDS,
    PLACES,
    RELATIONS,
    STYLES,
    TIMES,
)

_NAMES = list(COLOURS)
_PALETTE = torch.tensor(list(COLOURS.values()))
SIDE = 64
AWAY = 0.06
"""How far from every edge ground is plain, in scene units."""
NEAR = 25
"""Pixels, of 512, over which neighbours are averaged: three latents' width."""


def shrink(picture: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Return the picture (3, h, w) averaged down to `side` by `side`."""
    return F.adaptive_avg_pool2d(picture.float(), side)


def nearest_colour(rgb: torch.Tensor) -> str:
    """Return the palette's name for a colour (3,) in 0..1."""
    return _NAMES[int((_PALETTE - rgb).square().sum(dim=1).argmin())]


def read_background(picture: torch.Tensor) -> str:
    """Return the colour of the picture's rim."""
    rim = torch.cat((picture[:, 0], picture[:, -1], picture[:, :, 0], picture[:, :, -1]), dim=1)
    return nearest_colour(rim.median(dim=1).values)


def read_colour(picture: torch.Tensor, painting: Painting, index: int) -> str:
    """Return the colour where the stroke's own colour should show, (3, SIDE, SIDE) given."""
    inside = _main_region(painting, index)
    return nearest_colour(picture[:, inside].median(dim=1).values)


def read_kind(picture: torch.Tensor, painting: Painting, index: int) -> str:
    """Return the kind whose rendering in the stroke's place is nearest to the picture.

    Every candidate has the stroke's own colour, so that only the form decides; a shift of one
    sixty-fourth of the side is forgiven.
    """
    stroke = painting.strokes[index]
    options = [
        replace(
            painting,
            strokes=tuple(
                replace(own, kind=kind) if _same(own, stroke, painting.scene) else own
                for own in painting.strokes
            ),
        )
        for kind in KINDS
    ]
    drawn = render(options, SIDE, SIDE, supersample=2)
    middle_x, middle_y = (round((value + 0.5) * SIDE) for value in (stroke.x, stroke.y))
    reach = round(stroke.radius * SIDE * 1.15) + 1
    rows = slice(max(0, middle_y - reach), middle_y + reach)
    columns = slice(max(0, middle_x - reach), middle_x + reach)
    errors = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            moved = torch.roll(picture, (dy, dx), dims=(1, 2))
            errors.append((drawn - moved)[:, :, rows, columns].abs().mean(dim=(1, 2, 3)))
    return list(KINDS)[int(torch.stack(errors).amin(dim=0).argmin())]


def read_landscape(picture: torch.Tensor, painting: Painting) -> tuple[str, str]:
    """Return the place and the time of day of a picture (3, SIDE, SIDE) of a landscape."""
    options = [(place, time) for place in PLACES[1:] for time in TIMES]
    scenes = [replace(painting.scene, place=place, time=time) for place, time in options]
    return options[_nearest(picture, [replace(painting, scene=scene) for scene in scenes])]


def read_style(picture: torch.Tensor, painting: Painting) -> str:
    """Return the style of a picture (3, SIDE, SIDE) whose scene is known."""
    scenes = [replace(painting.scene, style=style) for style in STYLES]
    return STYLES[_nearest(picture, [replace(painting, scene=scene) for scene in scenes])]


def _nearest(picture: torch.Tensor, options: list[Painting]) -> int:
    drawn = render(options, SIDE, SIDE, supersample=2)
    return int((drawn - picture).abs().mean(dim=(1, 2, 3)).argmin())


def read_count(picture: torch.Tensor, scene: Scene, numbers: Sequence[float], spread: float) -> int:
    """Return how many of the scene's thing a picture (3, SIDE, SIDE) shows."""
    options = [replace(scene, count=count) for count in COUNTS]
    return list(COUNTS)[_nearest(picture, [arrange(o, numbers, spread) for o in options])]


def read_relation(
    picture: torch.Tensor, scene: Scene, numbers: Sequence[float], spread: float
) -> str:
    """Return how the scene's two things stand to each other in a picture (3, SIDE, SIDE)."""
    options = [replace(scene, relation=relation) for relation in RELATIONS]
    return RELATIONS[_nearest(picture, [arrange(o, numbers, spread) for o in options])]


def plain_ground(paintings: Sequence[Painting], side: int) -> torch.Tensor:
    """Return where all of the paintings show plain ground, (side, side)."""
    axis = (torch.arange(side) + 0.5) / side - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    ground = torch.ones(side, side, dtype=torch.bool)
    for stroke in (own for painting in paintings for own in painting.strokes):
        local_x, local_y = (x - stroke.x) / stroke.radius, (y - stroke.y) / stroke.radius
        for distance, _ in SHAPES[stroke.kind](local_x, local_y):
            ground &= distance * stroke.radius > AWAY
    return ground


def read_grain(picture: torch.Tensor, ground: torch.Tensor) -> float:
    """Return the standard deviation of a picture (3, 512, 512) about its surroundings, in 0..1.

    Only `ground` (512, 512) is looked at, and averaged over as surroundings.
    """
    inside = ground.float()[None]

    def around(values: torch.Tensor) -> torch.Tensor:
        rows = F.avg_pool2d(values[None], (NEAR, 1), stride=1, padding=(NEAR // 2, 0))
        return F.avg_pool2d(rows, (1, NEAR), stride=1, padding=(0, NEAR // 2))[0]

    # The share of ground makes up for what lies outside of it, and of the picture.
    surroundings = around(picture * inside) / around(inside).clamp(min=1e-6)
    return float((picture - surroundings)[:, ground].square().mean().sqrt())


def _same(own: Stroke, stroke: Stroke, scene: Scene) -> bool:
    # Repeated things are all of one kind, and are judged as one.
    return own is stroke or scene.count > 1


def _main_region(painting: Painting, index: int) -> torch.Tensor:
    """Return where only the stroke's own colour shows, well off every edge, (SIDE, SIDE)."""
    axis = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    stroke = painting.strokes[index]
    layers = SHAPES[stroke.kind]((x - stroke.x) / stroke.radius, (y - stroke.y) / stroke.radius)
    region = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for depth in (0.02, 0.01, 0.0):
        for distance, fill in layers:
            scaled = distance * stroke.radius
            region = (region | (scaled < -depth)) if fill == "main" else region & (scaled > depth)
        for above in painting.strokes[index + 1 :]:
            for distance, _ in SHAPES[above.kind](
                (x - above.x) / above.radius, (y - above.y) / above.radius
            ):
                region = region & (distance * above.radius > depth)
        if int(region.sum()) >= 4:
            break
    return region
