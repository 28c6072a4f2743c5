"""One side's measurements, in a process of its own so that memory and start are its own too."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bot.bench.floor import floor
from bot.bench.sides import Side, open_side
from bot.bench.workload import (
    LATENCY_CASES,
    Workload,
    gate_draws,
    latency_draw,
    mixed_draw,
    workload,
)
from bot.engine.scheduler import percentile

log = logging.getLogger(__name__)

IMPORTED = time.time()
"""When all libraries were there, in seconds of the epoch."""


async def measure(side: Side, work: Workload, born: float) -> tuple[dict[str, Any], list[Any]]:
    """Return one side's figures, and the pictures by which its output is judged.

    `born` is when the process was started, in seconds of the epoch.
    """
    await side.draw(latency_draw("txt2img_2", work.size, 0), 0)
    figures: dict[str, Any] = {"first_picture_s": time.time() - born}
    # Much of a start may be the libraries', which is the same for both sides.
    figures["imported_s"] = IMPORTED - born
    await side.settle()
    figures["full_speed_s"] = time.time() - born
    log.info("Settled %.1f s after the start", figures["full_speed_s"])

    draws = gate_draws(work.gate, work.size)
    alone = [await side.draw(draw, 0) for draw in draws]
    together = await asyncio.gather(*(side.draw(draw, n) for n, draw in enumerate(draws)))
    figures["alone_against_together"] = difference(alone, together)

    figures["latency_ms"] = {
        case: await _latency(side, case, work.size, work.repeats) for case in LATENCY_CASES
    }
    log.info("Latency: %s", figures["latency_ms"])
    figures["users"] = {
        str(users): await _crowd(side, users, requests, work.size)
        for users, requests in work.requests_per_user.items()
    }
    log.info("Users: %s", figures["users"])
    figures["peak_memory_bytes"] = peak_memory()
    return {**figures, **side.details()}, alone


async def _latency(side: Side, case: str, size: int, repeats: int) -> dict[str, float]:
    times: list[float] = []
    cpu = 0.0
    for number in range(repeats + 1):
        draw = latency_draw(case, size, number)
        if number == 1:
            # The first one warms up whatever this kind of request needs.
            cpu, times = time.process_time(), []
        started = time.perf_counter()
        await side.draw(draw, 0)
        times.append((time.perf_counter() - started) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / repeats
    return {"median": statistics.median(times), "best": min(times), "cpu": cpu}


async def _crowd(side: Side, users: int, requests: int, size: int) -> dict[str, float]:
    """Let `users` ask at once, each again as soon as it is served."""
    waits: list[float] = []

    async def user(number: int) -> None:
        for request in range(requests):
            draw = mixed_draw(number, request, size)
            asked = time.perf_counter()
            await side.draw(draw, number)
            waits.append((time.perf_counter() - asked) * 1000)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(user(number) for number in range(users)))
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "pictures": len(waits),
        "per_second": len(waits) / took,
        "p50_ms": percentile(waits, 0.5),
        "p95_ms": percentile(waits, 0.95),
        # Of all threads; the one figure that other work on the machine leaves nearly alone.
        "cpu_ms_per_picture": cpu * 1000 / len(waits),
    }


def difference(left: Sequence[Any], right: Sequence[Any]) -> dict[str, float]:
    """Return how far two lists of pictures differ, in values of 255: the worst and the mean."""
    gaps = [
        np.abs(a.astype(np.int16) - b.astype(np.int16)) for a, b in zip(left, right, strict=True)
    ]
    return {
        "max": float(max(gap.max() for gap in gaps)),
        "mean": float(max(gap.mean() for gap in gaps)),
    }


def peak_memory() -> int:
    """Return the most bytes this process had in use: on its GPU, or else resident."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024


async def run(options: argparse.Namespace) -> None:
    """Measure one side and leave the figures and pictures in `options.out`."""
    folder, cache = Path(options.folder), Path(options.cache)
    work = workload(options.size, quick=options.quick)
    async with open_side(options.side, folder, options.device, cache) as side:
        if options.settle_only:
            await side.draw(latency_draw("txt2img_2", work.size, 0), 0)
            await side.settle()
            return
        figures, pictures = await measure(side, work, options.born)
        del side
    if options.side == "ours":
        try:
            figures["floor"] = floor(folder, options.device, options.size, cache)
        except Exception:
            log.exception("The floor cannot be measured")
    out = Path(options.out)
    np.savez_compressed(out / f"{options.side}.npz", *pictures)
    (out / f"{options.side}.json").write_text(json.dumps(figures), encoding="utf-8")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments that `bot.bench.cli` passes to its children."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("baseline", "ours"))
    parser.add_argument("--folder", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--born", type=float, required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--out")
    parser.add_argument("--settle-only", action="store_true")
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="  %(asctime)s %(message)s", datefmt="%H:%M:%S")
    asyncio.run(run(parse(sys.argv[1:])))
