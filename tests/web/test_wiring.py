"""The settings turn health and page on, in one process with the bot and on its engine."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from bot import exit_codes
from bot.app import started
from bot.config import load_settings
from bot.engine.null import NullPipeline
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError
from tests.e2e import eventually, town
from tests.web.test_dashboard import expressions, names

ROOT = Path(__file__).parents[2]


def two_ports() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 that nothing listens on."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


async def healthcheck(port: int) -> tuple[int | None, str]:
    """Run the command as a container does; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "healthcheck"),
        cwd=ROOT,
        env={**os.environ, "TURBOCORD_HTTP_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().strip()


async def test_one_process_serves_bot_page_and_health(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    ops, page = two_ports()
    async with (
        town(tmp_path, http_port=ops, web_port=page) as place,
        aiohttp.ClientSession() as web,
    ):
        await place.command("/imagine prompt:a cat")

        async def counted() -> bool:
            async with web.get(f"http://127.0.0.1:{ops}/metrics") as answer:
                return 'kind="imagine",outcome="done"} 1.0' in await answer.text()

        await eventually(counted)
        async with web.get(f"http://127.0.0.1:{ops}/metrics") as answer:
            told = await answer.text()
        # Every part of a whole process is told of, but for the check, which is off.
        asked = {name for expression in expressions() for name in names(expression)}
        asked -= {name for name in asked if name.startswith("turbocord_check_")}
        assert [name for name in asked if not re.search(rf"^{name}[ {{]", told, re.M)] == []
        async with web.get(f"http://127.0.0.1:{page}/") as answer:
            assert answer.status == 200
        assert await healthcheck(ops) == (exit_codes.OK, "ready")
    code, words = await healthcheck(ops)
    assert code == exit_codes.REFUSED
    assert words.startswith("no answer from")


async def test_a_healthcheck_without_a_port_says_what_to_set() -> None:
    code, words = await healthcheck(0)
    assert code == exit_codes.REFUSED
    assert "TURBOCORD_HTTP_PORT" in words


async def refused(folder: Path, port: int) -> StartupError:
    """Return why there is no live page on `port`, which is told before anything is loaded."""

    def load() -> NullPipeline:
        pytest.fail("a model is loaded")

    settings = load_settings(
        database_url=f"sqlite+aiosqlite:///{folder}/turbocord.db", model="tiny", web_port=port
    )
    with pytest.raises(StartupError) as caught:
        async with started(settings, scheduler=BatchScheduler([load]), with_gateway=False):
            pass
    return caught.value


async def test_a_port_in_use_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = await refused(tmp_path, port := taken.getsockname()[1])
    assert error.exit_code == exit_codes.CONFIG
    assert f"cannot listen on 127.0.0.1:{port}" in str(error)


async def test_a_missing_gradio_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    error = await refused(tmp_path, two_ports()[0])
    assert error.exit_code == exit_codes.CONFIG
    assert "Gradio" in str(error)
