"""`turbocord sync` as a process, beside a bot that runs."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from bot import exit_codes
from bot.sandbox import Sandbox
from tests.faults.processes import environment


async def test_it_uploads_the_tree_beside_a_running_bot_and_loads_no_model(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, sandbox.client() as member:
        assert (await member.world("ada"))["commands"] == []
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as two,
        ):
            env = environment(
                tmp_path,
                sandbox,
                TURBOCORD_HTTP_PORT=str(one.getsockname()[1]),
                TURBOCORD_WEB_PORT=str(two.getsockname()[1]),
                TURBOCORD_MODEL=str(tmp_path / "no model"),
                TURBOCORD_SAFETY_CHECKER=str(tmp_path / "no checker"),
            )
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "ignore", "-m", "bot", "sync"),
                cwd=tmp_path,
                env=env,
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await process.communicate()
        assert process.returncode == exit_codes.OK, said.decode()
        commands = (await member.world("ada"))["commands"]
    assert {"imagine", "remix"} <= {one["name"] for one in commands}
