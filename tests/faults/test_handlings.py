"""The list of what handles which fault speaks of code and tests that are there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.faults.without import ROOT, Handling, handlings


def wrong(one: Handling) -> Iterator[str]:
    """Yield what is wrong with an entry."""
    text = (ROOT / one.file).read_text(encoding="utf-8")
    if text.count(one.handling) != 1:
        yield f"{one.fault}: its handling is not in {one.file}, or more than once"
    ast.parse(text.replace(one.handling, one.without))
    for name in one.tests:
        path, _, test = name.partition("[")[0].partition("::")
        if test and f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"):
            yield f"{one.fault}: there is no {name}"
        elif not (ROOT / path).exists():
            yield f"{one.fault}: there is no {path}"


def test_every_handling_is_where_the_list_says() -> None:
    found = handlings()
    assert [word for one in found for word in wrong(one)] == []
    assert len({one.fault for one in found}) == len(found) > 100
