"""From an ImageRequest to an ImageResult: the whole flow on one screen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from PIL import Image

from bot.engine.remote import RemoteScheduler
from bot.engine.scheduler import BatchScheduler
from bot.engine.ticket import Ticket
from bot.imaging.encode import finish_png, make_filename
from bot.imaging.fetch import PictureFetcher
from bot.imaging.intake import Intake, nearest_size
from bot.imaging.metadata import Metadata
from bot.imaging.png_writer import write_png
from bot.ratelimit import Quota, RateLimiter
from bot.request import (
    SIZES,
    Draw,
    Drawn,
    EncodedPicture,
    ImageRequest,
    ImageResult,
    Picture,
    Size,
    Timings,
    effective_steps,
)

log = logging.getLogger(__name__)

OnQueued = Callable[[Ticket], None]

Scheduler = BatchScheduler | RemoteScheduler
"""This machine's devices, or a cluster's; either takes draws and gives tickets."""


class ImageService:
    """Runs requests: limits, fetches, queues, draws, encodes. Knows nothing of Discord."""

    def __init__(
        self,
        *,
        limiter: RateLimiter,
        fetcher: PictureFetcher,
        intake: Intake,
        scheduler: Scheduler,
        encoders: Executor,
        model: str,
        default_size: Size = SIZES["square"],
    ) -> None:
        self.limiter = limiter
        self.fetcher = fetcher
        self.intake = intake
        self.scheduler = scheduler
        self.encoders = encoders
        self.model = model
        self.default_size = default_size

    async def run(
        self,
        request: ImageRequest,
        *,
        guild_quota: Quota | None = None,
        member_quota: Quota | None = None,
        on_queued: OnQueued | None = None,
    ) -> ImageResult:
        """Return the finished pictures of `request`.

        `on_queued` is called once with the ticket when the request enters the queue. Raises
        Refused when the member can mend it, EngineError when the engine failed; whatever is
        raised, cancellation included, the pictures are given back to the limiter.
        """
        started = time.perf_counter()
        admission = await self.limiter.admit(
            guild_id=request.guild_id,
            user_id=request.user_id,
            cost=request.count,
            guild_quota=guild_quota,
            member_quota=member_quota,
        )
        try:
            request, sources = await self._take_in(request)
            taken_in = time.perf_counter()
            ticket = self.scheduler.submit(
                draws_of(request, sources), guild_id=request.guild_id, user_id=request.user_id
            )
            if on_queued is not None:
                on_queued(ticket)
            drawn = await ticket.result()
            drawn_at = time.perf_counter()
            pictures = await self._encode(request, drawn)
        except BaseException:
            await asyncio.shield(self.limiter.refund(admission))
            raise
        done = time.perf_counter()
        timings = Timings(
            intake_ms=(taken_in - started) * 1000,
            queue_ms=max(one.queue_ms for one in drawn),
            pipeline_ms=max(one.pipeline_ms for one in drawn),
            encode_ms=(done - drawn_at) * 1000,
            total_ms=(done - started) * 1000,
        )
        return ImageResult(request, pictures, timings, self.model)

    async def _take_in(self, request: ImageRequest) -> tuple[ImageRequest, list[Image.Image]]:
        """Fetch and check the sources; resolve the size and steps that depend on them."""
        if not request.sources:
            return replace(request, size=request.size or self.default_size), []
        data = await asyncio.gather(*(self.fetcher.fetch(source) for source in request.sources))
        opened = [await self.intake.open(one) for one in data]
        size = scaled(request.size or nearest_size(opened[0]), request.scale)
        steps = effective_steps(request.num_inference_steps, request.strength)
        fitted = [await self.intake.fit(one, size.width, size.height) for one in opened]
        return replace(request, size=size, num_inference_steps=steps), fitted

    async def _encode(self, request: ImageRequest, drawn: Sequence[Drawn]) -> tuple[Picture, ...]:
        """Encode every picture in the pool, each under the upload limit."""
        loop = asyncio.get_running_loop()
        return tuple(
            await asyncio.gather(
                *(
                    loop.run_in_executor(
                        self.encoders, encode_drawn, request, seed, one, self.model
                    )
                    for seed, one in zip(request.seeds, drawn, strict=True)
                )
            )
        )


def scaled(size: Size, scale: int) -> Size:
    """Return `size` with both sides multiplied by `scale`."""
    if scale == 1:
        return size
    return Size(f"{size.name} ×{scale}", size.width * scale, size.height * scale)


def draws_of(request: ImageRequest, sources: Sequence[Image.Image]) -> list[Draw]:
    """Return one Draw per picture of a request whose size is resolved."""
    assert request.size is not None
    return [
        Draw(
            prompt=request.model_prompt,
            negative_prompt=request.model_negative_prompt,
            seed=seed,
            width=request.size.width,
            height=request.size.height,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            strength=request.strength if sources else 1.0,
            sources=tuple(sources),
            weights=tuple(source.weight for source in request.sources),
        )
        for seed in request.seeds
    ]


def encode_drawn(request: ImageRequest, seed: int, drawn: Drawn, model: str) -> Picture:
    """Encode one picture with the parameters that reproduce it; runs in a worker thread.

    One that an engine elsewhere has encoded only gets its metadata here.
    """
    picture = drawn.picture
    if isinstance(picture, EncodedPicture):
        width, height, png = picture.width, picture.height, picture.png
    else:
        height, width = picture.shape[:2]
        png = write_png(picture)
    metadata = Metadata(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        seed=seed,
        width=width,
        height=height,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        strength=request.strength if request.sources else None,
        style=request.style.name if request.style else None,
        model=model,
        job_id=request.job_id,
    )
    data, extension = finish_png(png, metadata=metadata, max_bytes=request.max_bytes)
    filename = make_filename(request.job_id, seed, extension)
    return Picture(data=data, filename=filename, width=width, height=height, seed=seed)
