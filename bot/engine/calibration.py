"""Find the batch budget of a device by trying it, in bounded time, and remember it."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bot.engine.protocol import Pipeline
from bot.request import Draw

log = logging.getLogger(__name__)

WORTH_IT = 1.10
"""A larger batch is taken only if it draws this many times as much: it makes everyone wait."""

ROWS = (1, 2, 4, 8, 16)

FIRST_ROWS = 8
"""What an accelerator begins with, until it is at its speed and can be measured."""


def choose_rows(seconds: Mapping[int, float], *, worth: float = WORTH_IT) -> int:
    """Return the batch to use, given the seconds that a picture's way takes in each.

    `seconds` maps rows to the time in which that many pictures are drawn together. Starting from
    the smallest batch, a larger one has to draw `worth` times as many pictures a second.
    """
    best, best_rate = 1, 0.0
    for rows in sorted(seconds):
        rate = rows / seconds[rows]
        if rate >= best_rate * worth or not best_rate:
            best, best_rate = rows, rate
    return best


def measure(
    pipeline: Pipeline[Any],
    *,
    size: int,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, float]:
    """Draw batches of growing size until `seconds` are used up; return the time each took.

    A batch that runs out of memory, or is slower per picture than the one before, ends the trial.
    """
    deadline = clock() + seconds
    found: dict[int, float] = {}
    for rows in ROWS:
        # The next batch takes about twice as long, and runs twice: the first time is a warm-up.
        if found and clock() + 4 * found[rows // 2] > deadline:
            break
        try:
            took = min(_draw_once(pipeline, rows, size, clock) for _ in range(2))
        except Exception as error:
            if not found or not pipeline.is_out_of_memory(error):
                raise
            pipeline.free_memory()
            break
        found[rows] = took
        if rows > 1 and rows / took < (rows // 2) / found[rows // 2]:
            break
    return found


class Calibration:
    """The batch budgets of devices, measured once and remembered in a file of `folder`.

    `versions` says with what they were measured; with others they are measured anew.
    """

    def __init__(self, folder: Path, versions: str) -> None:
        self.path = folder / "calibration.json"
        self.versions = versions

    def remembered(self, pipeline: Pipeline[Any], size: int) -> int | None:
        """Return the budget of an earlier start for this model, device and `size`."""
        rows = _read(self.path).get(self._key(pipeline, size))
        return rows if isinstance(rows, int) and rows > 0 else None

    def measure(self, pipeline: Pipeline[Any], size: int, *, seconds: float = 2.0) -> int:
        """Measure the budget on a pipeline at full speed, and remember it."""
        started = time.perf_counter()
        # Measured at full speed: a device bound by its host would ask for far too large batches.
        pipeline.prepare(ROWS[-1])
        while pipeline.improve(0.0):
            pass
        times = measure(pipeline, size=size, seconds=seconds)
        rows = choose_rows(times)
        # A trial that ran out of memory took all graphs with it.
        pipeline.prepare(rows)
        log.info(
            "Calibrated %s in %.1f s: %s; at most %d UNet rows a call",
            pipeline.device_name,
            time.perf_counter() - started,
            ", ".join(f"{n} in {took * 1000:.0f} ms" for n, took in times.items()),
            rows,
        )
        _write(self.path, {**_read(self.path), self._key(pipeline, size): rows})
        return rows

    def _key(self, pipeline: Pipeline[Any], size: int) -> str:
        machine = f"{platform.machine()} {platform.processor()}".strip()
        parts = (pipeline.model_name, pipeline.device_name, machine, self.versions, str(size))
        return " | ".join(parts)


def _draw_once(pipeline: Pipeline[Any], rows: int, size: int, clock: Callable[[], float]) -> float:
    draws = [Draw("calibration", seed, size, size) for seed in range(rows)]
    started = clock()
    samples = pipeline.start(draws)
    while samples[0].steps_left:
        pipeline.step(samples)
    pipeline.decode(samples).collect()
    return clock() - started


def _read(path: Path) -> dict[str, Any]:
    """Return what is remembered; nothing when the file is absent or unreadable."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("Ignoring %s: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, found: Mapping[str, Any]) -> None:
    """Remember `found`; a folder that cannot be written only costs the next start its time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(found, indent=1), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        log.warning("The calibration cannot be kept in %s: %s", path, error)
