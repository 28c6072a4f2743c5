"""What the page takes of what a stranger may send: by addresses, by bytes, by number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.policy import Defaults
from bot.web import doorkeeper
from bot.web.doorkeeper import ENVELOPE_BYTES, MOST_BYTES
from bot.web.page import Page
from bot.web.pictures import Pictures
from bot.web.quiet import UNREADABLE, place_of
from bot.web.visitor import MOST_VISITORS, Visitors
from tests.web.calling import Caller, calling

pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")

SECRET = "a heron nobody may know of"
VALUES = [SECRET, None, 0.7, 0.0, 1, 42, False, 1.0]
EVENT = {"data": VALUES, "fn_index": 0, "session_hash": "abc"}
LIMIT = 10_000
FORM = "application/x-www-form-urlencoded"


def form(name: str = "files", data: str = "x", **more: str) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    made.add_field(name, data, **more)
    return made


def uploaded() -> list[Path]:
    """Return what lies where the page keeps uploads."""
    return [path for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file()]


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 1000):
        yield b" " * 1000


async def connected(page: Caller) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = page.url.removeprefix("http://").rstrip("/").split(":")
    return await asyncio.open_connection(host, int(port))


@contextlib.asynccontextmanager
async def half_an_upload(page: Caller) -> AsyncIterator[asyncio.StreamReader]:
    """Begin an upload and leave it there, its first bytes written; break it off at the end."""
    before = uploaded()
    reader, writer = await connected(page)
    writer.write(
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: page\r\nContent-Length: 9000\r\n"
        b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n--cut\r\n"
        b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + b"x" * 4000
    )
    while not set(uploaded()) - set(before):  # noqa: ASYNC110  what is awaited lies behind a socket
        await asyncio.sleep(0.01)
    try:
        yield reader
    finally:
        writer.close()


@contextlib.contextmanager
def nothing_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """See that neither log nor terminal has the secret, or a traceback which might."""
    caplog.set_level(logging.DEBUG)
    capfd.readouterr()
    yield
    for text in (caplog.text, *capfd.readouterr()):
        assert SECRET not in text
        assert "Traceback" not in text


async def test_what_the_page_does_not_use_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (
        *("process_recording", "process_recording/", "component_server", "component_server/"),
        *("run/draw", "api/draw/", "call/draw", "call/v2/draw", "reset", "cancel", "stream/a"),
        *("vibe-edit", "vibe-code/", "queue/join/", "upload/"),
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with calling() as page:
        for name in names:
            assert await page.post(name, data=form("video", filename="a.mp4")) == 404
            assert await page.post(name, json=EVENT) == 404
            assert uploaded() == []
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  nobody waits for this test


async def test_nor_is_it_to_be_read() -> None:
    ways = (
        *("gradio_api/deep_link?session_hash=abc", "gradio_api/deep_link/?session_hash=abc"),
        *("gradio_api/file/etc/hosts", "gradio_api/proxy=x", "gradio_api/startup-events"),
        *("gradio_api/info", "gradio_api/dev/reload", "monitoring", "pwa_icon", "docs"),
    )
    async with calling() as page:
        # There is a session now, which deep links would be made of.
        await page.post("queue/join", json=EVENT)
        for way in ways:
            async with page.session.get(page.url + way) as answer:
                assert answer.status == 404
            assert uploaded() == []


async def test_names_have_an_end() -> None:
    async with calling() as page:
        assert await page.post(f"upload?upload_id={'a' * 300}", data=form(filename="a")) == 414
        async with page.session.get(f"{page.url}gradio_api/heartbeat/{'a' * 5000}") as answer:
            assert answer.status == 414


@pytest.mark.parametrize("more", [{"filename": "a.png"}, {}], ids=["file", "field"])
async def test_an_upload_beyond_the_limit_is_refused(more: dict[str, str]) -> None:
    async with calling(max_bytes=LIMIT) as page:
        assert await page.post("upload", data=form(data="x" * LIMIT, filename="a.png")) == 200
        most = "x" * (LIMIT + ENVELOPE_BYTES)
        assert await page.post("upload", data=form(data=most, **more)) == 413


@pytest.mark.parametrize("name", ["queue/join", "upload"])
async def test_bytes_are_counted_where_nobody_says_how_many(name: str) -> None:
    kind = {"Content-Type": "application/json"}
    if name == "upload":
        kind = {"Content-Type": "multipart/form-data; boundary=cut"}
    async with calling(max_bytes=LIMIT) as page:
        size = MOST_BYTES + LIMIT + 2000
        assert await page.post(name, data=in_pieces(size), headers=kind) == 413
        # Gradio's own way with what it cannot read would be another answer.
        async with page.session.post(
            f"{page.url}login", data=in_pieces(size), headers={"Content-Type": FORM}
        ) as answer:
            assert answer.status == 413


async def test_a_body_of_too_many_bytes_is_not_waited_for() -> None:
    async with calling() as page:
        reader, writer = await connected(page)
        writer.write(b"POST /login HTTP/1.1\r\nHost: page\r\nContent-Length: 99999999\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_old_uploads_make_room_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "KEPT_UPLOADS", 0)
    async with calling() as page:
        assert await page.post("upload", data=form("other", filename="a.png")) == 200
        async with half_an_upload(page):
            assert len(uploaded()) == 1
        assert [str(path) for path in uploaded()] != [path := await page.upload()]
        assert [str(path) for path in uploaded()] == [path]


async def test_a_slow_upload_holds_others_up_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "UPLOADS_AT_ONCE", 1)
    monkeypatch.setattr(doorkeeper, "UPLOAD_SECONDS", 1.0)
    loop = asyncio.get_running_loop()
    async with calling() as page:
        begun = loop.time()
        async with half_an_upload(page) as answer:
            await asyncio.sleep(0.5)
            assert await page.upload()
            # The first one's time began later than `begun`, and had to be over.
            assert loop.time() - begun >= doorkeeper.UPLOAD_SECONDS
            assert (await answer.readline()).startswith(b"HTTP/1.1 408")


NO_EVENTS = (
    EVENT | {"data": VALUES[:-1]},
    EVENT | {"data": [*VALUES, 1]},
    EVENT | {"data": {"prompt": SECRET}},
    EVENT | {"data": SECRET},
    EVENT | {"fn_index": 99},
    EVENT | {"fn_index": SECRET},
    EVENT | {"session_hash": "a" * 65},
    EVENT | {"session_hash": SECRET},
    EVENT | {"session_hash": None},
    {"data": VALUES, "session_hash": "abc"},
    [SECRET],
    SECRET,
    None,
)
NO_JSON = (b"", SECRET.encode(), b"[" * MOST_BYTES, json.dumps(EVENT)[:-1].encode(), b"\xff")


async def test_what_is_no_event_is_refused_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with calling() as page:
        with nothing_told(caplog, capfd):
            for event in NO_EVENTS:
                assert await page.post("queue/join", json=event) == 400
            for body in NO_JSON:
                assert await page.post("queue/join", data=body) == 400


@pytest.mark.parametrize("strength", [SECRET, {"a": SECRET}, [SECRET], 98_765_432])
async def test_values_of_another_kind_are_told_to_nobody(
    strength: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with calling() as page:
        with nothing_told(caplog, capfd):
            ended = await page.ask(prompt=SECRET, strength=strength)
            assert not ended["success"]
        if strength != 98_765_432:
            assert ended["output"]["error"] == UNREADABLE
            assert "the live page failed at an event: " in caplog.text


async def test_a_request_that_breaks_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with calling() as page:
        with nothing_told(caplog, capfd):
            # Text where a file belongs is more than Gradio is made for.
            assert await page.post("upload", data=form(data=SECRET)) == 500
            async with half_an_upload(page):
                pass
            told = f"{page.url}gradio_api/queue/data?session_hash=nobody"
            async with page.session.get(told) as answer:
                with contextlib.suppress(aiohttp.ClientPayloadError):
                    await answer.read()
        said = [record.getMessage() for record in caplog.records if "page failed" in record.msg]
        assert len(said) == 1
        assert said[0].startswith("the live page failed at a request: TypeError at route_utils.py:")


async def test_only_so_many_events_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.web.page.MOST_EVENTS", 0)
    async with calling() as page:
        assert await page.post("queue/join", json=EVENT) == 503


def test_no_more_sessions_are_kept_than_visitors() -> None:
    def nobody() -> Any:
        raise AssertionError

    blocks = Page(Visitors(nobody), Pictures(), Defaults()).build()
    assert blocks.state_session_capacity == MOST_VISITORS


def test_a_place_has_nothing_of_the_words() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup(SECRET, [ValueError(SECRET)])
    assert place_of(caught.value) == "ValueError at nowhere"
    with pytest.raises(ValueError, match="heron") as caught:
        raise ValueError(SECRET)
    assert place_of(caught.value).startswith("ValueError at test_doorkeeper.py:")
