"""A town for each test: sandbox, bot and members; its traffic must keep Discord's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract import CONTRACT, contract_errors
from tests.e2e import Town, town


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Town]:
    """Yield a town with a null engine; at the end every REST call is held to Discord's rules.

    A test that provokes an answer other than success lists it in `expected_rules`; a code in
    `tolerated_codes` may come any number of times.
    """
    async with town(tmp_path) as place:
        yield place
        traffic = await place.member.traffic()
    broken = [
        entry["rule"]
        for entry in traffic
        if entry.get("rule") and entry["rule"].split(":")[0] not in place.tolerated_codes
    ]
    assert broken == place.expected_rules
    if CONTRACT.is_file():
        assert contract_errors(traffic) == []
