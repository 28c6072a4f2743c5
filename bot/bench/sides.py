"""The two ways of drawing that are compared, each behind the same three calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from bot.engine.launch import build_scheduler
from bot.engine.scheduler import BatchScheduler
from bot.models.loader import default_dtype
from bot.request import Draw, Pixels, effective_steps


class Side(Protocol):
    """One way of drawing."""

    async def draw(self, draw: Draw, user: int) -> Pixels:
        """Draw one picture for `user`, waiting for whoever is before."""

    async def settle(self) -> None:
        """Wait until it is as fast as it gets."""

    def details(self) -> dict[str, Any]:
        """Return what else is worth keeping of the run."""


@contextmanager
def noise_in_full() -> Iterator[None]:
    """Have half-precision noise drawn on the CPU in fp32, and rounded.

    Before torch 2.13 the same seed gave other random numbers for the two, and so another picture
    than ours, which is the same in every precision.
    """
    drawn = torch.randn

    def randn(*size: Any, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
        generator = options.get("generator")
        if dtype not in (torch.float16, torch.bfloat16) or generator is None:
            return drawn(*size, dtype=dtype, **options)
        return drawn(*size, dtype=torch.float32, **options).to(dtype)

    torch.randn = randn
    try:
        yield
    finally:
        torch.randn = drawn


class Stock:
    """Two stock pipelines, loaded separately, called with their defaults, one request at a time."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        dtype = default_dtype(device)
        halves = dtype == torch.float16 and any((folder / "unet").glob("*.fp16.safetensors"))
        options = {"dtype": dtype, "variant": "fp16" if halves else None, "local_files_only": True}
        for library in (diffusers_logging, transformers_logging):
            library.disable_progress_bar()
        self.text = AutoPipelineForText2Image.from_pretrained(folder, **options).to(device)
        self.image = AutoPipelineForImage2Image.from_pretrained(folder, **options).to(device)
        for pipeline in (self.text, self.image):
            pipeline.set_progress_bar_config(disable=True)
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1)

    def call(self, draw: Draw) -> Pixels:
        """Draw one picture with the pipeline of its kind."""
        options: dict[str, Any] = {
            "prompt": draw.prompt,
            "guidance_scale": draw.guidance_scale,
            "negative_prompt": draw.negative_prompt or None,
            "generator": torch.Generator("cpu").manual_seed(draw.seed),
        }
        if draw.sources:
            steps = effective_steps(draw.num_inference_steps, draw.strength)
            result = self.image(
                image=draw.sources[0],
                strength=draw.strength,
                num_inference_steps=steps,
                **options,
            )
        else:
            result = self.text(
                width=draw.width,
                height=draw.height,
                num_inference_steps=draw.num_inference_steps,
                **options,
            )
        return np.asarray(result.images[0])

    async def draw(self, draw: Draw, user: int) -> Pixels:
        """Draw in a thread, one after another."""
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self.call, draw)

    async def settle(self) -> None:
        """Nothing gets faster by waiting."""

    def details(self) -> dict[str, Any]:
        """Return nothing more."""
        return {}


@dataclass
class Ours:
    """The scheduler that the bot uses, as `build_scheduler` makes it for the machine."""

    scheduler: BatchScheduler

    async def draw(self, draw: Draw, user: int) -> Pixels:
        """Submit one picture and wait for it."""
        ticket = self.scheduler.submit([draw], guild_id=user % 4, user_id=user)
        return (await ticket.result())[0].pixels

    async def settle(self) -> None:
        """Wait until every device has captured and compiled all it wants to."""
        while not self.scheduler.stats().full_speed:  # noqa: ASYNC110 - told by other threads
            await asyncio.sleep(0.05)

    def details(self) -> dict[str, Any]:
        """Return the batches that were formed and the budgets that were measured."""
        stats = self.scheduler.stats()
        return {
            "batch_sizes": {str(size): n for size, n in sorted(stats.batch_sizes.items())},
            "max_rows": list(stats.max_rows),
            "engines": len(stats.device_names),
        }


@asynccontextmanager
async def open_side(name: str, folder: Path, device: str, cache: Path) -> AsyncIterator[Side]:
    """Load one side, and put it away at the end."""
    if name == "baseline":
        with noise_in_full():
            yield Stock(folder, torch.device(device))
        return
    if device.startswith("cuda"):
        from bot.engine import cuda

        # Nothing is asked for meanwhile, so that no lull need be waited for.
        cuda.QUIET_SECONDS = cuda.SETTLE_SECONDS
    scheduler = build_scheduler(str(folder), device=device, cache=cache, max_per_member=1024)
    await scheduler.start()
    try:
        yield Ours(scheduler)
    finally:
        await scheduler.stop(0)
