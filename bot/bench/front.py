"""`turbocord bench front`: what one picture costs the front, all in all.

The sandbox and the members who ask are processes of their own, and so are the engines, which take
no time and hand out a photo-like 512×512 PNG over Ray. What is left in this process is what a front
of a cluster does: gateway, commands, limits and store (both embedded here), queue, Ray, metadata,
uploads. The connection to the sandbox is not encrypted, as one to Discord would be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bot.bench.lag import LoopLag, percentile
from bot.engine.null import NullPipeline
from bot.engine.remote import RemoteScheduler
from bot.engine.scheduler import BatchScheduler
from bot.service import Scheduler

ENGINES: Final = 2
WARM: Final = 40
"""Pictures before the measured ones, for imports and caches."""

StartBot = Callable[..., AbstractAsyncContextManager[Any]]
"""Starts a bot: called with `api_base`, `gateway`, `token`, `scheduler` and `message_content`."""


@dataclass(frozen=True, slots=True)
class FrontReport:
    """Milliseconds of one core per picture: of the whole process, and of its event loop's thread.

    The rest of the process's time is its other threads', which run on any core.
    """

    pictures: int
    at_once: int
    per_second: float
    cpu_ms: float
    loop_cpu_ms: float
    loop_lag_p50_ms: float
    loop_lag_p99_ms: float


async def measure(
    start: StartBot, engines: Scheduler, *, pictures: int, at_once: int
) -> FrontReport:
    """Have `pictures` asked for, `at_once` at a time, and return what they cost.

    Raises RuntimeError when one of them did not come.
    """
    async with (
        _sandbox() as (api_base, gateway, token),
        start(
            api_base=api_base,
            gateway=gateway,
            token=token,
            scheduler=engines,
            message_content=False,
        ),
    ):
        await _asked(api_base, 0, WARM, at_once)
        cpu, loop_cpu, began = time.process_time(), time.thread_time(), time.perf_counter()
        async with LoopLag() as lag:
            await _asked(api_base, WARM, pictures, at_once)
        took = time.perf_counter() - began
        cpu, loop_cpu = time.process_time() - cpu, time.thread_time() - loop_cpu
    return FrontReport(
        pictures=pictures,
        at_once=at_once,
        per_second=round(pictures / took, 1),
        cpu_ms=round(cpu / pictures * 1000, 1),
        loop_cpu_ms=round(loop_cpu / pictures * 1000, 1),
        loop_lag_p50_ms=round(percentile(lag.samples_ms, 0.5), 1),
        loop_lag_p99_ms=round(percentile(lag.samples_ms, 0.99), 1),
    )


@asynccontextmanager
async def _sandbox() -> AsyncIterator[tuple[str, str, str]]:
    """Run the sandbox; yield its API's address, its gateway's, and the bot's token."""
    command = (sys.executable, "-u", "-m", "bot", "sandbox", "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        said = [(await process.stdout.readline()).decode().split() for _ in range(3)]
        if any(len(line) != 2 for line in said):
            raise RuntimeError("the sandbox did not start")
        api_base, gateway, token = (line[1] for line in said)
        yield api_base, gateway, token
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _asked(api_base: str, first: int, count: int, at_once: int) -> None:
    numbers = map(str, (first, count, at_once))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.bench.members", api_base, *numbers
    )
    if await process.wait():
        raise RuntimeError("a picture did not come")


def run(argv: Sequence[str], start: StartBot) -> int:
    """Measure as the command line says; print a table and, if asked to, write JSON."""
    parser = argparse.ArgumentParser(prog="turbocord bench front", description=__doc__)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    engines = RemoteScheduler(
        partial(BatchScheduler, [NullPipeline]),
        address="local",
        cpu_engines=ENGINES,
        deployment=f"front-{os.getpid()}",
    )
    report = asyncio.run(
        measure(start, engines, pictures=options.pictures, at_once=options.at_once)
    )
    table = Table(title="One front", show_header=False)
    for name, value in asdict(report).items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
    if options.json:
        found = {"load_average": round(os.getloadavg()[0], 1)} | asdict(report)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0
