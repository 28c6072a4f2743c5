"""A start that cannot succeed: one line that says what to do, and the documented exit code."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from discord.gateway import DiscordWebSocket

from bot import client, exit_codes
from bot.app import connected
from bot.errors import StartupError
from bot.sandbox import Sandbox
from bot.store import Store
from tests.e2e import null_scheduler, settings_for
from tests.faults.processes import can_mount, environment, running


async def failed(
    folder: Path, env: dict[str, str], *, within: str | None = None
) -> tuple[int, str]:
    """Return the exit status and the last line of a bot that cannot start.

    `within` is a shell command that arranges mounts, which only the bot will see.
    """
    if within is not None and not await can_mount(within):
        pytest.skip("nothing can be mounted here")
    async with running(folder, env, within=within) as process:
        code = await process.code()
    assert "Traceback" not in process.said
    return code, process.lines[-1]


async def test_a_process_without_a_token_says_so_at_once(tmp_path: Path) -> None:
    code, line = await failed(tmp_path, environment(tmp_path))
    assert code == exit_codes.CONFIG
    assert line.startswith("turbocord: DISCORD_TOKEN is not set")


async def test_a_process_without_its_model_says_which(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        env = environment(tmp_path, sandbox, TURBOCORD_MODEL=str(tmp_path / "nothing"))
        code, line = await failed(tmp_path, env)
    assert code == exit_codes.MODEL
    assert line.startswith("turbocord: ")
    assert "nothing" in line


async def test_a_process_that_cannot_reach_discord_says_so(tmp_path: Path) -> None:
    env = environment(
        tmp_path,
        DISCORD_TOKEN="a.b.c",
        TURBOCORD_API_BASE="http://127.0.0.1:9",
        TURBOCORD_GATEWAY="ws://127.0.0.1:9",
    )
    code, line = await failed(tmp_path, env)
    assert code == exit_codes.UNREACHABLE
    assert line.startswith("turbocord: Cannot reach Discord")


async def test_a_process_with_a_wrong_token_says_so_and_does_not_repeat_it(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        env = environment(tmp_path, sandbox, DISCORD_TOKEN="wrong.token.here")
        code, line = await failed(tmp_path, env)
    assert code == exit_codes.LOGIN
    assert line.startswith("turbocord: Discord does not accept DISCORD_TOKEN")
    assert "wrong.token" not in line


async def test_a_process_without_an_intent_it_needs_says_which(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        env = environment(tmp_path, sandbox, TURBOCORD_MESSAGE_CONTENT="true")
        code, line = await failed(tmp_path, env)
    assert code == exit_codes.INTENTS
    assert line.startswith("turbocord: TURBOCORD_MESSAGE_CONTENT is on")


async def test_a_process_whose_store_is_read_only_says_so(tmp_path: Path) -> None:
    """The file system is read-only, which holds for root too."""
    await (await Store.open(f"sqlite+aiosqlite:///{tmp_path}/disk/turbocord.db")).close()
    disk = tmp_path / "disk"
    mount = f"mount --bind {disk} {disk} && mount -o remount,ro,bind {disk}"
    async with Sandbox() as sandbox:
        env = environment(disk, sandbox)
        code, line = await failed(tmp_path, env, within=mount)
    assert code == exit_codes.STORE
    assert line.startswith("turbocord: The store can be read but not written")


async def test_a_process_whose_disk_is_full_says_so(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    async with Sandbox() as sandbox:
        env = environment(disk, sandbox)
        code, line = await failed(tmp_path, env, within=f"mount -t tmpfs -o size=96k full {disk}")
    assert code == exit_codes.STORE
    assert line.startswith("turbocord: The disk that holds the store is full")


# The rest of the reasons by the same way in, without a process each: loading libraries takes long.


async def refused(sandbox: Sandbox, folder: Path, **options: object) -> StartupError:
    settings = settings_for(sandbox, folder, **options)
    with pytest.raises(StartupError) as caught:
        async with asyncio.timeout(60), connected(settings, scheduler=null_scheduler()):
            pass
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_wrong_token(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        error = await refused(sandbox, tmp_path, token="wrong.token.here")
    assert error.exit_code == exit_codes.LOGIN
    assert "wrong.token.here" not in str(error)


@pytest.mark.parametrize(
    ("close_code", "exit_code", "words"),
    [
        (4004, exit_codes.LOGIN, "DISCORD_TOKEN"),
        (4010, exit_codes.CONFIG, "TURBOCORD_SHARDS"),
        (4011, exit_codes.CONFIG, "TURBOCORD_SHARDS"),
        (4012, exit_codes.UNREACHABLE, "4012"),
    ],
)
async def test_what_only_the_gateway_refuses(
    tmp_path: Path, close_code: int, exit_code: int, words: str
) -> None:
    async def close(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 40000}})
        await socket.receive()
        await socket.close(code=close_code)
        return socket

    app = web.Application()
    app.router.add_get("/", close)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # it is started
    async with Sandbox() as sandbox:
        error = await refused(sandbox, tmp_path, gateway=f"ws://127.0.0.1:{port}/", shards="0/1")
    await runner.cleanup()
    assert error.exit_code == exit_code
    assert words in str(error)


async def test_an_intent_that_is_not_enabled(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        error = await refused(sandbox, tmp_path, message_content=True)
    assert error.exit_code == exit_codes.INTENTS
    assert "TURBOCORD_MESSAGE_CONTENT" in str(error)


async def test_a_discord_that_is_down(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, sandbox.client() as member:
        await member.fault("rest", "error", status=503, times=None)
        error = await refused(sandbox, tmp_path)
    assert error.exit_code == exit_codes.UNREACHABLE
    assert "HTTP 503" in str(error)


async def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        url = f"sqlite+aiosqlite:///{tmp_path / 'no' / 'where' / 'x.db'}"
        (tmp_path / "no").write_text("a file where a folder should be")
        error = await refused(sandbox, tmp_path, database_url=url)
    assert error.exit_code == exit_codes.STORE


async def test_a_store_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "turbocord.db").write_bytes(b"something else altogether" * 100)
    async with Sandbox() as sandbox:
        error = await refused(sandbox, tmp_path)
    assert error.exit_code == exit_codes.STORE


async def test_a_gateway_that_is_down_for_long_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried more often than calls may be nested, and each failure is one line in the log."""
    failures = sys.getrecursionlimit() + 100
    attempts = 0
    connect = DiscordWebSocket.from_client

    async def from_client(*given: Any, **options: Any) -> DiscordWebSocket:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise ConnectionRefusedError(111, "Connection refused")
        return await connect(*given, **options)

    monkeypatch.setattr(DiscordWebSocket, "from_client", from_client)
    monkeypatch.setattr(client, "SHARD_PAUSE_SECONDS", 0.0)
    async with (
        Sandbox() as sandbox,
        asyncio.timeout(60),
        connected(settings_for(sandbox, tmp_path), scheduler=null_scheduler()) as app,
    ):
        assert list(app.bot.shards) == [0]
    said = [record for record in caplog.records if "gateway" in record.getMessage()]
    assert len(said) == failures
    assert not any(record.exc_info or "\n" in record.getMessage() for record in said)
    assert not [record for record in caplog.records if record.name == "discord.shard"]


@pytest.mark.parametrize("is_silent", [False, True], ids=["refuses", "says nothing"])
async def test_who_waits_for_the_gateway_can_be_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_silent: bool
) -> None:
    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        gateway = f"ws://127.0.0.1:{server.getsockname()[1]}/"
        if not is_silent:
            server.close()

        async def start(sandbox: Sandbox) -> None:
            settings = settings_for(sandbox, tmp_path, gateway=gateway, shards="0/1")
            async with connected(settings, scheduler=null_scheduler()):
                pass

        async with Sandbox() as sandbox:
            starting = asyncio.create_task(start(sandbox))
            await asyncio.sleep(3.0)
            assert not starting.done()
            assert is_silent or "shard 0 cannot reach the gateway" in caplog.text
            starting.cancel()
            await asyncio.wait({starting}, timeout=3.0)
            assert starting.cancelled()
