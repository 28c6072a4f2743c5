"""Fixtures for every test: nothing reads the developer's own environment."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

OURS = ("TURBOCORD_", "DISCORD_TOKEN")

# How fast examples are made says how busy the machine is, not whether a promise holds.
settings.register_profile("ours", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS) and name != "TURBOCORD_CACHE":
            monkeypatch.delenv(name)


SLOW = (
    "bench",
    "cogs",
    "engine",
    "faults",
    "fuzz",
    "models",
    "page",
    "web",
    "test_shards",
    "test_try",
)
"""Rooms whose tests start processes, browsers or models; everything else runs before them."""

TOGETHER = {
    "page": "page",
    "web": "web",
    "engine/test_remote": "ray",
    "faults/test_processes": "processes",
    "test_shards": "processes",
    "test_try": "processes",
}
"""Tests that share a browser or a cluster, or start many processes: one worker runs them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first, and what shares something heavy in one worker."""
    here = Path(__file__).parent
    names = {item: item.path.relative_to(here).with_suffix("").as_posix() for item in items}
    for item, name in names.items():
        group = TOGETHER.get(name) or TOGETHER.get(name.split("/")[0])
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: names[item].split("/")[0] in SLOW)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users may reach and write to, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="turbocord-public-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
