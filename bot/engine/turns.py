"""Which weights a device draws with next, and the waiting jobs that are drawn with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bot.engine.backlog import Backlog, Job
from bot.engine.protocol import Pipeline
from bot.request import WeightSet


class Turns:
    """A worker's view of the backlog, and of the jobs it `inherited`, by weight set.

    The job whose turn it is decides. If it needs other weights than are in use, jobs for those may
    go before it while they have not had their turn; then nothing is started until all that runs has
    left, and the weights change. So weights are changed rarely, and nobody waits for ever: going
    before others is charged for in the fair queue, and with every change the job whose turn it is
    comes in.
    """

    def __init__(self, backlog: Backlog, inherited: Sequence[Job] = ()) -> None:
        self.inherited = list(inherited)
        self._backlog = backlog

    def __len__(self) -> int:
        return len(self.inherited) + len(self._backlog)

    def wanted(
        self, pipeline: Pipeline[Any], *, drawing: bool, timeout: float = 0.0
    ) -> WeightSet | None:
        """Return the weights that jobs may be started with now; None when none may.

        `drawing` tells whether pictures of the weights in use are under way. Waits up to `timeout`
        seconds for a first job.
        """
        job = self.inherited[0] if self.inherited else self._backlog.peek(timeout=timeout)
        if job is None:
            return None
        current = pipeline.weight_set
        if job.draw.weight_set == current:
            return current
        if not pipeline.settled and self._backlog.peek(_of(current)) is not None:
            return current
        return None if drawing else job.draw.weight_set

    def take(self, weight_set: WeightSet, limit: int, fits: Callable[[Job], bool]) -> list[Job]:
        """Take up to `limit` jobs of one weight set in fair order, while the next one fits."""
        matches = _of(weight_set)
        jobs = [job for job in self.inherited if matches(job)][:limit]
        if not jobs:
            return self._backlog.take(limit, fits, among=matches)
        self.inherited = [job for job in self.inherited if job not in jobs]
        return jobs

    def refuse(self, weight_set: WeightSet, error: Exception) -> None:
        """Fail all that waits for weights that cannot be had."""
        while jobs := self.take(weight_set, len(self), lambda job: True):
            for job in jobs:
                job.owner.failed(job, error)


def _of(weight_set: WeightSet) -> Callable[[Job], bool]:
    return lambda job: job.draw.weight_set == weight_set
