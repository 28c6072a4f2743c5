"""Fuzz one target for as long as wished: `python -m tests.fuzz.run intake --seconds 300`.

With atheris (`pip install -e '.[fuzz]'`) coverage guides it; without, seeds are spoiled at random.
The corpus lives in a temporary folder, or in `--corpus`. What breaks a promise is written to
`--findings` with its traceback on the screen, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import itertools
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

INSTRUMENTED = ("bot.imaging", "bot.flags", "bot.policy", "bot.recall", "bot.replies", "bot.config")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", choices=("intake", "metadata", "flags", "custom_id", "settings"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="keep what was found interesting here")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--plain", action="store_true", help="without atheris even if it is there")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def guided(options: argparse.Namespace) -> int:
    """Run atheris in a process of its own, because it ends the one it runs in."""
    with tempfile.TemporaryDirectory(prefix="turbocord-fuzz-") as folder:
        corpus = options.corpus or Path(folder)
        corpus.mkdir(parents=True, exist_ok=True)
        options.findings.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.run", *sys.argv[1:], "--inside"]
        environment = os.environ | {"FUZZ_CORPUS": str(corpus)}
        return subprocess.run(command, env=environment, check=False).returncode


def inside(options: argparse.Namespace) -> None:
    """Hand a target to atheris, which never returns."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[options.target]
    corpus = Path(os.environ["FUZZ_CORPUS"])
    for data in target.seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    logging.disable(logging.CRITICAL)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={options.seconds}",
        f"-seed={options.seed}",
        f"-artifact_prefix={options.findings}/",
        "-max_len=20000",
        "-timeout=20",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, target.run)
    atheris.Fuzz()


def plain(options: argparse.Namespace) -> int:
    """Spoil seeds at random until the time is up; return 1 after a finding."""
    from tests.fuzz.mutate import mutated
    from tests.fuzz.targets import TARGETS

    target, chance = TARGETS[options.target], random.Random(options.seed)
    seeds = target.seeds()
    until = time.monotonic() + options.seconds
    for number in itertools.count():
        if time.monotonic() > until:
            print(f"{options.target}: {number} executions, nothing found")
            return 0
        data = mutated(chance.choice(seeds), seeds, chance)
        try:
            target.run(data)
        except Exception:
            traceback.print_exc()
            options.findings.mkdir(parents=True, exist_ok=True)
            path = options.findings / f"{options.target}-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            print(f"{options.target}: after {number} executions, see {path}")
            return 1
    raise AssertionError("unreachable")


def main() -> int:
    """Run what the command line asks for."""
    options = parse()
    if options.inside:
        inside(options)
    logging.disable(logging.CRITICAL)
    if options.plain or importlib.util.find_spec("atheris") is None:
        return plain(options)
    return guided(options)


if __name__ == "__main__":
    sys.exit(main())
