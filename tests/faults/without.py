"""Take the handling of each fault away, one at a time, and see that a test fails without it.

`python -m tests.faults.without` goes through handlings.toml, in a copy of the working tree, and
prints a line for each; with words it goes through those faults alone whose names have one of them.
The exit status is 1 when some handling was not missed. All of them take about an hour.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LIST: Final = Path(__file__).with_name("handlings.toml")

PATIENCE_SECONDS: Final = 900.0
"""Tests that have not come to an end by then have shown nothing; a single one may take 120 s."""


@dataclass(frozen=True, slots=True)
class Handling:
    """The code that handles a fault, what is left without it, and the tests that miss it."""

    fault: str
    file: str
    handling: str
    without: str
    tests: tuple[str, ...]


def handlings() -> list[Handling]:
    """Return the whole list."""
    found = tomllib.loads(LIST.read_text(encoding="utf-8"))["handlings"]
    return [Handling(**one | {"tests": tuple(one["tests"])}) for one in found]


def copied(folder: Path) -> None:
    """Copy what git knows of, and what it does not ignore, to `folder`."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def is_missed(one: Handling, folder: Path) -> bool:
    """Return whether a test fails in `folder` without `one`."""
    file = folder / one.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(one.handling, one.without, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *one.tests]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=folder, env=environment, timeout=PATIENCE_SECONDS, capture_output=True
        )
    except subprocess.TimeoutExpired:
        return False
    finally:
        file.write_text(whole, encoding="utf-8")
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"{one.fault}: {ended.stdout.decode()[-2000:]}")
    return ended.returncode == 1


def chosen(wanted: list[str]) -> Iterator[Handling]:
    """Yield the handlings whose faults have one of the words, or all of them without words."""
    for one in handlings():
        if not wanted or any(word in one.fault for word in wanted):
            yield one


def main() -> int:
    """Go through the list; return the exit status."""
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="turbocord-without-") as name:
        copied(Path(name))
        for one in chosen(sys.argv[1:]):
            began = time.monotonic()
            missed = is_missed(one, Path(name))
            unnoticed += not missed
            verdict = "missed" if missed else "NOT MISSED"
            print(f"{verdict:10}  {time.monotonic() - began:5.1f} s  {one.fault}", flush=True)
    print(f"{unnoticed} not missed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
