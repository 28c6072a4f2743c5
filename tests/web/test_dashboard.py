"""The Grafana dashboard asks for metrics and labels that exist, and can be imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bot.conversation import Outcome
from bot.door import Door
from bot.engine.picture_check import CheckStats, Side
from bot.ratelimit import Quota, RateLimiter
from bot.store import JobState
from bot.web.metrics import Metrics
from bot.web.parts import Parts
from tests.web.stand_ins import Client, result, stats

FILE = Path(__file__).parents[2] / "docker" / "grafana.json"
SCRAPED = {"job", "instance"}
"""Labels that Prometheus itself adds."""


class Busy:
    running = 3
    taken_over = 1
    is_draining = False


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard()["templating"]["list"]:
        yield variable.get("definition", "")


def series() -> dict[str, set[str]]:
    """Return the name of every series of a full process, with its labels."""
    parts = Parts(
        engine=lambda: stats(batch_sizes={1: 1}),
        gateway=Client(),
        limiter=RateLimiter(guild=Quota(1, 1), member=Quota(1, 1)),
        requests=Busy(),
        door=Door(),
        check=lambda: CheckStats("cpu", 0, 0, {(Side.INPUT, False): 1}),
    )
    metrics = Metrics(parts)
    metrics.observe(Outcome("imagine", "j", JobState.DONE, result=result()))
    metrics.observe_lag(0.001)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:turbocord|process)_[a-z_]+)", expression))


def test_every_metric_it_names_exists() -> None:
    asked = {name for expression in expressions() for name in names(expression)}
    assert len(asked) > 20
    assert asked <= set(series())


def test_every_metric_that_exists_is_shown() -> None:
    asked = {name for expression in expressions() for name in names(expression)}
    existing = {name for name in series() if not name.endswith("_created")}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in existing}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    # What the running version and the device are is read, not drawn.
    assert families - shown <= {
        "turbocord_build_info",
        "turbocord_engine_info",
        "process_start_time_seconds",
    }


def test_every_label_it_selects_or_groups_by_exists() -> None:
    known = series()
    for expression in expressions():
        for name, selector in re.findall(r"((?:turbocord|process)_[a-z_]+)\{([^}]*)\}", expression):
            used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
            assert used <= known[name] | SCRAPED, expression
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            labels = {label.strip() for label in grouped.split(",")}
            assert labels <= set().union(*(known[name] for name in names(expression))), expression


def test_counters_are_only_shown_as_rates() -> None:
    for expression in expressions():
        for name in names(expression):
            if name.endswith("_total"):
                assert re.search(rf"(?:rate|increase)\({name}", expression), expression


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
