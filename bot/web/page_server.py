"""Serving the live page on the event loop that the rest of the process runs on.

Gradio would by itself start a thread with a loop of its own, where nothing of ours may be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from bot import exit_codes
from bot.errors import StartupError
from bot.policy import Defaults
from bot.ratelimit import Quota
from bot.service import ImageService
from bot.web.doorkeeper import Doorkeeper
from bot.web.page import STYLE, Page, import_gradio
from bot.web.pictures import Pictures, media_type
from bot.web.visitor import SETTLE_SECONDS, Observer, Visitor, Visitors

log = logging.getLogger(__name__)

GONE: Final = 404


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page will be served: `listener` is bound to `host`, and nobody listens yet."""

    host: str
    listener: socket.socket

    @property
    def port(self) -> int:
        """The port, also where a free one was asked for."""
        return int(self.listener.getsockname()[1])


@asynccontextmanager
async def reserve(host: str = "127.0.0.1", port: int = 7860) -> AsyncIterator[Place]:
    """Yield a place for the page, for as long as it may be served; port 0 picks a free one.

    To be entered before anything is loaded. Raises StartupError where Gradio is missing or the
    port cannot be had.
    """
    # Gradio fixes some of its folders when it is imported: in another's it could not start.
    with own_temporary_folder():
        # Importing it takes seconds, in which probes and heartbeats want their answers.
        await asyncio.to_thread(import_gradio)
        with contextlib.closing(bind(host, port)) as listener:
            yield Place(host, listener)


@asynccontextmanager
async def serve_page(
    place: Place,
    service: ImageService,
    defaults: Defaults,
    *,
    password: str = "",
    quota: Quota | None = None,
    observe: Observer | None = None,
    settle_s: float = SETTLE_SECONDS,
) -> AsyncIterator[str]:
    """Yield the page's URL while it is served at `place`.

    An empty `password` lets everyone in who reaches the port. `quota` replaces the limiter's own
    for each visitor; all of them together share one guild's. `observe` hears how each request
    ended. Raises StartupError where another process has begun to listen at `place`.
    """
    host, bound = place.host, place.port
    if not password and not is_loopback(host):
        log.warning("the live page on %s:%d is open to everyone who reaches it", host, bound)
    pictures = Pictures()

    def visitor() -> Visitor:
        return Visitor(service, defaults, quota=quota, observe=observe, settle_s=settle_s)

    page = Page(Visitors(visitor), pictures, defaults)
    application = make_application(
        page, host=host, port=bound, password=password, max_bytes=service.fetcher.max_bytes
    )
    with _told_in_words(host, bound):
        place.listener.listen()
    async with _serving(application, place.listener):
        url = f"http://{host_in_url(host)}:{bound}/"
        log.info("the live page is on %s", url)
        yield url


def make_application(page: Page, *, host: str, port: int, password: str, max_bytes: int) -> Any:
    """Return the ASGI application: the page at `/`, its pictures under `/pictures/`."""
    gr = import_gradio()
    from fastapi import FastAPI, Response

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    blocks = page.build()
    application.add_middleware(
        Doorkeeper,
        folder=blocks.GRADIO_CACHE,
        max_bytes=max_bytes,
        inputs={number: len(event.inputs) for number, event in blocks.fns.items()},
    )

    # Names cannot be guessed, so that a picture needs no second look at the password.
    @application.get("/pictures/{name}")
    async def picture(name: str) -> Response:
        found = page.pictures.get(name)
        if found is None:
            return Response(status_code=GONE)
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(found.data, media_type=media_type(name), headers=headers)

    system = ["system-ui", "sans-serif"]
    return gr.mount_gradio_app(
        application,
        blocks,
        path="/",
        server_name=host,
        server_port=port,
        auth=(lambda _name, given: same(given, password)) if password else None,
        auth_message="Any name will do; the password is the operator's.",
        max_file_size=max_bytes,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        show_error=False,
        # Fonts of the reader's own system: none is fetched from anywhere.
        theme=gr.themes.Soft(font=system, font_mono=["ui-monospace", "monospace"]),
        css=STYLE,
    )


@asynccontextmanager
async def _serving(application: Any, listener: socket.socket) -> AsyncIterator[None]:
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves the signals to whoever runs the process."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        application,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="live-page")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host`:`port`, on which nobody listens yet. Raises StartupError."""
    with _told_in_words(host, port):
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    return listener


@contextlib.contextmanager
def _told_in_words(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartupError(
            f"The live page cannot listen on {host}:{port} ({error.strerror}): choose another "
            "port or address",
            exit_code=exit_codes.CONFIG,
        ) from error


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Have Gradio keep uploads in a folder of its own, which goes when the page does."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="turbocord-web-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before


def same(given: str, password: str) -> bool:
    """Return whether the password is right, in a time that tells nothing of it."""
    return hmac.compare_digest(given.encode(), password.encode())


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_in_url(host: str) -> str:
    """Return `host` as it stands in a URL that this machine can open."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else "127.0.0.1"
    return f"[{address}]" if address.version == 6 else str(address)
