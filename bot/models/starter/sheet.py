"""Contact sheets: what the model draws, beside what our renderer draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from bot.models.starter.score import BATCH, draw

CELL = 176
LABEL = 14


def contact_sheet(pictures: list[torch.Tensor], labels: list[str], columns: int) -> Image.Image:
    """Return pictures (3, h, w) in 0..1 in rows, each over its label."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * CELL, rows * (CELL + LABEL)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = i % columns * CELL, i // columns * (CELL + LABEL)
        pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(
            Image.fromarray(pixels).resize((CELL - 2, CELL - 2), Image.Resampling.LANCZOS),
            (left, top),
        )
        pen.text((left + 2, top + CELL - 2), label[: CELL // 6], fill="black")
    return sheet


def prompt_sheet(
    pipeline: Any, prompts: list[str], path: Path, *, steps: int, seed: int, columns: int = 6
) -> None:
    """Draw every prompt and write the sheet to `path`, in 256 colours."""
    pictures: list[torch.Tensor] = []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        pictures += draw(pipeline, part, steps=steps, seed=seed + start)[0]
    sheet = contact_sheet(pictures, prompts, columns)
    sheet.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
