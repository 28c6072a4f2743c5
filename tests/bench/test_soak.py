"""The soak finds nothing lost and nothing twice, and would find it if there were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.bench.soak import SoakReport, soak
from cogs.common.interaction_reply import InteractionReply
from tests.e2e import town

MANY = {"member_images": 10**6, "guild_images": 10**6}


async def small_soak(folder: Path) -> SoakReport:
    async with town(folder, **MANY) as place:
        return await soak(
            place.sandbox, place.app, interactions=40, guilds=4, members=8, at_once=16
        )


async def test_a_small_storm_costs_nobody_an_answer(tmp_path: Path) -> None:
    report = await small_soak(tmp_path)
    assert (report.lost, report.duplicates) == (0, 0)
    assert report.accepted + report.unheard == report.interactions
    assert report.answered + report.refused + report.kept >= report.accepted
    assert sum(report.faults.values()) > 0
    assert report.peak_memory_mib > 0
    assert set(report.to_json()) >= {"loop_lag_p99_ms", "ack_p99_ms", "pictures_per_second"}


async def test_a_picture_sent_twice_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = InteractionReply._send

    async def twice(self: Any, message: Any, job_id: str, **options: Any) -> Any:
        sent = await honest(self, message, job_id, **options)
        await self.interaction.channel.send(view=message.view(), files=message.files())
        return sent

    monkeypatch.setattr(InteractionReply, "_send", twice)
    assert (await small_soak(tmp_path)).duplicates > 0


async def test_a_picture_that_vanishes_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = InteractionReply._send

    async def vanishing(self: Any, message: Any, job_id: str, **options: Any) -> Any:
        sent = await honest(self, message, job_id, **options)
        if message.files():
            await sent.delete()
        return sent

    monkeypatch.setattr(InteractionReply, "_send", vanishing)
    assert (await small_soak(tmp_path)).lost > 0
