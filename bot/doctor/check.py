"""One finding of the doctor, and how findings are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rich.markup import escape
from rich.table import Table


class Grade(StrEnum):
    """How bad it is: FAIL keeps the bot from working, WARN does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and what to do about it where there is something."""

    name: str
    grade: Grade
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    """Return a finding that needs nothing."""
    return Check(name, Grade.OK, detail)


def warn(name: str, detail: str, advice: str) -> Check:
    """Return a finding that the bot can live with."""
    return Check(name, Grade.WARN, detail, advice)


def fail(name: str, detail: str, advice: str) -> Check:
    """Return a finding that keeps the bot from working."""
    return Check(name, Grade.FAIL, detail, advice)


def healthy(checks: Iterable[Check]) -> bool:
    """Return whether nothing keeps the bot from working."""
    return all(check.grade is not Grade.FAIL for check in checks)


_MARKS: Final = {Grade.OK: "[green]✓[/]", Grade.WARN: "[yellow]![/]", Grade.FAIL: "[red]✗[/]"}


def render(checks: Iterable[Check]) -> Table:
    """Return the findings as a table for a rich console."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        detail = escape(check.detail)
        if check.advice:
            detail += f"\n[dim]→[/] {escape(check.advice)}"
        table.add_row(_MARKS[check.grade], escape(check.name), detail)
    return table
