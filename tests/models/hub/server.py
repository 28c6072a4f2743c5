"""A model hub on localhost: the endpoints of Hugging Face's and ModelScope's that clients use.

It runs in a thread of its own, because the clients under test block. Large files (`.safetensors`,
`.bin`) are served as the real hub does: a redirect to a signed address elsewhere, ranges allowed.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

SIGNATURE = "Signature=very-secret"
LARGE = (".safetensors", ".bin")


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """Repositories by id, each a mapping of path to bytes, and the faults to commit."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    revisions: dict[str, str] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """Per path, after how many bytes each of the next answers breaks off."""
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """Per path, the statuses that the next answers have instead; 0 leaves one as it is."""
    served_instead: dict[str, bytes] = field(default_factory=dict)
    """Per path, other bytes than those that are listed."""
    ranges: bool = True
    listing: object = None
    """Answer every listing with this instead."""
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    cdn: str = ""

    def commit(self, repo: str) -> str:
        """Return the repository's one commit."""
        return self.revisions.get(repo) or hashlib.sha1(repo.encode()).hexdigest()

    def fetched(self, path: str) -> list[Request]:
        """Return the requests for `path`'s bytes."""
        return [one for one in self.requests if one.method == "GET" and one.path.endswith(path)]

    def app(self) -> web.Application:
        """Return the application of the hub and of its CDN, which only differ by address."""
        app = web.Application(middlewares=[self._record])
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/cdn/{owner}/{name}/{path:.+}", self._cdn)
        app.router.add_get("/api/v1/models/{owner}/{name}/repo/files", self._modelscope_files)
        app.router.add_get("/api/v1/models/{owner}/{name}/repo", self._modelscope_file)
        return app

    @web.middleware
    async def _record(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        path = request.query.get("FilePath") or request.path
        headers = request.headers
        self.requests.append(
            Request(request.method, path, headers.get("Range"), headers.get("Authorization"))
        )
        return await handler(request)

    async def _info(self, request: web.Request) -> web.Response:
        repo = _repo(request)
        if (refused := self._refused(repo, request)) is not None:
            return refused
        if self.listing is not None:
            return web.json_response(self.listing)
        siblings = [
            {
                "rfilename": path,
                "size": len(data),
                "blobId": _git_sha1(data),
                **({"lfs": _lfs(data)} if path.endswith(LARGE) else {}),
            }
            for path, data in self.repos[repo].items()
        ]
        return web.json_response(
            {"id": repo, "modelId": repo, "sha": self.commit(repo), "siblings": siblings}
        )

    async def _tree(self, request: web.Request) -> web.Response:
        files = [
            {
                "type": "file",
                "path": path,
                "size": len(data),
                "oid": _git_sha1(data),
                **({"lfs": {**_lfs(data), "oid": _sha256(data)}} if path.endswith(LARGE) else {}),
            }
            for path, data in self.repos[_repo(request)].items()
        ]
        return web.json_response(files)

    def _refused(self, repo: str, request: web.Request) -> web.Response | None:
        if repo not in self.repos:
            return web.json_response(
                {"error": "Repository not found"},
                status=401,
                headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
            )
        if repo in self.gated and request.headers.get("Authorization") != "Bearer hf_accepted":
            return web.json_response({}, status=403, headers={"X-Error-Code": "GatedRepo"})
        if request.match_info["revision"] not in ("main", self.commit(repo)):
            return web.json_response({}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
        return None

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        repo, path = _repo(request), request.match_info["path"]
        if (refused := self._refused(repo, request)) is not None:
            return refused
        data = self.repos[repo][path]
        headers = {"X-Repo-Commit": self.commit(repo), "Accept-Ranges": "bytes"}
        if not path.endswith(LARGE):
            headers["ETag"] = f'"{_git_sha1(data)}"'
            return await self._send(request, path, data, headers)
        headers["X-Linked-Size"] = str(len(data))
        headers["X-Linked-Etag"] = f'"{_sha256(data)}"'
        headers["Location"] = f"{self.cdn}/cdn/{repo}/{path}?{SIGNATURE}"
        return web.Response(status=302, headers=headers)

    async def _cdn(self, request: web.Request) -> web.StreamResponse:
        if request.query_string != SIGNATURE:
            return web.Response(status=403)
        path = request.match_info["path"]
        return await self._send(request, path, self.repos[_repo(request)][path], {})

    async def _send(
        self, request: web.Request, path: str, listed: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        if (waiting := self.statuses.get(path)) and (status := waiting.pop(0)):
            return web.Response(status=status)
        data = self.served_instead.get(path, listed)
        start = 0
        wanted = request.headers.get("Range")
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if breaks := self.breaks.get(path):
            await response.write(body[: breaks.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        await response.write_eof()
        return response

    async def _modelscope_files(self, request: web.Request) -> web.Response:
        repo = _repo(request)
        if repo not in self.repos:
            return web.json_response({"Code": 10010205001, "Message": "not found"}, status=404)
        files: list[dict[str, object]] = [{"Path": "unet", "Type": "tree", "Size": 0}]
        files += [
            {"Path": path, "Type": "blob", "Size": len(data), "Sha256": _sha256(data)}
            for path, data in self.repos[repo].items()
        ]
        return web.json_response({"Code": 200, "Data": {"Files": files}})

    async def _modelscope_file(self, request: web.Request) -> web.StreamResponse:
        path = request.query["FilePath"]
        return await self._send(request, path, self.repos[_repo(request)][path], {})


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` on two free ports of 127.0.0.1, the hub's and its CDN's, until the end."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> web.AppRunner:
        # A client that was cut off keeps no handler waiting at the end.
        runner = web.AppRunner(hub.app(), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        addresses = []
        for _ in range(2):
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            addresses.append(runner.addresses[-1][1])
        hub.url, hub.cdn = (f"http://127.0.0.1:{port}" for port in addresses)
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, name="hub", daemon=True)
    thread.start()
    assert ready.wait(10), "the hub did not start"
    try:
        yield hub
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _repo(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _lfs(data: bytes) -> dict[str, object]:
    return {"sha256": _sha256(data), "size": len(data), "pointerSize": 134}
