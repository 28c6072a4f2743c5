"""A pipeline that draws without a model: photo-like pixels after a fixed time, for load tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bot.engine.protocol import SoleOwner, unet_rows
from bot.request import Draw, Pixels, WeightSet, effective_steps


@dataclass(slots=True, eq=False)
class NullSample:
    """A picture that only counts its steps."""

    draw: Draw
    steps_left: int


@dataclass(frozen=True, slots=True)
class NullDecoded:
    """Pictures that are ready at once."""

    pictures: list[Pixels | None]

    def collect(self) -> list[Pixels | None]:
        """Return the pictures."""
        return self.pictures


class NullPipeline(SoleOwner):
    """Stands in for a device: each UNet call sleeps, and the pixels depend on the seed alone.

    `step_seconds` is slept per call and `row_seconds` besides per UNet row.
    """

    model_name = "null"
    device_name = "none"
    full_speed = True
    weight_set = WeightSet()

    def __init__(self, *, step_seconds: float = 0.0, row_seconds: float = 0.0) -> None:
        self.step_seconds = step_seconds
        self.row_seconds = row_seconds

    def use(self, weight_set: WeightSet) -> bool:
        """Draw the same with any weights."""
        self.weight_set = weight_set
        return True

    def start(self, draws: Sequence[Draw]) -> list[NullSample]:
        """Return one sample per draw."""
        return [NullSample(draw, _steps(draw)) for draw in draws]

    def step(self, samples: Sequence[NullSample]) -> None:
        """Sleep as long as the call is said to take."""
        rows = sum(unet_rows(sample.draw) for sample in samples)
        if seconds := self.step_seconds + self.row_seconds * rows:
            time.sleep(seconds)
        for sample in samples:
            sample.steps_left -= 1

    def decode(self, samples: Sequence[NullSample]) -> NullDecoded:
        """Return each sample's picture."""
        return NullDecoded([self.redo(sample.draw) for sample in samples])

    def redo(self, draw: Draw) -> Pixels:
        """Return the picture of `draw`."""
        # Its rows rolled round: different for each seed at the cost of one memory copy.
        photo = photo_like(draw.width, draw.height)
        first = draw.seed % len(photo)
        return np.concatenate((photo[first:], photo[:first]))

    def prepare(self, max_rows: int) -> None:
        """Do nothing: any number of rows is the same."""

    def improve(self, idle_seconds: float) -> bool:
        """Do nothing: it is as fast as it gets."""
        return False

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell that memory never runs out by our doing."""
        return False

    def free_memory(self) -> None:
        """Do nothing: nothing is held."""

    def peak_memory(self) -> int:
        """Return 0: nothing is held."""
        return 0


@lru_cache(maxsize=8)
def photo_like(width: int, height: int) -> Pixels:
    """Return pixels (height, width, 3) that compress like a photograph.

    Sums of smooth noise at halving scales have the 1/f spectrum of natural pictures (Field, 1987);
    a little grain on top gives a PNG of about the size a camera's picture has.
    """
    generator = np.random.default_rng(2024)
    planes = np.zeros((height, width, 3))
    scale, weight = max(width, height) // 4, 1.0
    while scale >= 1:
        grid = generator.normal(size=(height // scale + 2, width // scale + 2, 3))
        y = np.linspace(0, height / scale, height)
        x = np.linspace(0, width / scale, width)
        top, left = y.astype(int), x.astype(int)
        down = (y - top)[:, None, None]
        across = (x - left)[None, :, None]
        upper = grid[top][:, left] * (1 - across) + grid[top][:, left + 1] * across
        lower = grid[top + 1][:, left] * (1 - across) + grid[top + 1][:, left + 1] * across
        planes += weight * (upper * (1 - down) + lower * down)
        scale, weight = scale // 2, weight * 0.55
    planes = 128 + 55 * planes / planes.std() + generator.normal(scale=2.0, size=planes.shape)
    pixels: Pixels = planes.clip(0, 255).astype(np.uint8)
    return pixels


def _steps(draw: Draw) -> int:
    if not draw.sources:
        return draw.num_inference_steps
    steps = effective_steps(draw.num_inference_steps, draw.strength)
    return min(int(steps * draw.strength), steps)
