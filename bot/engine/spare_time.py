"""What a device's thread does when it has time: capture, compile, measure the batch budget."""

from __future__ import annotations

import logging
import time
from typing import Any

from bot.engine.batch import RunningBatch
from bot.engine.budgets import Budgets
from bot.engine.protocol import Pipeline

log = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
"""How long an idle thread sleeps before it looks around."""

SETTLING_SECONDS = 0.25
"""And while there are graphs to capture yet."""

IMPROVE_EVERY = 8
"""While there is work, every so many turns the pipeline may capture one graph."""


class SpareTime:
    """Knows how long a thread has been idle, and lets its pipeline get faster meanwhile."""

    def __init__(self, name: str, budgets: Budgets) -> None:
        self.name = name
        self._budgets = budgets
        self._since = time.perf_counter()
        self._rounds = 0
        self._gave_up = False

    def begin(self) -> None:
        """Count from now: the thread can draw."""
        self._since = time.perf_counter()

    def is_over(self, pipeline: Pipeline[Any]) -> bool:
        """Return whether there is nothing left to capture, compile or measure."""
        return self._gave_up or (pipeline.full_speed and self._budgets.settled)

    def use(
        self, pipeline: Pipeline[Any], batch: RunningBatch[Any], *, idle: bool, waiting: bool
    ) -> float:
        """Let the pipeline use spare time; return how long to wait for work after that.

        `waiting` tells that an idle thread has jobs which only wait for other weights.
        """
        now = time.perf_counter()
        if not idle:
            self._since = now
            self._rounds += 1
            if self._rounds % IMPROVE_EVERY:
                return 0.0
        elif waiting:
            return 0.0
        if not self._gave_up:
            try:
                if pipeline.improve(now - self._since):
                    return 0.0
                if idle and (rows := self._budgets.refine(pipeline)):
                    batch.max_rows = rows
            except Exception:
                log.exception("%s cannot be made faster; going on as it is", self.name)
                self._gave_up = True
        if not idle:
            return 0.0
        return IDLE_SECONDS if self.is_over(pipeline) else SETTLING_SECONDS
