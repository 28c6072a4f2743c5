"""The threat model names its tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "bot" / "THREATS.md"


def rows() -> list[tuple[str, str]]:
    """Return who and what of each row, and the cell that names its tests."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    return [(f"{row[0]} {row[1]}", row[3]) for row in cells[1:]]


@pytest.mark.parametrize(("threat", "shown_by"), rows(), ids=[who for who, _ in rows()])
def test_every_threat_names_tests_that_are_there(threat: str, shown_by: str) -> None:
    """A bare file name stands in the folder of the one before it."""
    names = re.findall(r"`([^`]+)`", shown_by)
    assert names
    folder = ROOT
    for name in names:
        path = ROOT / name if "/" in name else folder / name
        assert path.exists(), name
        assert path.is_dir() or "def test_" in path.read_text(encoding="utf-8")
        folder = path.parent
