"""The soak finds nothing lost and nothing twice, and would find it if there were."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest

from bot.bench import storm
from bot.bench.soak import SoakReport, soak
from bot.store import Store
from cogs.common.interaction_reply import InteractionReply
from tests.e2e import town

MANY = {"member_images": 10**6, "guild_images": 10**6}


async def small_soak(folder: Path, *, interactions: int = 20, **overrides: Any) -> SoakReport:
    async with town(folder, **MANY, **overrides) as place:
        return await soak(
            place.sandbox, place.app, interactions=interactions, guilds=4, members=8, at_once=20
        )


async def test_a_small_storm_costs_nobody_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "BLOW_SECONDS", 1.5)
    report = await small_soak(tmp_path, interactions=40)
    assert (report.lost, report.duplicates, report.second_runs) == (0, 0, 0)
    assert report.is_clean
    assert report.accepted + report.unheard == report.interactions
    assert report.answered + report.refused + report.forms + report.kept == report.accepted
    assert {"imagine", "remix", "mention", "press"} <= set(report.kinds)
    assert {one.split()[0] for one in report.faults} == {"rest", "cdn", "gateway"}
    assert sum(report.faults.values()) > 0
    assert report.peak_memory_mib > 0
    assert set(report.to_json()) >= {"loop_lag_p99_ms", "ack_p99_ms", "pictures_per_second"}


async def test_a_picture_sent_twice_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = InteractionReply._send

    async def twice(self: Any, message: Any, job_id: str, **options: Any) -> Any:
        sent = await honest(self, message, job_id, **options)
        with contextlib.suppress(discord.HTTPException, OSError, aiohttp.ClientError):
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
            with contextlib.suppress(discord.HTTPException, OSError, aiohttp.ClientError):
                await sent.delete()
        return sent

    monkeypatch.setattr(InteractionReply, "_send", vanishing)
    assert (await small_soak(tmp_path)).lost > 0


async def test_a_request_run_twice_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store forgets each end once, so that what was answered is taken for an orphan."""
    honest = Store.finish_job
    forgotten: set[str] = set()

    async def forgetful(self: Store, job_id: str, *args: Any, **options: Any) -> bool:
        if job_id in forgotten:
            return await honest(self, job_id, *args, **options)
        forgotten.add(job_id)
        return True

    async def lapsing(*_: Any) -> int:
        return 1

    monkeypatch.setattr(Store, "finish_job", forgetful)
    monkeypatch.setattr(Store, "renew_claims", lapsing)
    report = await small_soak(tmp_path, interactions=60, claim_seconds=1.0)
    assert report.second_runs > 0
    assert not report.is_clean
