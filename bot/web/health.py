"""Health and metrics over HTTP: `/healthz`, `/readyz` and `/metrics`.

`/healthz` answers 503 where only a new process helps, `/readyz` where no request can be answered
now; both say why in JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from bot import exit_codes
from bot.errors import StartupError
from bot.web.looplag import LoopLag
from bot.web.metrics import Metrics
from bot.web.parts import Parts
from bot.web.readiness import QueueWatch, reasons_not_alive, reasons_not_ready

log = logging.getLogger(__name__)


class Ops:
    """Watches the parts of one process and tells about them.

    `parts` may be filled in while the process starts. `metrics.observe` belongs among the
    studio's observers.
    """

    def __init__(self, parts: Parts | None = None) -> None:
        self.parts = parts or Parts()
        self.metrics = Metrics(self.parts)
        self.queue = QueueWatch()
        self.lag = LoopLag(self.metrics.observe_lag, self._look)

    def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        return application

    def _look(self, _lag: float) -> None:
        # Often, not only when probed: the time since a queue last moved is measured from here.
        if self.parts.engine is not None:
            self.queue.look(self.parts.engine(), time.monotonic())

    async def _healthz(self, _request: web.Request) -> web.Response:
        reasons = reasons_not_alive(self.parts)
        return _report("alive", reasons, loop_lag_ms=round(self.lag.worst * 1000, 1))

    async def _readyz(self, _request: web.Request) -> web.Response:
        reasons = reasons_not_ready(self.parts, self.queue, time.monotonic())
        if self.parts.engine is None:
            return _report("ready", reasons)
        stats = self.parts.engine()
        return _report(
            "ready",
            reasons,
            model=stats.model_name,
            full_speed=stats.full_speed,
            waiting=stats.waiting,
            running=stats.running,
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type})


def _report(what: str, reasons: list[str], **details: object) -> web.Response:
    return web.json_response(
        {what: not reasons, "reasons": reasons, **details}, status=503 if reasons else 200
    )


@asynccontextmanager
async def serve_ops(host: str, port: int, parts: Parts | None = None) -> AsyncIterator[Ops]:
    """Yield an Ops that listens on `host`:`port`; with port 0 it only counts and watches.

    Enter it before the engine is started and leave it last, so that it can tell of both. Raises
    StartupError where the port cannot be had.
    """
    ops = Ops(parts)
    async with contextlib.AsyncExitStack() as stack:
        if port:
            await stack.enter_async_context(_listening(ops.application(), host, port))
        measuring = asyncio.create_task(ops.lag.measure(), name="loop-lag")
        try:
            yield ops
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)


@asynccontextmanager
async def _listening(application: web.Application, host: str, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartupError(
                f"Health and metrics cannot listen on {host}:{port} ({error.strerror}): choose "
                "another TURBOCORD_HTTP_PORT or TURBOCORD_HTTP_HOST",
                exit_code=exit_codes.CONFIG,
            ) from error
        log.info("health and metrics on http://%s:%d", host, port)
        yield
    finally:
        await runner.cleanup()
