"""Read a picture back: which colours, what kinds, how many, and where.

Nothing here is learned. Colour is the nearest of the palette inside the region where our renderer
puts it; kind is the rendering, among all kinds, nearest to the picture around each thing; how many
is a count of connected regions; a relation is told by the middles of the two colours' regions.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from bot.models.starter.grammar import Scene
from bot.models.starter.layout import Painting, Stroke
from bot.models.starter.render import render
from bot.models.starter.shapes import SHAPES
from bot.models.starter.vocabulary import COLOURS, KINDS, PAPER

_NAMES = list(COLOURS)
_PALETTE = torch.tensor(list(COLOURS.values()))
SIDE = 64


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


def read_count(picture: torch.Tensor, background: str | None) -> int:
    """Return how many separate regions differ from the background; specks do not count."""
    rgb = torch.tensor(COLOURS[background] if background else PAPER)
    ground = (picture - rgb[:, None, None]).abs().amax(dim=0) < 0.16
    return sum(size >= 12 for size in _region_sizes(~ground))


def read_relation(picture: torch.Tensor, first: str, second: str) -> str | None:
    """Return how the regions of two colours stand to each other; None where one is missing."""
    colours = torch.stack([_PALETTE[_NAMES.index(name)] for name in (first, second)])
    distances = (picture[None] - colours[:, :, None, None]).abs().amax(dim=1)
    regions = [(distance < 0.16) for distance in distances]
    if any(int(region.sum()) < 12 for region in regions):
        return None
    boxes = [_box(region) for region in regions]
    (top, bottom, left, right), (top2, bottom2, left2, right2) = boxes
    if top > top2 and bottom < bottom2 and left > left2 and right < right2:
        return "inside"
    dy = (top + bottom - top2 - bottom2) / 2
    dx = (left + right - left2 - right2) / 2
    if abs(dy) > abs(dx):
        return "above" if dy < 0 else "below"
    return "left" if dx < 0 else "right"


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


def _box(region: torch.Tensor) -> tuple[int, int, int, int]:
    rows, columns = region.any(dim=1).nonzero()[:, 0], region.any(dim=0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _region_sizes(mask: torch.Tensor) -> list[int]:
    """Return the sizes of 8-connected regions, by spreading the largest label until it rests."""
    labels = torch.arange(1, mask.numel() + 1, dtype=torch.float32).view(1, 1, *mask.shape)
    labels = labels * mask
    while True:
        spread = F.max_pool2d(labels, 3, stride=1, padding=1) * mask
        if torch.equal(spread, labels):
            break
        labels = spread
    _, sizes = torch.unique(labels[labels > 0], return_counts=True)
    return [int(size) for size in sizes]
