"""A town for each test: sandbox, bot and members; its traffic must keep Discord's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e import Town, lawful_town
from tests.safety import build_checker, colour_scheduler


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town with a null engine; at the end every REST call is held to Discord's rules."""
    async with lawful_town(tmp_path) as place:
        yield place


@pytest.fixture(scope="session")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a picture check that flags red."""
    return build_checker(tmp_path_factory.mktemp("checker"))


@pytest.fixture
async def judged(tmp_path: Path, checker: Path) -> AsyncIterator[Town]:
    """Yield a town whose pictures are checked; its engine draws the colour a prompt names."""
    async with lawful_town(
        tmp_path, scheduler=colour_scheduler(), safety_checker=checker, safety_device="cpu"
    ) as place:
        yield place
