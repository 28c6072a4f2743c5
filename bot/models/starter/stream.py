"""Batches of lessons without end, made beside the training in as many processes as are given."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from bot.models.starter.lessons import LessonMaker, Lessons, Plan

_USUAL_SHARE = 0.9
"""How much is of the plan's first shape."""


class LessonStream(IterableDataset[Lessons]):
    """Endless lessons; `spread` and `supersample` may be moved while others draw from it.

    With `workers` 0 they are made where they are asked for, and the same ones for the same seed.
    """

    def __init__(self, plan: Plan, *, batch: int, seed: int, workers: int = 0) -> None:
        self.plan = plan
        self.batch = batch
        self.seed = seed
        self.workers = workers
        self._spread = multiprocessing.Value("d", plan.spread)
        self._supersample = multiprocessing.Value("i", 2)

    @property
    def spread(self) -> float:
        """How far layouts move with the noise, 0..1."""
        return float(self._spread.value)

    @spread.setter
    def spread(self, value: float) -> None:
        self._spread.value = value

    @property
    def supersample(self) -> int:
        """How many samples a side of a latent's place is rendered with; 1 is three times faster."""
        return int(self._supersample.value)

    @supersample.setter
    def supersample(self, value: int) -> None:
        self._supersample.value = value

    def __iter__(self) -> Iterator[Lessons]:
        """Make lessons, in a process's own order."""
        info = get_worker_info()
        maker = LessonMaker(self.plan, seed=self.seed * 1000 + (info.id if info else 0))
        first, *others = self.plan.shapes
        while True:
            usual = not others or maker.rng.random() < _USUAL_SHARE
            maker.spread, maker.supersample = self.spread, self.supersample
            yield maker.batch(self.batch, first if usual else maker.rng.choice(others))

    def lessons(self) -> Iterator[Lessons]:
        """Return the lessons of all workers."""
        if not self.workers:
            return iter(self)
        # Thousands of batches in flight would run out of file descriptors.
        torch.multiprocessing.set_sharing_strategy("file_system")  # type: ignore[no-untyped-call]
        loader = DataLoader(
            self,
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=4,
            pin_memory=torch.cuda.is_available(),
        )
        return iter(loader)
