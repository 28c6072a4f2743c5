"""A short fuzz of every target, the same inputs each time; `tests.fuzz.run` goes on for longer."""

from __future__ import annotations

import random
from argparse import Namespace
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.run import plain
from tests.fuzz.targets import TARGETS, Target

EXECUTIONS = {"intake": 800, "metadata": 2000, "flags": 1500, "custom_id": 3000, "settings": 250}


@pytest.mark.parametrize("name", EXECUTIONS)
def test_nothing_breaks_a_promise(name: str) -> None:
    assert set(EXECUTIONS) == set(TARGETS)
    target, chance = TARGETS[name], random.Random(20)
    seeds = target.seeds()
    for data in [b"", *seeds]:
        target.run(data)
    for _ in range(EXECUTIONS[name]):
        data = mutated(chance.choice(seeds), seeds, chance)
        try:
            target.run(data)
        except Exception as error:
            pytest.fail(f"{name} on {data[:200]!r}: {error!r}")


def test_a_finding_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(data: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(TARGETS, "flags", Target(breaking, lambda: [b"x"]))
    options = Namespace(target="flags", seconds=5, seed=1, findings=tmp_path)
    assert plain(options) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_without_findings_says_how_much_it_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain(Namespace(target="custom_id", seconds=0.2, seed=1, findings=tmp_path)) == 0
    assert "nothing found" in capsys.readouterr().out
