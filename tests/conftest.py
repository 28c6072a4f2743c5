"""Fixtures for every test: nothing reads the developer's own environment."""

from __future__ import annotations

import os

import pytest

OURS = ("TURBOCORD_", "DISCORD_TOKEN")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS) and name != "TURBOCORD_CACHE":
            monkeypatch.delenv(name)
