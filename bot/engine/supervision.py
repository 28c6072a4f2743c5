"""What a worker and whoever supervises it tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bot.engine.backlog import Job
    from bot.engine.worker import DeviceWorker


FAILURES_IN_A_ROW = 8
"""After so many failed pictures and none drawn between, the device itself is taken to be broken."""


class Supervisor(Protocol):
    """Who is told how a worker fares. Called from the worker's thread."""

    def worker_ready(self, worker: DeviceWorker[Any]) -> None:
        """The model is loaded and the batch budget known."""

    def worker_failed(self, worker: DeviceWorker[Any], error: BaseException) -> None:
        """The worker could not start, or its thread ended for good."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call into the pipeline that has not come back; `started` is a `time.perf_counter`.

    An overhaul changes the pipeline: it loads weights, compiles, captures or measures, which may
    take far longer than drawing.
    """

    started: float
    jobs: tuple[Job, ...] = ()
    overhaul: bool = False


class Retired(BaseException):
    """The worker was replaced while it was inside a call."""


class DeviceBrokenError(BaseException):
    """Nothing succeeds on the device any more. Not an Exception: no single call is to blame."""
