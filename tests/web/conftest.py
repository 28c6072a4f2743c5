"""What the tests of health, metrics and the page share."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bot.engine.null import NullPipeline
from bot.engine.picture_check import PictureCheck
from bot.engine.scheduler import BatchScheduler
from bot.imaging.fetch import PictureFetcher
from bot.imaging.intake import Intake
from bot.policy import Defaults
from bot.ratelimit import Quota, RateLimiter
from bot.service import ImageService
from bot.web.page_server import reserve, serve_page

AMPLE = Quota(1000, 60)
MAX_BYTES = 25 * 1024 * 1024


@pytest.fixture
def port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@asynccontextmanager
async def service_of(
    pipeline: Callable[[], NullPipeline],
    *,
    member: Quota = AMPLE,
    check: PictureCheck | None = None,
    max_bytes: int = MAX_BYTES,
) -> AsyncIterator[ImageService]:
    """Yield a service with its real parts; only the model is null."""
    workers = ThreadPoolExecutor(2)
    limiter = RateLimiter(guild=AMPLE, member=member)
    scheduler = BatchScheduler([pipeline])
    await scheduler.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield ImageService(
                limiter=limiter,
                fetcher=PictureFetcher(session, max_bytes=max_bytes),
                intake=Intake(workers),
                scheduler=scheduler,
                encoders=workers,
                model="null",
                check=check,
            )
    finally:
        await scheduler.stop(0)
        await limiter.close()
        workers.shutdown()


@asynccontextmanager
async def serving(
    pipeline: Callable[[], NullPipeline] = NullPipeline,
    *,
    defaults: Defaults | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    max_bytes: int = MAX_BYTES,
    **options: Any,
) -> AsyncIterator[str]:
    """Yield the URL of a live page on a free port of this machine."""
    async with (
        reserve(host, port) as place,
        service_of(pipeline, max_bytes=max_bytes) as service,
        serve_page(place, service, defaults or Defaults(), **options) as url,
    ):
        yield url
