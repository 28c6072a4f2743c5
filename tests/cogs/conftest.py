"""A town for each test: sandbox, bot and members; its traffic must keep Discord's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e import Town, lawful_town


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town with a null engine; at the end every REST call is held to Discord's rules."""
    async with lawful_town(tmp_path) as place:
        yield place
