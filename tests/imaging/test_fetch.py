"""Fetching from a real server that misbehaves in every way we know."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from bot.errors import BadPicture
from bot.imaging.fetch import PictureFetcher
from bot.request import PictureSource

Writer = asyncio.StreamWriter
SECRET = "hm=5ec7e75ec7e7"


@dataclass
class RawServer:
    """Answers each connection with the bytes a test wants, well-formed or not."""

    port: int = 0
    connections: int = 0
    answer: Callable[[Writer], Awaitable[None]] | None = None
    answers: list[Callable[[Writer], Awaitable[None]]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/attachments/1/2/cat.png?ex=1&{SECRET}"

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            answer = self.answers.pop(0) if self.answers else self.answer
            assert answer is not None
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


def raw(data: bytes) -> Callable[[Writer], Awaitable[None]]:
    async def answer(writer: Writer) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def reset(writer: Writer) -> Awaitable[None]:
    writer.transport.abort()
    return asyncio.sleep(0)


def ok(body: bytes, *, length: int | None = None, headers: str = "") -> bytes:
    stated = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {stated}\r\n{headers}\r\n".encode() + body


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    raw_server = RawServer()
    listening = await asyncio.start_server(raw_server.serve, "127.0.0.1", 0)
    raw_server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield raw_server


@pytest.fixture
async def fetcher(server: RawServer) -> AsyncIterator[PictureFetcher]:
    async with aiohttp.ClientSession() as session:
        yield PictureFetcher(
            session,
            allowed_origins={server.origin},
            max_bytes=100_000,
            timeout_s=30.0,
            read_timeout_s=10.0,
            concurrency=2,
        )


async def refused(fetcher: PictureFetcher, source: PictureSource) -> BadPicture:
    with pytest.raises(BadPicture) as caught:
        await fetcher.fetch(source)
    return caught.value


async def test_a_picture_arrives_whole(server: RawServer, fetcher: PictureFetcher) -> None:
    server.answer = raw(ok(b"x" * 99_999))
    assert await fetcher.fetch(PictureSource(url=server.url)) == b"x" * 99_999


async def test_data_that_is_there_is_not_fetched(fetcher: PictureFetcher) -> None:
    assert await fetcher.fetch(PictureSource(data=b"abc")) == b"abc"
    assert (await refused(fetcher, PictureSource(data=b""))).code == "picture_empty"
    assert (await refused(fetcher, PictureSource(data=b"x" * 100_001))).code == "picture_too_big"
    assert (await refused(fetcher, PictureSource())).code == "picture_missing"


async def test_the_signed_path_reaches_the_server_unchanged(fetcher: PictureFetcher) -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        assert "Authorization" not in request.headers
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"ok")

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        fetcher.allowed = PictureFetcher(
            fetcher.session, allowed_origins={f"http://127.0.0.1:{port}"}
        ).allowed
        path = "/external/s/%3Fa%3D1/https/e.com/a%41.png?ex=1&hm=%7e"
        assert await fetcher.fetch(PictureSource(url=f"http://127.0.0.1:{port}{path}")) == b"ok"
        assert seen == [path]
    finally:
        await runner.cleanup()


async def test_another_host_is_never_contacted(server: RawServer, fetcher: PictureFetcher) -> None:
    for url in (server.url.replace("127.0.0.1", "localhost"), f"http://user@{server.url[7:]}"):
        assert (await refused(fetcher, PictureSource(url=url))).code == "picture_host"
    assert server.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_redirects_are_not_followed(
    server: RawServer, fetcher: PictureFetcher, status: int
) -> None:
    target = f"{server.origin}/secret"
    server.answer = raw(
        f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_redirected"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "code", "connections"),
    [
        (401, "picture_gone", 1),
        (403, "picture_gone", 1),
        (404, "picture_gone", 1),
        (410, "picture_gone", 1),
        (204, "picture_unreachable", 2),
        (206, "picture_unreachable", 2),
        (415, "picture_unreachable", 2),
        (429, "picture_unreachable", 2),
        (500, "picture_unreachable", 2),
        (503, "picture_unreachable", 2),
    ],
)
async def test_each_status_has_its_sentence(
    server: RawServer, fetcher: PictureFetcher, status: int, code: str, connections: int
) -> None:
    server.answer = raw(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    assert (await refused(fetcher, PictureSource(url=server.url))).code == code
    assert server.connections == connections


async def test_a_passing_fault_is_tried_once_more(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    server.answer = raw(ok(b"fine"))
    for fault in (
        raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        reset,
        raw(ok(b"fi", length=4)),
    ):
        server.answers = [fault]
        assert await fetcher.fetch(PictureSource(url=server.url)) == b"fine"


async def test_a_body_that_breaks_off_is_told_from_a_short_one(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    server.answer = raw(ok(b"x" * 500, length=1000))
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_truncated"
    server.answer = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n")
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_truncated"


async def test_an_empty_body_is_refused(server: RawServer, fetcher: PictureFetcher) -> None:
    server.answer = raw(ok(b""))
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_empty"


async def test_a_large_claim_is_refused_before_the_body(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    server.answer = raw(ok(b"", length=10**12))
    error = await refused(fetcher, PictureSource(url=server.url))
    assert (error.code, error.details) == ("picture_too_big", {"limit_mib": "0.0954"})
    source = PictureSource(url=server.url, claimed_bytes=100_001)
    assert (await refused(fetcher, source)).code == "picture_too_big"
    assert server.connections == 1


async def test_an_endless_body_is_cut_off_at_the_cap(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    sent = 0

    async def endless(writer: Writer) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(10_000):
            writer.write(piece)
            await writer.drain()
            sent += 0x10000

    server.answer = endless
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_too_big"
    assert sent < 64 * 0x10000


async def test_a_compressed_answer_is_not_unfolded(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    server.answer = raw(ok(b"\x1f\x8b\x08", headers="Content-Encoding: gzip\r\n"))
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_unreachable"


@pytest.mark.parametrize(
    "junk", [b"", b"\0\1\2\3 not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"]
)
async def test_a_server_that_does_not_speak_http(
    server: RawServer, fetcher: PictureFetcher, junk: bytes
) -> None:
    server.answer = raw(junk)
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_unreachable"


async def test_nobody_listening(server: RawServer, fetcher: PictureFetcher) -> None:
    closed = "http://127.0.0.1:1"
    fetcher.allowed |= PictureFetcher(fetcher.session, allowed_origins={closed}).allowed
    error = await refused(fetcher, PictureSource(url=f"{closed}/a.png"))
    assert error.code == "picture_unreachable"


async def test_silence_ends_in_a_sentence(server: RawServer, fetcher: PictureFetcher) -> None:
    async def silent(writer: Writer) -> None:
        writer.write(ok(b"x" * 10, length=1000))
        await asyncio.sleep(120)

    server.answer = silent
    fetcher = PictureFetcher(
        fetcher.session, allowed_origins={server.origin}, timeout_s=60, read_timeout_s=0.2
    )
    async with asyncio.timeout(20):
        error = await refused(fetcher, PictureSource(url=server.url))
    assert (error.code, error.details) == ("picture_slow", {"seconds": "0.2"})


async def test_a_drip_cannot_outlast_the_whole_limit(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    async def drip(writer: Writer) -> None:
        writer.write(ok(b"", length=1000))
        for _ in range(1000):
            writer.write(b"x")
            await asyncio.sleep(0.05)

    server.answer = drip
    fetcher.timeout_s = 0.5
    error = await refused(fetcher, PictureSource(url=server.url))
    assert (error.code, error.details) == ("picture_slow", {"seconds": "0.5"})


async def test_downloads_at_once_are_bounded_and_waiting_has_an_end(
    server: RawServer, fetcher: PictureFetcher
) -> None:
    open_now = most = 0
    both_open, go_on = asyncio.Event(), asyncio.Event()

    async def held(writer: Writer) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == 2:
            both_open.set()
        await asyncio.wait_for(go_on.wait(), 5)
        open_now -= 1
        writer.write(ok(b"x"))

    server.answer = held
    fetcher = PictureFetcher(fetcher.session, allowed_origins={server.origin}, concurrency=2)
    fetches = [asyncio.create_task(fetcher.fetch(PictureSource(url=server.url))) for _ in range(6)]
    await asyncio.wait_for(both_open.wait(), 5)
    fetcher.timeout_s = 0.05
    assert (await refused(fetcher, PictureSource(url=server.url))).code == "picture_slow"
    go_on.set()
    assert await asyncio.gather(*fetches) == [b"x"] * 6
    assert most == 2


async def test_cancelling_frees_the_turn(server: RawServer, fetcher: PictureFetcher) -> None:
    async def silent(writer: Writer) -> None:
        await asyncio.sleep(1)

    server.answer = silent
    for _ in range(3):
        task = asyncio.create_task(fetcher.fetch(PictureSource(url=server.url)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    server.answer = raw(ok(b"fine"))
    assert await fetcher.fetch(PictureSource(url=server.url)) == b"fine"


async def test_logs_and_errors_never_hold_the_signed_query(
    server: RawServer, fetcher: PictureFetcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = [reset, raw(b"junk\r\n\r\n"), raw(ok(b"x", length=9)), raw(ok(b""))]
    for fault in faults:
        server.answer = fault
        error = await refused(fetcher, PictureSource(url=server.url))
        assert SECRET not in "".join(traceback.format_exception(error))
    await refused(fetcher, PictureSource(url=f"https://evil.example/a.png?{SECRET}"))
    ours = [record for record in caplog.records if record.name.startswith("bot.")]
    assert any("file=cat.png" in record.getMessage() for record in ours)
    assert not any(SECRET in record.getMessage() for record in ours)
