"""`turbocord bench scale`: how the front fares with more and more engines, over the real Ray path.

The engines are simulated: each sleeps a fixed time per batch, so that any number of them fits on
one machine, and then hands out a real 512×512 picture, which is encoded, sent and checked as ever.
What is measured is therefore everything but the drawing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import psutil  # type: ignore[import-untyped]  # it ships no stubs
from rich.console import Console
from rich.table import Table

from bot.engine.null import NullPipeline, photo_like
from bot.engine.remote import RemoteScheduler
from bot.engine.scheduler import BatchScheduler
from bot.imaging.encode import finish_png
from bot.imaging.metadata import Metadata
from bot.imaging.png_writer import write_png
from bot.request import MAX_SEED, Draw

ENGINES: Final = (1, 2, 4, 8)
BATCH: Final = 4
GUILDS: Final = 40
WAITING: Final = 3
"""Requests kept waiting or running for each picture that the engines' batches hold."""

ANCILLARY: Final = ("raylet", "gcs_server")


@dataclass(frozen=True, slots=True)
class Row:
    """One run. CPU times are milliseconds of one core per picture.

    `ideal` is what the engines' sleeping alone would allow, in pictures per second; 0 where they
    do not sleep. `front_cpu_ms` is the bot's process, `engine_cpu_ms` the engines', `ray_cpu_ms`
    the cluster's own processes. `idle_share` is how much of the machine's cores nobody used.
    """

    engines: int
    size: int
    per_second: float
    ideal: float
    efficiency: float
    wait_p95_ms: float
    front_cpu_ms: float
    engine_cpu_ms: float
    ray_cpu_ms: float
    idle_share: float


async def measure(
    engines: int, *, step_seconds: float, size: int, seconds: float, address: str
) -> Row:
    """Keep `engines` busy for `seconds` with one-step draws of `size`×`size`; return what came."""
    build = partial(
        BatchScheduler, [partial(NullPipeline, step_seconds=step_seconds)], budget=BATCH
    )
    front = RemoteScheduler(
        build, address=address, cpu_engines=engines, deployment=f"bench-{os.getpid()}-{engines}"
    )
    await front.start()
    clients: list[asyncio.Task[None]] = []
    try:
        while len(front.pids) < engines:  # noqa: ASYNC110 - they come up in other processes
            await asyncio.sleep(0.1)
        seeds = itertools.count(1)
        came: list[float] = []
        for number in range(engines * BATCH * WAITING):
            clients.append(asyncio.create_task(_client(front, number, seeds, size, came)))
        # The first batches also draw the picture that all others are copies of.
        await asyncio.sleep(2 * step_seconds + 2.0)
        came.clear()
        before, idle = _cpu(front.pids), psutil.cpu_times().idle
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        stats, took = front.stats(), time.perf_counter() - started
        spent = {who: now - before[who] for who, now in _cpu(front.pids).items()}
        idle = psutil.cpu_times().idle - idle
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await front.stop(0)
    pictures = max(1, len(came))
    # The slope of the count over time: batches come in bursts, so that a plain quotient would
    # depend on whether the last burst falls inside the window.
    rate = float(np.polyfit(came, np.arange(len(came)), 1)[0])
    ideal = engines * BATCH / step_seconds if step_seconds else 0.0
    return Row(
        engines=engines,
        size=size,
        per_second=round(rate, 2),
        ideal=round(ideal, 2),
        efficiency=round(rate / ideal, 3) if ideal else 0.0,
        wait_p95_ms=round(stats.queue_p95_ms, 1),
        front_cpu_ms=_each(spent["front"], pictures),
        engine_cpu_ms=_each(spent["engines"], pictures),
        ray_cpu_ms=_each(spent["ray"], pictures),
        idle_share=round(idle / took / (os.cpu_count() or 1), 2),
    )


async def _client(
    front: RemoteScheduler, number: int, seeds: Iterator[int], size: int, came: list[float]
) -> None:
    while True:
        draw = Draw("scale", next(seeds) % MAX_SEED, size, size, num_inference_steps=1)
        ticket = front.submit([draw], guild_id=number % GUILDS, user_id=number)
        await ticket.result()
        came.append(time.perf_counter())


def _cpu(engines: Sequence[int]) -> dict[str, float]:
    """Return the CPU seconds used so far by the front, its engines, and Ray's own processes."""
    here = psutil.Process()
    ray = [each.pid for each in here.children(recursive=True) if each.name() in ANCILLARY]
    return {
        "front": _seconds([here.pid]),
        "engines": _seconds(engines),
        "ray": _seconds(ray),
    }


def _seconds(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in times))


def _each(seconds: float, pictures: int) -> float:
    return round(seconds / pictures * 1000, 2)


def finishing_cpu_ms(size: int, repeats: int = 200) -> float:
    """Return the CPU milliseconds in which a front puts the metadata into an engine's PNG."""
    png = write_png(photo_like(size, size))
    about = Metadata("a boat at dusk, oil on canvas", 7, size, size, 2)
    started = time.process_time()
    for _ in range(repeats):
        finish_png(png, metadata=about, max_bytes=10 * 2**20)
    return round((time.process_time() - started) / repeats * 1000, 2)


def show(rows: Sequence[Row], finishing_ms: float) -> None:
    """Print the runs as a table."""
    table = Table(title="Pictures over Ray, engines simulated", caption=_caption(finishing_ms))
    for name in Row.__slots__:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console(width=120).print(table)


def _caption(finishing_ms: float) -> str:
    return f"Besides, a picture's metadata takes the front {finishing_ms} ms of CPU."


def main(argv: Sequence[str] | None = None) -> int:
    """Measure 1, 2, 4 and 8 engines, then the front's ceiling; print a table and write JSON."""
    parser = argparse.ArgumentParser(prog="turbocord bench scale", description=__doc__)
    parser.add_argument("--address", default="local", help="a Ray cluster's host:port; or our own")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each run")
    parser.add_argument("--step-seconds", type=float, default=1.0, help="time of one batch of 4")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    run = partial(measure, seconds=options.seconds, address=options.address)
    rows = [
        asyncio.run(run(engines, step_seconds=options.step_seconds, size=512))
        for engines in ENGINES
    ]
    # Without sleeping, the machine itself is the bound: first with pictures, then almost without.
    rows += [asyncio.run(run(2, step_seconds=0.0, size=size)) for size in (512, 64)]
    finishing_ms = finishing_cpu_ms(512)
    show(rows, finishing_ms)
    if options.json:
        found = {
            "step_seconds": options.step_seconds,
            "batch": BATCH,
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "finishing_cpu_ms": finishing_ms,
            "rows": [asdict(row) for row in rows],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
