"""The picture check's files, as far as can be told without loading them."""

from __future__ import annotations

from pathlib import Path

from bot.doctor.check import Check, fail, ok
from bot.errors import StartupError
from bot.models.catalog_fetch import human_bytes
from bot.models.safety_files import find_safety_files


def check_safety(path: Path | None) -> Check:
    """Check that the picture check in TURBOCORD_SAFETY_CHECKER, if any, is there and whole."""
    if path is None:
        return ok("Picture check", "off: no picture is judged (TURBOCORD_SAFETY_CHECKER)")
    try:
        files = find_safety_files(path)
    except StartupError as error:
        return fail("Picture check", str(error), "Correct the folder, or empty the setting.")
    size = human_bytes(files.weights.stat().st_size)
    return ok("Picture check", f"{files.weights}, {size}")
