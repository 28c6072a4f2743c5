"""Put an engine together for this machine: devices, weights, threads and batch budget."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import exit_codes
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError

if TYPE_CHECKING:
    from bot.engine.pipeline import TurboPipeline

log = logging.getLogger(__name__)

MAX_CPU_ENGINES = 4

_CALIBRATING = threading.Lock()
"""Engines that start together measure one after another: the second one finds it remembered."""


def build_scheduler(
    model: str = "starter",
    *,
    device: str = "auto",
    vae: str = "auto",
    max_batch: int = 0,
    compile: bool = True,
    cache: Path | None = None,
    engines: int = 0,
    **limits: Any,
) -> BatchScheduler:
    """Return a scheduler, not started yet, that draws with `model` on this machine.

    `model` is "starter", "tiny", a folder or a .safetensors file. `device` is "auto", "cpu",
    "cuda" (every GPU), "mps", or a list such as "cuda:0,1". `vae` is "auto", "fp32" or "tiny".
    `max_batch` fixes the UNet rows of a call; 0 measures them. `compile` lets CUDA devices capture
    graphs and compile blocks. `cache` keeps what is built and measured. `engines` is how many
    share a CPU; 0 decides by its cores. `limits` go to BatchScheduler. Raises StartupError when a
    device is not there.
    """
    plan = _Plan(model, vae, max_batch, compile, cache)
    makers: list[Callable[[], TurboPipeline]] = []
    for name in find_devices(device):
        makers += plan.on_cpu(engines) if name == "cpu" else [plan.on_accelerator(name)]
    return BatchScheduler(makers, budget=plan.budget, **limits)


def find_devices(wanted: str) -> list[str]:
    """Return the torch names of the devices meant by `wanted`. Raises StartupError."""
    import torch

    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    there = [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    if wanted == "auto":
        return gpus or there[:1]
    found: list[str] = []
    for part in wanted.split(","):
        name = f"cuda:{part.strip()}" if part.strip().isdigit() else part.strip()
        matching = gpus if name == "cuda" else [each for each in there if each == name]
        if not matching:
            raise StartupError(
                f"There is no device {name!r} on this machine; there is {', '.join(there)}.",
                exit_code=exit_codes.CONFIG,
            )
        found += matching
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Plan:
    """What every device thread needs to know to load its pipeline."""

    model: str
    vae: str
    max_batch: int
    compile: bool
    cache: Path | None

    def on_cpu(self, engines: int) -> list[Callable[[], TurboPipeline]]:
        """Return makers of engines that share one set of weights and all cores."""
        from bot.engine.cpu import CoreShare, cores, give_way

        share = CoreShare(cores())
        loading = threading.Lock()
        first: list[TurboPipeline] = []

        def make() -> TurboPipeline:
            give_way()
            with loading:
                if not first:
                    pipeline = self.load("cpu")
                    pipeline.share_cores(share)
                    first.append(pipeline)
                    return pipeline
                return first[0].sibling()

        return [make] * (engines or min(share.total, MAX_CPU_ENGINES))

    def on_accelerator(self, device: str) -> Callable[[], TurboPipeline]:
        """Return the maker of the one engine of `device`."""

        def make() -> TurboPipeline:
            pipeline = self.load(device)
            if not self.compile or not device.startswith("cuda"):
                return pipeline
            from bot.engine.cuda import CudaPipeline

            return CudaPipeline(pipeline.model, cache=self.cache)

        return make

    def load(self, device: str) -> TurboPipeline:
        """Load the model; called in the thread that will own `device`."""
        import torch

        from bot.engine.pipeline import TurboPipeline
        from bot.models.loader import load_model, resolve_model

        path = resolve_model(self.model, cache=self.cache)
        return TurboPipeline(load_model(path, device=torch.device(device), vae=self.vae))

    def budget(self, pipeline: TurboPipeline) -> int:
        """Return the batch budget: as fixed, or measured now or at an earlier start."""
        import diffusers
        import torch

        from bot.engine.calibration import calibrated
        from bot.engine.cpu import cores
        from bot.models.tiny import cache_folder

        with _CALIBRATING:
            rows = self.max_batch or calibrated(
                pipeline,
                size=pipeline.model.default_size,
                versions=f"torch {torch.__version__}, diffusers {diffusers.__version__}, "
                f"{cores()} cores",
                folder=self.cache or cache_folder(),
            )
        pipeline.prepare(rows)
        return rows
