"""Benches of the whole bot over the wire: the command line of `bench soak` and `bench overhead`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bot.bench import crowd, overhead, soak
from bot.bench.crowd import Round, Seen
from bot.engine.cpu import cores

NAMES: Final = ("soak", "overhead", "crowd")

ROOT: Final = Path(__file__).resolve().parents[2]

LONGEST_LINE: Final = 16 << 20
"""Bytes of a round's report; a few per picture are used."""

DEVICE_PICTURES: Final = 48

StartBoth = Callable[[], AbstractAsyncContextManager[tuple[Any, Any]]]
"""Starts a sandbox and a bot with a null engine in it; yields both."""

StartSandbox = Callable[[], AbstractAsyncContextManager[Any]]

StartBot = Callable[..., AbstractAsyncContextManager[Any]]
"""Connects a bot to the sandbox at an address; with `model` None it has a null engine."""


@dataclass(frozen=True, slots=True)
class Starts:
    """What the command line can start: this package knows neither bot nor sandbox."""

    both: StartBoth
    sandbox: StartSandbox
    bot: StartBot


def run(argv: Sequence[str], starts: Starts) -> int:
    """Run `soak` or `overhead`, named first in `argv`; return the exit status.

    `crowd` is the other end of `overhead`, in a process of its own. 1: something was lost or seen
    twice.
    """
    options = _parse(argv)
    if options.bench == "crowd":
        asyncio.run(crowd.serve(starts.sandbox))
        return 0
    return asyncio.run((_overhead if options.bench == "overhead" else _soak)(options, starts))


async def _overhead(options: argparse.Namespace, starts: Starts) -> int:
    async with _crowd() as (address, play):
        async with starts.bot(**address) as app:
            costs = await overhead.overhead(
                app, play, pictures=options.pictures, at_once=options.at_once, burst=options.burst
            )
        if options.model:
            async with starts.bot(**address, model=options.model):
                await play(Round(2))
                busy = await overhead.measured(play, Round(DEVICE_PICTURES, 16))
                costs["device busy"] = busy
    overhead.show(costs)
    await asyncio.to_thread(_keep, options, overhead.to_json(costs))
    return 0


@asynccontextmanager
async def _crowd() -> AsyncIterator[tuple[dict[str, str], overhead.Play]]:
    """Start sandbox and members as another process; yield its address and how to play a round."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "bench", "crowd"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=LONGEST_LINE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    there, back = process.stdin, process.stdout

    async def play(wanted: Round) -> Seen:
        there.write(json.dumps(asdict(wanted)).encode() + b"\n")
        if not (line := await back.readline()):
            raise RuntimeError("the members' process ended; see above")
        return Seen.of(json.loads(line))

    try:
        yield json.loads(await back.readline()), play
    finally:
        there.close()
        await process.wait()


async def _soak(options: argparse.Namespace, starts: Starts) -> int:
    async with starts.both() as (sandbox, app):
        report = await soak.soak(
            sandbox,
            app,
            interactions=options.interactions,
            guilds=options.guilds,
            members=options.members,
            at_once=options.at_once,
            seed=options.seed,
        )
    soak.show(report)
    await asyncio.to_thread(_keep, options, report.to_json())
    return 0 if report.is_clean else 1


def _keep(options: argparse.Namespace, report: dict[str, Any]) -> None:
    """Write a report down with what it holds for."""
    if options.json is None:
        return
    arguments = " ".join(
        f"--{name.replace('_', '-')} {value}"
        for name, value in sorted(vars(options).items())
        if name not in ("bench", "json")
    )
    about = {
        "command": f"turbocord bench {options.bench} {arguments}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": cores(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    options.json.write_text(json.dumps({"about": about} | report, indent=1) + "\n", "utf-8")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="turbocord bench")
    benches = parser.add_subparsers(dest="bench", required=True)
    storm = benches.add_parser("soak", help="requests through a storm of faults, none lost")
    storm.add_argument("--interactions", type=int, default=5000)
    storm.add_argument("--guilds", type=int, default=500)
    storm.add_argument("--members", type=int, default=250)
    storm.add_argument("--seed", type=int, default=7, help="of the storm and the requests")
    cost = benches.add_parser("overhead", help="what a picture costs beside the device")
    cost.add_argument("--pictures", type=int, default=400)
    cost.add_argument("--burst", type=int, default=overhead.BURST, help="interactions at once")
    cost.add_argument(
        "--model", default="starter", help="keeps a real device busy at the end; '' leaves it out"
    )
    benches.add_parser("crowd", help="the members of `overhead`, started by it")
    for each, at_once in ((storm, 64), (cost, 32)):
        each.add_argument("--at-once", type=int, default=at_once)
        each.add_argument("--json", type=Path, help="write the report to this file")
    return parser.parse_args(argv)
