"""The jobs that one worker has in hand, and handing them over when it is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bot.engine.backlog import Job
from bot.engine.turns import Turns


class Custody:
    """What a worker has begun, beside what it inherited and has not.

    Its own thread takes and releases; the event loop takes everything away, once.
    """

    def __init__(self, turns: Turns) -> None:
        self.held: list[Job] = []
        self._turns = turns
        self._handing_over = threading.Lock()
        self._handed_over: list[Job] = []

    @property
    def jobs(self) -> list[Job]:
        """All jobs that are with the worker, those it has not begun included."""
        return [*self.held, *self._turns.inherited]

    def release(self, job: Job) -> bool:
        """Stop holding a job; False when it was not held any more."""
        if job not in self.held:
            return False
        self.held.remove(job)
        return True

    def hand_over(self, retire: Callable[[], None]) -> list[Job]:
        """Make the worker `retire`, and return its jobs: the caller sees to them now."""
        with self._handing_over:
            retire()
            self._handed_over = self.jobs
        return self._handed_over

    def left_behind(self) -> list[Job]:
        """Return what the thread took in the very instant of handing over: nobody else has it."""
        with self._handing_over:
            return [job for job in self.jobs if job not in self._handed_over]
