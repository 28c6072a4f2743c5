"""Benches of the whole bot over the wire: the command line of `bench soak` and `bench overhead`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from bot.bench import overhead, soak
from bot.engine.cpu import cores

NAMES: Final = ("soak", "overhead")

StartBot = Callable[[], AbstractAsyncContextManager[tuple[Any, Any]]]
"""Starts a sandbox and a bot with a null engine in it; yields both."""


def run(argv: Sequence[str], start: StartBot) -> int:
    """Run `soak` or `overhead`, named first in `argv`; return the exit status.

    1: something was lost or seen twice.
    """
    options = _parse(argv)
    return asyncio.run(_run(options, start))


async def _run(options: argparse.Namespace, start: StartBot) -> int:
    async with start() as (sandbox, app):
        if options.bench == "overhead":
            cost = await overhead.overhead(
                sandbox, app, pictures=options.pictures, at_once=options.at_once
            )
            overhead.show(cost)
            await asyncio.to_thread(_keep, options, cost.to_json())
            return 0
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
    cost.add_argument("--pictures", type=int, default=500)
    for each, at_once in ((storm, 64), (cost, 32)):
        each.add_argument("--at-once", type=int, default=at_once)
        each.add_argument("--json", type=Path, help="write the report to this file")
    return parser.parse_args(argv)
