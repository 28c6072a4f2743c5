"""Paint batches of paintings, in any size, in five styles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from bot.models.starter.backdrop import backdrop
from bot.models.starter.layout import Painting, Stroke
from bot.models.starter.shapes import CREAM, SHAPES, Paint
from bot.models.starter.vocabulary import Rgb

INK: Rgb = (0.08, 0.07, 0.09)
LINE = 0.022
"""The outlined style's line width, in scene units."""
BLOCK = 32
"""Pixel-art blocks along the shorter side."""
NIGHT: Rgb = (0.03, 0.03, 0.08)


def render(
    paintings: Sequence[Painting],
    height: int,
    width: int,
    *,
    supersample: int = 1,
    window: tuple[float, float, float] = (0.0, 0.0, 1.0),
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return pictures (n, 3, height, width), RGB in 0..1.

    `window` is a square part of the picture, its left and top edges and its side as shares of the
    whole, for crops at full sharpness; `supersample` averages that many samples per pixel side.
    """
    h, w = height * supersample, width * supersample
    left, top, side = window
    pixel = side / min(h, w)
    across = (torch.arange(w, device=device) + 0.5) * pixel + (left - 0.5) * width / min(
        height, width
    )
    down = (torch.arange(h, device=device) + 0.5) * pixel + (top - 0.5) * height / min(
        height, width
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    canvas = torch.stack([_backdrop(painting, x, y, pixel) for painting in paintings])
    for level in range(max(len(painting.strokes) for painting in paintings)):
        groups: dict[str, list[int]] = defaultdict(list)
        for i, painting in enumerate(paintings):
            if level < len(painting.strokes):
                groups[painting.strokes[level].kind].append(i)
        for kind, rows in groups.items():
            strokes = [paintings[i].strokes[level] for i in rows]
            styles = [paintings[i].scene.style for i in rows]
            canvas[rows] = _draw(canvas[rows], kind, strokes, styles, x, y, pixel)
    for i, painting in enumerate(paintings):
        if painting.scene.style == "pixel":
            canvas[i] = blocks(canvas[i], round(min(h, w) / side) // BLOCK)
    return F.avg_pool2d(canvas, supersample) if supersample > 1 else canvas


def _backdrop(painting: Painting, x: torch.Tensor, y: torch.Tensor, pixel: float) -> torch.Tensor:
    return wash(backdrop(painting, x, y, pixel), painting.scene.style)


def wash(canvas: torch.Tensor, style: str) -> torch.Tensor:
    """Return a ground (3, h, w) in the paler or darker colours that a style gives it."""
    if style == "watercolour":
        return canvas * 0.55 + 0.45 * _column(CREAM, canvas)
    if style == "neon":
        return canvas * 0.25 + 0.75 * _column(NIGHT, canvas)
    return canvas


def _draw(
    canvas: torch.Tensor,
    kind: str,
    strokes: Sequence[Stroke],
    styles: Sequence[str],
    x: torch.Tensor,
    y: torch.Tensor,
    pixel: float,
) -> torch.Tensor:
    """Paint one kind onto the canvases (n, 3, h, w), one stroke each."""
    numbers = torch.tensor([(s.x, s.y, s.radius) for s in strokes], device=canvas.device)
    cx, cy, radius = (column[:, None, None] for column in numbers.unbind(1))
    local_x, local_y = (x - cx) / radius, (y - cy) / radius
    flags = {
        style: torch.tensor([own == style for own in styles], device=canvas.device).view(
            -1, 1, 1, 1
        )
        for style in set(styles)
    }
    wet, lined, lit = flags.get("watercolour"), flags.get("outlined"), flags.get("neon")
    if wet is not None:
        sway = 0.05 * wet[:, 0]
        local_x = local_x + sway * torch.sin(local_y * 7 + 1)
        local_y = local_y + sway * torch.sin(local_x * 6)
    for distance, fill in SHAPES[kind](local_x, local_y):
        d = (distance * radius)[:, None]
        colour = _colours(fill, strokes, canvas)
        edge = torch.as_tensor(pixel, device=canvas.device)
        opacity = torch.as_tensor(1.0, device=canvas.device)
        if wet is not None:
            edge = torch.where(wet, pixel + 0.012, edge)
            # Pigment gathers where the wash ends.
            pooled = 0.55 + 0.35 * torch.exp(-(d / 0.02).abs())
            opacity = torch.where(wet, pooled, opacity)
        if lit is not None:
            if fill == "main":
                halo = torch.exp(-d.clamp(min=0) / 0.05) * 0.5 * lit
                canvas = torch.lerp(canvas, colour.expand_as(canvas), halo.expand_as(canvas))
            tube = colour + (1 - colour) * 0.35 * torch.exp(-(d / 0.012).square())
            dim = torch.where((d.abs() < 0.016), tube, colour * 0.45)
            colour = torch.where(lit, dim, colour)
        cover = (0.5 - d / edge).clamp(0, 1) * opacity
        canvas = torch.lerp(canvas, colour.expand_as(canvas), cover.expand_as(canvas))
        if lined is not None:
            line = (0.5 - (d.abs() - LINE / 2) / pixel).clamp(0, 1) * lined
            canvas = torch.lerp(
                canvas, _column(INK, canvas).expand_as(canvas), line.expand_as(canvas)
            )
    return canvas


def _colours(fill: Paint, strokes: Sequence[Stroke], like: torch.Tensor) -> torch.Tensor:
    """Return what fills a layer, (n, 3, 1, 1)."""
    rows = []
    for stroke in strokes:
        main = stroke.colour
        if fill == "main":
            rows.append(main)
        elif fill == "shade":
            rows.append((main[0] * 0.55, main[1] * 0.55, main[2] * 0.55))
        elif fill == "ink":
            rows.append(INK if luminance(main) > 0.25 else CREAM)
        else:
            rows.append(fill)
    return torch.tensor(rows, device=like.device)[:, :, None, None]


def luminance(colour: Rgb) -> float:
    """Return a colour's brightness in 0..1 (Rec. 601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def blocks(canvas: torch.Tensor, size: int) -> torch.Tensor:
    """Return `canvas` (3, h, w) with each block of `size` pixels replaced by its mean.

    Sizes that leave a rest keep it.
    """
    if size < 2:
        return canvas
    _, h, w = canvas.shape
    small = F.avg_pool2d(canvas[None], size, ceil_mode=True)
    return F.interpolate(small, scale_factor=size, mode="nearest")[0, :, :h, :w]


def _column(colour: Rgb, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(colour, device=like.device)[:, None, None]
