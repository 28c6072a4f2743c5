"""Fixtures for every test: nothing reads the developer's own environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OURS = ("TURBOCORD_", "DISCORD_TOKEN")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS) and name != "TURBOCORD_CACHE":
            monkeypatch.delenv(name)


SLOW = ("bench", "cogs", "engine", "faults", "models", "page", "web", "test_shards", "test_try")
"""Rooms whose tests start processes, browsers or models; everything else runs before them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first, so that a plain mistake shows within seconds."""
    here = Path(__file__).parent

    def is_slow(item: pytest.Item) -> bool:
        first = item.path.relative_to(here).parts[0].removesuffix(".py")
        return first in SLOW

    items.sort(key=is_slow)
