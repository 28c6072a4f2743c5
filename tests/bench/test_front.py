"""The front is measured by itself, and a picture that does not come is told."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bot.bench import front
from bot.sandbox import Sandbox
from bot.sandboxed import bench_bot
from tests.e2e import null_scheduler

ROOT = Path(__file__).resolve().parents[2]


async def test_a_front_is_measured_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(front, "WARM", 4)
    report = await front.measure(bench_bot, null_scheduler(), pictures=8, at_once=4)
    assert report.pictures == 8
    assert report.cpu_ms >= report.loop_cpu_ms > 0
    assert report.per_second > 0


async def test_members_tell_when_nobody_listens() -> None:
    async with Sandbox() as sandbox:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.bench.members", sandbox.base_url, "0", "1", "1"),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    # Nobody has given the sandbox a command.
    assert "404" in said.decode()
