"""Serving the page: where it listens, whom it warns, what it leaves behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from bot import exit_codes
from bot.engine.null import NullPipeline
from bot.errors import StartupError
from bot.policy import Defaults
from bot.web.page import import_gradio
from bot.web.page_server import (
    bind,
    host_in_url,
    is_loopback,
    own_temporary_folder,
    reserve,
    same,
    serve_page,
)
from tests.web.conftest import service_of, serving

HOST = "127.0.0.1"


def test_a_port_in_use_is_refused_in_a_sentence(port: int) -> None:
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()
        with pytest.raises(StartupError, match=f"cannot listen on {HOST}:{port}") as failure:
            bind(HOST, port)
    assert failure.value.exit_code == exit_codes.CONFIG


async def test_a_port_that_is_taken_meanwhile_is_refused_in_a_sentence(port: int) -> None:
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    async with reserve(HOST, port) as place, service_of(NullPipeline) as service:
        with bind(HOST, port) as other:
            other.listen()
            with pytest.raises(StartupError, match=f"cannot listen on {HOST}:{port}"):
                async with serve_page(place, service, Defaults()):
                    pass


def test_a_missing_gradio_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(StartupError, match=r"'\.\[web\]'") as failure:
        import_gradio()
    assert failure.value.exit_code == exit_codes.CONFIG


def test_uploads_go_when_the_page_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with own_temporary_folder():
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        (folder / "upload.png").write_bytes(b"private")
    assert not folder.exists()
    assert "GRADIO_TEMP_DIR" not in os.environ


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("lan", False)],
)
def test_only_this_machine_is_told_from_the_world(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_addresses_become_urls() -> None:
    assert [host_in_url(host) for host in ("0.0.0.0", "::", "::1", "box")] == [
        "127.0.0.1",
        "[::1]",
        "[::1]",
        "box",
    ]


def test_passwords_are_compared_whole() -> None:
    assert same("pässword", "pässword")
    assert not same("pässwor", "pässword")
    assert not same("", "pässword")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    """The container asks for its health every half minute, and Gradio takes seconds to load."""
    script = "import sys, bot.web.check; print({'torch', 'gradio', 'discord'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_nobody_else_s_folder_keeps_the_page_from_starting(tmp_path: Path) -> None:
    """Gradio makes folders in the one that it finds when it is imported, which must be ours."""
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    (tmp_path / "gradio").write_text("nobody may make a folder here")
    script = (
        "import asyncio\n"
        "from tests.web.conftest import serving\n"
        "async def main():\n"
        "    async with serving() as url:\n"
        "        print(url)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("GRADIO_TEMP_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=100,
    )
    assert done.stdout.startswith("http://"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gradio"]


async def test_an_open_page_warns_and_calls_nobody(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    async with (
        serving(host="0.0.0.0") as url,
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200
    assert "open to everyone who reaches it" in caplog.text
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    for elsewhere in ("fonts.googleapis.com", "fonts.gstatic.com", "api.gradio.app"):
        assert elsewhere not in text


async def test_a_password_needs_no_warning_and_the_port_is_free_again(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
    async with serving(password="opensesame", port=port) as url:
        assert url == f"http://{HOST}:{port}/"
    assert "open to everyone" not in caplog.text
    bind(HOST, port).close()
