"""What the bot itself costs: every figure, from members in another process or in this one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bot.bench import whole_bot
from bot.bench.crowd import Crowd, Round, Seen
from bot.bench.overhead import Cost, measured, overhead, ready_made, verdicts
from bot.sandboxed import bench_bot, bench_sandbox, null_bot
from tests.e2e import town

MANY = {"member_images": 10**6, "guild_images": 10**6}


async def test_every_round_ends_in_pictures(tmp_path: Path) -> None:
    async with town(tmp_path, **MANY) as place, Crowd(place.sandbox, members=2) as crowd:
        costs = await overhead(place.app, crowd.play, pictures=6, at_once=3, burst=5)
    assert list(costs) == ["alone", "pictures", "burst", "ready made"]
    assert [cost.pictures for cost in costs.values()] == [1, 6, 5, 6]
    for cost in costs.values():
        assert 0 < cost.loop_cpu_ms <= cost.process_cpu_ms
        assert cost.megabytes_per_picture > 0.1
    assert costs["alone"].direct_share == 1


async def test_files_are_ready_only_while_asked_for(tmp_path: Path) -> None:
    async with town(tmp_path, **MANY) as place:
        honest = place.app.studio.service.encode
        with ready_made(place.app):
            records = [await place.command(f"/imagine prompt:a seed:{seed}") for seed in (1, 2)]
        assert place.app.studio.service.encode is honest
        files = [record["response"]["files"][0] for record in records]
        first, second = [await place.member.download(one) for one in files]
    assert first == second
    assert [one["filename"][-6:] for one in files] == ["-1.png", "-2.png"]


async def test_a_picture_that_does_not_come_is_no_figure() -> None:
    async def play(wanted: Round) -> Seen:
        return Seen(1.0, [1.0], [1.0], [], direct=0, failed=1)

    with pytest.raises(RuntimeError, match="0 came; 1 requests were not acknowledged"):
        await measured(play, Round(1))


def test_a_target_is_met_or_missed() -> None:
    cost = Cost(1, 1, 1.0, 35.0, 6.0, 20.0, 1, 2, 3, 4, 1.0, 1, 2, 3, 0.4)
    lines = verdicts({"pictures": cost, "burst": replace(cost, ack_p99_ms=501.0)})
    assert lines == [
        "pictures, pictures per second: 35 (at least 30: met)",
        "burst, ack p99 ms: 501 (at most 500: MISSED)",
        "pictures, loop cpu ms: 6 (at most 8: met)",
    ]


def test_one_command_measures_and_writes_it_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = whole_bot.Starts(both=null_bot, sandbox=bench_sandbox, bot=bench_bot)
    path = tmp_path / "overhead.json"
    few = ["--pictures", "4", "--at-once", "2", "--burst", "4", "--model", ""]
    assert whole_bot.run(["overhead", *few, "--json", str(path)], starts) == 0
    report = json.loads(path.read_text("utf-8"))
    assert report["pictures"]["pictures"] == 4
    assert {"about", "alone", "burst", "ready_made", "targets", "peak_memory_mib"} <= set(report)
    assert "loop cpu ms" in capsys.readouterr().out
