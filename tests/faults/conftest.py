"""A town whose wire may be broken on purpose; what its bot says may break no rule by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from cogs.common import delivery
from tests.e2e import Town, town


class PacedPipeline(NullPipeline):
    """A device whose speed a test sets while it runs; 0 seconds is as fast as it gets."""

    seconds = 0.0

    def step(self, samples: object) -> None:
        self.step_seconds = type(self).seconds
        super().step(samples)  # type: ignore[arg-type]  # handed on as it came


@pytest.fixture
def pace() -> type[PacedPipeline]:
    """Return a pipeline class of this test's own."""
    return type("Paced", (PacedPipeline,), {})


@pytest.fixture
async def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pace: type[PacedPipeline]
) -> AsyncIterator[Town]:
    """Yield a town; calls that hang are given up sooner than in life."""
    monkeypatch.setattr(delivery, "CALL_TIMEOUT", 3.0)
    async with town(tmp_path, scheduler=BatchScheduler([pace])) as place:
        await place.command("/imagine prompt:warm up", user="ben")
        yield place
