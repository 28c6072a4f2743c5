"""What a request may name as a file, by requests as no browser makes them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yarl

from bot.policy import Defaults
from bot.web import uploads
from bot.web.page import Page
from bot.web.pictures import Pictures
from bot.web.uploads import is_upload, make_room, named_in
from bot.web.visitor import Visitors
from tests.pictures import sideways_photo
from tests.web.calling import MARKS, calling

pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield a port of this machine and the requests that came there."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(hear, "localhost", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_an_upload_is_shown_and_drawn_from() -> None:
    async with calling() as page:
        path = await page.upload()
        async with page.session.get(f"{page.url}gradio_api/file={path}") as answer:
            assert (answer.status, await answer.read()) == (200, sideways_photo())
        ended = await page.ask(source={"path": path, **MARKS})
        assert ended["success"]
        (draw,) = page.drawn
        assert len(draw.sources) == 1


async def test_a_file_of_the_host_is_not_read(tmp_path: Path) -> None:
    photo = tmp_path / "private.jpg"
    photo.write_bytes(sideways_photo())
    async with calling() as page:
        uploads = Path(await page.upload()).parent.parent
        around = f"{uploads}/../../..{photo}"
        # Gradio looks after files that bear its marks; the picture's control takes them without.
        for file in ({"path": str(photo), **MARKS}, {"path": str(photo)}, {"path": around}):
            assert await page.refused(source=file)
        assert await page.refused(prompt={"path": str(photo), **MARKS})
        assert await page.refused(prompt=["a", {"b": {"path": str(photo), **MARKS}}])
        assert len(list(uploads.iterdir())) == 1


async def test_a_pipe_does_not_hold_up_the_bot(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def let_go() -> None:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))

    # Whoever has opened it would otherwise wait for ever, and this test with it.
    rescue = threading.Timer(5.0, let_go)
    rescue.start()
    async with calling() as page:
        assert await page.refused(source={"path": str(pipe), **MARKS})
    rescue.cancel()


async def test_an_address_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradio.processing_utils.PUBLIC_HOSTNAME_WHITELIST", ["localhost"])
    async with calling() as page, listening() as (port, heard):
        address = f"http://localhost:{port}/photo.png"
        for file in ({"path": address, **MARKS}, {"path": address}):
            assert await page.refused(source=file)
            assert await page.refused(prompt=file)
        assert await page.refused(prompt=[{"path": address, **MARKS}])
    assert heard == []


@pytest.mark.parametrize("way", ["file=http://", "file/http://", "file=http%3A%2F%2f"])
async def test_the_page_is_no_proxy(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def anywhere(_host: str) -> str:
        return "127.0.0.1"

    monkeypatch.setattr("safehttpx.async_validate_url", anywhere)
    async with calling() as page, listening() as (port, heard):
        address = f"{page.url}gradio_api/{way}localhost:{port}/photo.png"
        async with page.session.get(yarl.URL(address, encoded=True)) as answer:
            assert answer.status == 403
    assert heard == []


async def test_gradio_s_own_check_is_on_too() -> None:
    def nobody() -> Any:
        raise AssertionError

    assert Page(Visitors(nobody), Pictures(), Defaults()).build().has_launched


def test_paths_are_found_wherever_they_stand() -> None:
    assert sorted(named_in({"path": "a", "b": [{"c": {"path": "d"}}, "e", None, 1]})) == ["a", "d"]
    assert list(named_in({"path": None, "url": "http://x"})) == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{}/../x", "{}/none", "{}/\0", "{}/\ud800", "{}", "{}/" + "x" * 9999, 7]
)
def test_what_is_no_upload(tmp_path: Path, path: Any) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (tmp_path / "x").write_bytes(b"")
    (folder / "y").write_bytes(b"")
    assert is_upload(f"{folder}/y", str(folder))
    asked = path.format(folder) if isinstance(path, str) else path
    assert not is_upload(asked, str(folder))


async def test_a_file_that_goes_while_it_is_looked_for_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def as_deleted(payload: Any) -> str:
        Path(payload.path).unlink()
        return str(payload.path)

    monkeypatch.setattr("bot.web.page.as_uploaded", as_deleted)
    async with calling() as page:
        assert await page.refused(source={"path": await page.upload(), **MARKS})


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "FILE_BYTES", 10)
    now = time.time()
    for age, name in enumerate(("newest", "empty", "a/older", "oldest")):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"" if name == "empty" else b"x" * 90)
        os.utime(file, (now - age, now - age))
    (tmp_path / "just made").mkdir()

    def left(most_bytes: int) -> set[str]:
        make_room(str(tmp_path), most_bytes)
        return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}

    assert left(310) == {"newest", "empty", "a", "a/older", "oldest", "just made"}
    assert left(309) == {"newest", "empty", "a", "a/older", "just made"}
    os.utime(tmp_path / "just made", (now - 90, now - 90))
    assert left(109) == {"newest", "a"}
    assert left(0) == {"a"}
