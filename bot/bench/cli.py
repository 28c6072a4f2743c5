"""The bench's command line: prepares weights, runs both sides in turn, judges and reports."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bot.bench import report

log = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> int:
    """Run the bench; return the exit status."""
    options = parse(argv)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from bot.bench.weights import bench_folder

    with contextlib.ExitStack() as stack:
        scratch = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="turbocord-bench-"))
        )
        device, folder, size = bench_folder(options.weights, options.device, scratch)
        measure = partial(_measure, folder=folder, device=device, size=size, scratch=scratch)
        if options.prepare:
            return 0 if measure("ours", "--settle-only") else 1
        results: dict[str, Any] = {"about": about(options.weights, device, size)}
        results["about"]["compiled_before"] = bool(options.keep)
        sides: dict[str, list[dict[str, Any]]] = {"baseline": [], "ours": []}
        pictures: dict[str, list[Any]] = {}
        for number in range(1 if options.quick else options.rounds):
            for side, found in sides.items():
                log.info("Round %d: %s", number + 1, side)
                out = scratch / f"{side}-{number}"
                out.mkdir(exist_ok=True)
                more = ("--quick",) if options.quick else ()
                if not measure(side, "--out", str(out), *more):
                    log.error("The %s side could not be measured; see above.", side)
                    return 1
                found.append(json.loads((out / f"{side}.json").read_text(encoding="utf-8")))
                with np.load(out / f"{side}.npz") as kept:
                    pictures[side] = [kept[name] for name in kept.files]
                if options.json:
                    # Not judged yet; what there is if the run is cut short.
                    _write(options.json, {**results, "unjudged": sides})
    from bot.bench.measure import difference

    # Precision decides how far kernels of another batch size may round another way.
    precision = "fp32" if device == "cpu" else "half"
    results["gate"] = {
        "precision": precision,
        "tolerance_of_255": report.TOLERANCES[precision],
        "batched against alone": sides["ours"][-1]["alone_against_together"],
        "ours against stock": difference(pictures["ours"], pictures["baseline"]),
    }
    wrong = report.gate(
        {what: found for what, found in results["gate"].items() if "against" in what}, precision
    )
    if wrong:
        log.error("No figures, because the pictures are wrong:\n%s", "\n".join(wrong))
        return 1
    for side, found in sides.items():
        results[side] = best_of(found)
    results["ratios"] = report.ratios(results["baseline"], results["ours"])
    if options.json:
        _write(options.json, results)
    report.show(results)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the bench's arguments."""
    parser = argparse.ArgumentParser(
        prog="turbocord bench",
        description="Compare the stock pipelines' way of drawing with turbocord's.",
        epilog="Others, each with a --help of its own: overhead and soak measure the whole bot "
        "over the wire, scale the way to engines on a Ray cluster, front a whole bot before one.",
    )
    parser.add_argument("--weights", choices=("full", "starter", "tiny"), default="starter")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0 or mps")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--quick", action="store_true", help="few repeats, one round")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep random weights and what is compiled there, for the next run",
    )
    parser.add_argument(
        "--prepare", action="store_true", help="fill the folder of --keep and measure nothing"
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often both sides take turns")
    return parser.parse_args(argv)


def _write(path: Path, results: Any) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def best_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one side's rounds as one: the best time and rate, the first start, the largest memory.

    Whatever else the machine does only ever slows a round down. A later start would find what the
    first has compiled and measured.
    """
    merged = dict(found[0])
    for other in found[1:]:
        for case, times in other["latency_ms"].items():
            merged["latency_ms"][case] = min(
                merged["latency_ms"][case], times, key=lambda each: each["median"]
            )
        for users, crowd in other["users"].items():
            merged["users"][users] = max(
                merged["users"][users], crowd, key=lambda each: each["per_second"]
            )
        merged["peak_memory_bytes"] = max(merged["peak_memory_bytes"], other["peak_memory_bytes"])
    return merged


def about(weights: str, device: str, size: int) -> dict[str, Any]:
    """Return what the figures hold for: machine, versions, date."""
    import diffusers
    import torch
    import transformers

    from bot.engine.cpu import cores

    on_gpu = device.startswith("cuda")
    return {
        "weights": weights,
        "size": size,
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "device_type": device.split(":")[0],
        "cores": cores(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _measure(side: str, *more: str, folder: Path, device: str, size: int, scratch: Path) -> bool:
    """Run one side in a process of its own; return whether it ended well."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "bot.bench.measure", side),
        *("--folder", str(folder), "--device", device, "--size", str(size)),
        *("--cache", str(scratch / "cache"), "--born", str(time.time()), *more),
    ]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # The libraries warn about optional packages and about the casts that stock img2img makes.
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}
    environment = {**quiet, **os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, check=False).returncode == 0
