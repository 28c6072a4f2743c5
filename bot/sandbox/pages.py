"""The sandbox's page: static files, served under a policy that lets nothing else run."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web

FOLDER: Final = files("bot.sandbox") / "page"
TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: this server's own files, and pictures a member is about to send."""

ATTACHMENT_POLICY: Final = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"
"""An attachment opened by itself may be anybody's HTML or SVG: it runs no script."""


def add_routes(app: web.Application) -> None:
    """Serve the page at `/` and its modules at `/page/…`, and disarm attachments."""
    app.router.add_get("/", _index)
    app.router.add_get("/page/{name}", _file)
    app.on_response_prepare.append(_disarm)


async def _index(_: web.Request) -> web.Response:
    return _serve("index.html")


async def _file(request: web.Request) -> web.Response:
    return _serve(request.match_info["name"])


def _serve(name: str) -> web.Response:
    """Return one file of the page; a name that is not one of its own is answered 404."""
    kind = TYPES.get(name.rpartition(".")[2])
    if kind is None or name not in {one.name for one in FOLDER.iterdir()}:
        raise web.HTTPNotFound(text=f"The page has no file {name!r}.")
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    body = (FOLDER / name).read_bytes()
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)


async def _disarm(request: web.Request, response: web.StreamResponse) -> None:
    if "attachments/" in request.path and not request.path.startswith(("/api/", "/sandbox")):
        response.headers["Content-Security-Policy"] = ATTACHMENT_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
