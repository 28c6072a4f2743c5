"""One picture on its way through TurboPipeline, and pictures on their way to the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bot.engine.noise_schedule import StepPlan
from bot.engine.prompts import Condition
from bot.request import Draw, Pixels


@dataclass(slots=True, eq=False)
class TurboSample:
    """One picture between its first noise and its last step."""

    draw: Draw
    plan: StepPlan
    condition: Condition
    negative: Condition | None
    latents: torch.Tensor
    """(1, c, h, w), fp32, on the device."""
    noise: torch.Tensor
    """(n, c, h, w): what each step adds, drawn at once from the sample's own generator."""
    timesteps: torch.Tensor
    coefficients: torch.Tensor
    time_ids: torch.Tensor
    guidance: torch.Tensor | None
    index: int = 0

    @property
    def steps_left(self) -> int:
        """UNet calls still to make."""
        return self.plan.steps - self.index


@dataclass(slots=True, eq=False)
class DecodedPictures:
    """Pixels on their way to the host."""

    pixels: torch.Tensor
    usable: torch.Tensor
    samples: Sequence[TurboSample]

    def collect(self) -> list[Pixels | None]:
        """Wait for the device; None where a picture is not usable."""
        flags = self.usable.tolist()
        host = self.pixels.cpu().numpy()
        return [
            host[i] if flag or _may_be_black(sample.draw) else None
            for i, (flag, sample) in enumerate(zip(flags, self.samples, strict=True))
        ]


def _may_be_black(draw: Draw) -> bool:
    """Whether an all-black result can be right: it was made from a picture that is almost black."""
    return any(np.asarray(picture.convert("L")).max() <= 8 for picture in draw.sources)
