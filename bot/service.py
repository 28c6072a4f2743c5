"""From an ImageRequest to an ImageResult: the whole flow on one screen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from PIL import Image

from bot.engine.picture_check import PictureCheck, Side
from bot.engine.remote import RemoteScheduler
from bot.engine.scheduler import BatchScheduler
from bot.engine.ticket import Ticket
from bot.errors import Flagged, QueueFull
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
    OnFlagged,
    Picture,
    PictureSource,
    Size,
    Timings,
    effective_steps,
)

log = logging.getLogger(__name__)

MAX_ENCODING: Final = 256
"""Pictures that may wait drawn for the encoders, 0.8 MiB each at 512×512; beyond, refuse early."""

MAX_TAKING_IN: Final = 64
"""Requests whose sources may be on their way at the same time; the next are refused early.

Pictures that are only read for what they tell count as well, up to half of it: no limit of images
holds them, and they must leave room for those that are drawn from.
"""

AT_ONCE: Final = 8
"""Of those, how many fetch and decode: what bounds the bytes and pixels held meanwhile."""

RETRY_SECONDS: Final = 5.0
"""When to come back, for want of a better guess, to encoders or downloads that are behind."""

OnQueued = Callable[[Ticket], None]

OnSources = Callable[[ImageRequest, Sequence[Image.Image]], None]
"""Takes a request's pictures as they are drawn from: checked, fitted and judged."""

Scheduler = BatchScheduler | RemoteScheduler
"""This machine's devices, or a cluster's; either takes draws and gives tickets."""


