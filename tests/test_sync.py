"""`turbocord sync` as a process, beside a bot that runs."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from bot import exit_codes
from bot.sandbox import Sandbox
from tests.faults.processes import environment


async def sync(folder: Path, env: dict[str, str]) -> tuple[int | None, str]:
    """Return the exit status of `turbocord sync` and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "bot", "sync"),
        cwd=folder,
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


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
            code, said = await sync(tmp_path, env)
        assert code == exit_codes.OK, said
        commands = (await member.world("ada"))["commands"]
    assert {"imagine", "remix"} <= {one["name"] for one in commands}


NOWHERE = {"TURBOCORD_API_BASE": "http://127.0.0.1:9", "TURBOCORD_GATEWAY": "ws://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("values", "exit_code", "words"),
    [
        ({"DISCORD_TOKEN": ""}, exit_codes.CONFIG, "DISCORD_TOKEN is not set"),
        ({"DISCORD_TOKEN": "wrong.token.here"}, exit_codes.LOGIN, "Discord does not accept"),
        (NOWHERE, exit_codes.UNREACHABLE, "Cannot reach Discord"),
    ],
    ids=["no token", "a wrong token", "no Discord"],
)
async def test_what_stops_it_is_said_in_one_line(
    tmp_path: Path, values: dict[str, str], exit_code: int, words: str
) -> None:
    async with Sandbox() as sandbox:
        code, said = await sync(tmp_path, environment(tmp_path, sandbox, **values))
    assert code == exit_code, said
    assert said.splitlines()[-1].startswith(f"turbocord: {words}")
    assert "Traceback" not in said
    assert "wrong.token" not in said


async def test_a_tree_that_discord_does_not_take_is_said_too(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, sandbox.client() as member:
        await member.fault("rest", "error", route="*/commands", status=503, times=None)
        code, said = await sync(tmp_path, environment(tmp_path, sandbox))
    assert code == exit_codes.UNREACHABLE, said
    assert "HTTP 503" in said.splitlines()[-1]
    assert "Traceback" not in said
