"""Copies of what requests were drawn from, so that their buttons work when Discord has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from PIL import Image

from bot.imaging.encode import encode_copy
from bot.journal import Journal
from bot.request import ImageRequest
from bot.service import ImageService


class SourceCopies:
    """Has the store keep small copies, in the background and no larger than what was drawn."""

    def __init__(self, service: ImageService, journal: Journal) -> None:
        self._service = service
        self._journal = journal
        self._keeping: set[asyncio.Task[None]] = set()

    def keep(self, request: ImageRequest, sources: Sequence[Image.Image]) -> None:
        """Begin to keep the sources of `request` that ask for it, given as they are drawn from."""
        wanted = {
            position: image
            for position, (source, image) in enumerate(zip(request.sources, sources, strict=True))
            if source.keep
        }
        if wanted:
            self._begin(request.job_id, wanted)

    async def keep_held(self, request: ImageRequest) -> None:
        """Begin to keep the sources that `request` itself holds. Raises BadPicture."""
        held = {
            position: await self._service.intake.open(source.data)
            for position, source in enumerate(request.sources)
            if source.keep and source.data is not None
        }
        if held:
            self._begin(request.job_id, held)

    def _begin(self, job_id: str, wanted: Mapping[int, Image.Image]) -> None:
        task = asyncio.create_task(self._write(job_id, wanted), name=f"sources-{job_id}")
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _write(self, job_id: str, wanted: Mapping[int, Image.Image]) -> None:
        run = asyncio.get_running_loop().run_in_executor
        encoded = [run(self._service.encoders, encode_copy, image) for image in wanted.values()]
        copies = zip(wanted, await asyncio.gather(*encoded), strict=True)
        await self._journal.keep_sources(job_id, dict(copies))
