"""A connection that is open and silent: noticed by its heartbeats, and replaced."""

from __future__ import annotations

from pathlib import Path

from bot.sandbox import SandboxError
from tests.e2e import eventually, town


async def test_a_zombie_connection_is_replaced(tmp_path: Path) -> None:
    options = {"heartbeat_interval_s": 0.3}
    async with town(tmp_path, sandbox_options=options) as place:
        shard = place.app.bot.get_shard(0)
        assert shard is not None
        # discord.py waits a minute for a sign of life; the test does not.
        shard._parent.ws._keep_alive.heartbeat_timeout = 1.0  # type: ignore[union-attr]  # runs
        await place.member.gateway_fault("zombie")

        async def is_answered() -> bool:
            sent = await place.member.command("/imagine prompt:a cat", user="ada")
            try:
                record = await place.member.wait_response(sent, timeout=10)
            except SandboxError:
                return False
            return bool(record["response"]["files"])

        await eventually(is_answered, timeout=120)
        sent = await place.member.traffic(kind="gateway")
        assert any("RESUMED" in entry["name"] for entry in sent)
