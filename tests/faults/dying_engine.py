"""turbocord on a device that is lost: `python -m tests.faults.dying_engine run`, or `web`.

The device ends its thread at the first picture, or while idle with DYING_ENGINE=idle. As
after an illegal memory access, whatever else this process tries there fails too, and what was
inside a call (here a picture check) never comes back.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bot.app
from bot.__main__ import main
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.engine.supervision import DeviceBrokenError

LOST = "CUDA error: an illegal memory access was encountered"


class DyingPipeline(NullPipeline):
    """Draws nothing and loads once."""

    loaded = False

    def __init__(self) -> None:
        super().__init__()
        if DyingPipeline.loaded:
            raise RuntimeError(LOST)
        DyingPipeline.loaded = True

    def step(self, samples: object) -> None:
        raise DeviceBrokenError(LOST)

    def improve(self, idle_seconds: float) -> bool:
        if os.environ.get("DYING_ENGINE") == "idle":
            raise DeviceBrokenError(LOST)
        return False


def dying(*_settings: Any) -> BatchScheduler:
    """Return the engine, whatever is asked for."""
    return BatchScheduler([DyingPipeline])


if __name__ == "__main__":
    bot.app.scheduler_of = dying
    ThreadPoolExecutor().submit(threading.Event().wait)
    main()
