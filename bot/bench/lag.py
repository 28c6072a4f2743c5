"""Small gauges for benches of the whole bot: loop lag, peak memory, percentiles."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from typing import Final, Self

TICK_SECONDS: Final = 0.02


class LoopLag:
    """Measures, while entered, how late the event loop wakes what asked for `TICK_SECONDS`."""

    def __init__(self) -> None:
        self.samples_ms: list[float] = []
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticking is not None
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            late = time.perf_counter() - began - TICK_SECONDS
            self.samples_ms.append(max(0.0, late * 1000))


def peak_memory_mib() -> float:
    """Return the most memory this process ever held, in MiB (getrusage's ru_maxrss)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed (nearest rank); 0 for none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