class ImageService:
    """Runs requests: limits, fetches, judges, queues, draws, encodes. Knows nothing of Discord."""

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
        check: PictureCheck | None = None,
    ) -> None:
        self.limiter = limiter
        self.fetcher = fetcher
        self.intake = intake
        self.scheduler = scheduler
        self.encoders = encoders
        self.model = model
        self.default_size = default_size
        self.encode = encode_drawn
        self.check = check
        self._encoding = 0
        self._taking_in = 0
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(
        self,
        request: ImageRequest,
        *,
        guild_quota: Quota | None = None,
        member_quota: Quota | None = None,
        on_queued: OnQueued | None = None,
        on_sources: OnSources | None = None,
    ) -> ImageResult:
        """Return the finished pictures of `request`.

        `on_queued` is called once with the ticket when the request enters the queue, `on_sources`
        once before where there are any. Raises Refused when the member can mend it, EngineError
        when the engine or the picture check failed; whatever is raised, cancellation included, the
        pictures are given back to the limiter, except those that were drawn and held back.
        """
        started = time.perf_counter()
        if self._encoding >= MAX_ENCODING:
            raise QueueFull("server", retry_after=RETRY_SECONDS)
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
            flagged = await self._judge_sources(request, sources)
            if sources and on_sources is not None:
                on_sources(request, sources)
            judged = time.perf_counter()
            ticket = self.scheduler.submit(
                draws_of(request, sources), guild_id=request.guild_id, user_id=request.user_id
            )
            if on_queued is not None:
                on_queued(ticket)
            drawn = await ticket.result()
            drawn_at = time.perf_counter()
            encoding = asyncio.gather(self._encode(request, drawn), self._judge_drawn(drawn))
            pictures, (verdicts, output_check_ms) = await encoding
            shown = shown_of(
                pictures,
                [flagged or verdict for verdict in verdicts],
                request.on_flagged,
                hidden=any(source.spoiler for source in request.sources),
            )
        except BaseException as error:
            if not (isinstance(error, Flagged) and error.drawn):
                await asyncio.shield(self.limiter.refund(admission))
            raise
        done = time.perf_counter()
        timings = Timings(
            intake_ms=(taken_in - started) * 1000,
            check_ms=(judged - taken_in) * 1000 + output_check_ms,
            queue_ms=max(one.queue_ms for one in drawn),
            pipeline_ms=max(one.pipeline_ms for one in drawn),
            encode_ms=(done - drawn_at) * 1000,
            total_ms=(done - started) * 1000,
        )
        held_back = len(pictures) - len(shown)
        return ImageResult(request, shown, timings, self._model_of(request), held_back)

    async def _judge_sources(self, request: ImageRequest, sources: Sequence[Image.Image]) -> bool:
        """Return whether the picture check flags a source. Raises Flagged where that is refused."""
        if self.check is None:
            return False
        self.check.admit()
        if not sources:
            return False
        flagged = any(await self.check.judge(sources, Side.INPUT))
        if flagged and request.on_flagged.refuses:
            elsewhere = request.on_flagged is OnFlagged.REFUSE_HERE
            raise Flagged(drawn=False, elsewhere=elsewhere)
        return flagged

    async def _judge_drawn(self, drawn: Sequence[Drawn]) -> tuple[Sequence[bool], float]:
        """Return the verdict on each drawn picture, and the milliseconds that took."""
        if self.check is None:
            return [False] * len(drawn), 0.0
        began = time.perf_counter()
        # An engine elsewhere sends PNGs, which take their time to decode.
        images = await asyncio.get_running_loop().run_in_executor(
            self.encoders, lambda: [Image.fromarray(one.pixels) for one in drawn]
        )
        verdicts = await self.check.judge(images, Side.OUTPUT)
        return verdicts, (time.perf_counter() - began) * 1000

    def _model_of(self, request: ImageRequest) -> str:
        return request.model.name if request.model else self.model

    async def _take_in(self, request: ImageRequest) -> tuple[ImageRequest, list[Image.Image]]:
        """Fetch and check the sources; resolve the size and steps that depend on them."""
        native = request.model.scale if request.model else 1
        if not request.sources:
            size = enlarged(request.size or self.default_size, native)
            return replace(request, size=size), []
        async with self._taking(MAX_TAKING_IN):
            return await self._fetch_and_fit(request, native)

    async def read_metadata(self, source: PictureSource) -> Metadata | None:
        """Return what a picture tells of itself, or None.

        Raises BadPicture if it is not there, QueueFull where too many are on their way.
        """
        async with self._taking(MAX_TAKING_IN // 2):
            return await self.intake.read(await self.fetcher.fetch(source))

    @asynccontextmanager
    async def _taking(self, most: int) -> AsyncIterator[None]:
        """Wait for a turn to fetch and decode. Raises QueueFull where `most` are on their way."""
        if self._taking_in >= most:
            raise QueueFull("server", retry_after=RETRY_SECONDS)
        self._taking_in += 1
        try:
            async with self._turns:
                yield
        finally:
            self._taking_in -= 1

    async def _fetch_and_fit(
        self, request: ImageRequest, native: int
    ) -> tuple[ImageRequest, list[Image.Image]]:
        data = await asyncio.gather(*(self.fetcher.fetch(source) for source in request.sources))
        first = await self.intake.open(data[0])
        named = request.size or nearest_size(first)
        size = scaled(enlarged(named, native), request.scale)
        steps = effective_steps(request.num_inference_steps, request.strength)
        # One after the other: opened they can be large, fitted they are not.
        fitted = [await self.intake.fit(first, size.width, size.height)]
        for one in data[1:]:
            opened = await self.intake.open(one)
            fitted.append(await self.intake.fit(opened, size.width, size.height))
        return replace(request, size=size, num_inference_steps=steps), fitted

    async def _encode(self, request: ImageRequest, drawn: Sequence[Drawn]) -> tuple[Picture, ...]:
        """Encode every picture in the pool, each under the upload limit."""
        loop = asyncio.get_running_loop()
        self._encoding += len(drawn)
        model = self._model_of(request)
        try:
            return tuple(
                await asyncio.gather(
                    *(
                        loop.run_in_executor(self.encoders, self.encode, request, seed, one, model)
                        for seed, one in zip(request.seeds, drawn, strict=True)
                    )
                )
            )
        finally:
            self._encoding -= len(drawn)


def shown_of(
    pictures: Sequence[Picture], flagged: Sequence[bool], on_flagged: OnFlagged, *, hidden: bool
) -> tuple[Picture, ...]:
    """Return the pictures that may be shown, behind spoilers where `hidden`.

    Raises Flagged where none may.
    """
    spoilers = [hidden or (one and on_flagged is OnFlagged.SPOILER) for one in flagged]
    judged = [
        replace(picture, flagged=verdict, spoiler=spoiler)
        for picture, verdict, spoiler in zip(pictures, flagged, spoilers, strict=True)
    ]
    shown = tuple(one for one in judged if not (one.flagged and on_flagged.refuses))
    if not shown:
        raise Flagged(drawn=True, elsewhere=on_flagged is OnFlagged.REFUSE_HERE)
    return shown


def enlarged(size: Size, scale: int) -> Size:
    """Return a named size as it is for a model made for pictures `scale` times as large."""
    return Size(size.name, size.width * scale, size.height * scale)


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
            weight_set=request.weight_set,
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
        lora=request.adapter.name if request.adapter else None,
        lora_weight=request.adapter.weight if request.adapter else None,
        model=model,
        job_id=request.job_id,
    )
    data, extension = finish_png(png, metadata=metadata, max_bytes=request.max_bytes)
    filename = make_filename(request.job_id, seed, extension)
    return Picture(data=data, filename=filename, width=width, height=height, seed=seed)
