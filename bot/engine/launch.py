"""Put an engine together for this machine: devices, weights, threads and batch budget."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import exit_codes
from bot.engine.scheduler import BatchScheduler
from bot.errors import StartupError, WeightsUnavailable
from bot.request import Lora

if TYPE_CHECKING:
    from bot.engine.calibration import Calibration
    from bot.engine.pipeline import TurboPipeline
    from bot.engine.seat import Seat
    from bot.models.loader import LoadedModel

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
    models: Mapping[str, str] | None = None,
    waiting_bytes: int = 0,
    loras: Sequence[Lora] = (),
    models_dir: Path | None = None,
    catalog: Path | None = None,
    **limits: Any,
) -> BatchScheduler:
    """Return a scheduler, not started yet, that draws with `model` on this machine.

    `model` is "starter", "tiny", a folder or a .safetensors file. `models` are further ones by the
    names that draws ask for them with: one is on a device at a time, and those that wait take up to
    `waiting_bytes` of host memory in all. `loras` must fit `model`, or it cannot start. `device`
    is "auto", "cpu", "cuda" (every GPU), "mps", or a list such as "cuda:0,1". `vae` is "auto",
    "fp32" or "tiny". `max_batch` fixes the UNet rows of a call; 0 measures them. `compile` lets
    CUDA devices capture graphs and compile blocks. `cache` keeps what is built and measured.
    `engines` is how many share a CPU; 0 decides by its cores. `models_dir` is where models are
    found by name, `catalog` an operator's own catalogue. `limits` go to BatchScheduler.
    Raises StartupError when a device is not there.
    """
    devices = find_devices(device)
    plan = _Plan(
        {**(models or {}), "": model},
        vae,
        max_batch,
        compile,
        cache,
        waiting_bytes // len(devices),
        tuple(loras),
        models_dir,
        catalog,
    )
    makers: list[Callable[[], Seat]] = []
    for name in devices:
        makers += plan.on_cpu(engines) if name == "cpu" else [plan.on_accelerator(name)]
    return BatchScheduler(makers, budget=_Budget(plan), **limits)


def find_devices(wanted: str) -> list[str]:
    """Return the torch names of the devices meant by `wanted`. Raises StartupError."""
    import torch

    # A driver that is too old for this torch still tells it how many GPUs there are.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [f"cuda:{number}" for number in range(count)]
    there = [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    if wanted == "auto":
        if torch.version.cuda and not gpus:
            log.warning(
                "torch is built for CUDA %s but sees no GPU (is its driver too old?): drawing "
                "on the CPU, far slower; TURBOCORD_DEVICE=cpu says that this is meant",
                torch.version.cuda,
            )
        return gpus or there[:1]
    found: list[str] = []
    for part in wanted.split(","):
        name = f"cuda:{part.strip()}" if part.strip().isdigit() else part.strip()
        matching = gpus if name == "cuda" else [each for each in there if each == name]
        if not matching:
            raise StartupError(
                f"There is no device {name!r} on this machine; there is {', '.join(there)}. "
                "`turbocord doctor` says more.",
                exit_code=exit_codes.CONFIG,
            )
        found += matching
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Plan:
    """What every device thread needs to know to load its pipeline."""

    models: Mapping[str, str]
    vae: str
    max_batch: int
    compile: bool
    cache: Path | None
    waiting_bytes: int
    loras: tuple[Lora, ...]
    models_dir: Path | None
    catalog: Path | None

    def on_cpu(self, engines: int) -> list[Callable[[], Seat]]:
        """Return makers of engines that share one set of weights and all cores."""
        from bot.engine.cpu import CoreShare, cores, give_way
        from bot.engine.pipeline import TurboPipeline
        from bot.engine.residency import Residency
        from bot.engine.seat import Seat

        engines = engines or min(cores(), MAX_CPU_ENGINES)
        share = CoreShare(cores(), engines)
        residency = Residency(
            lambda name: self.load(name, "cpu"), TurboPipeline, waiting_bytes=self.waiting_bytes
        )

        def make() -> Seat:
            give_way()
            return Seat(residency, cores=share.join())

        return [make] * engines

    def on_accelerator(self, device: str) -> Callable[[], Seat]:
        """Return the maker of the one engine of `device`."""

        def wrap(model: LoadedModel) -> TurboPipeline:
            from bot.engine.pipeline import TurboPipeline

            if not self.compile or not device.startswith("cuda"):
                return TurboPipeline(model)
            from bot.engine.cuda import CudaPipeline

            return CudaPipeline(model, cache=self.cache)

        def make() -> Seat:
            from bot.engine.residency import Residency
            from bot.engine.seat import Seat

            return Seat(
                Residency(
                    lambda name: self.load(name, device), wrap, waiting_bytes=self.waiting_bytes
                )
            )

        return make

    def load(self, name: str, device: str) -> LoadedModel:
        """Load a model; called in the thread that will own `device`. Raises StartupError."""
        import torch

        from bot.models.loader import load_model, resolve_model

        if name not in self.models:
            raise StartupError(f"No model is called {name!r} here.", exit_code=exit_codes.MODEL)
        path = resolve_model(
            self.models[name], cache=self.cache, root=self.models_dir, extra=self.catalog
        )
        model = load_model(path, device=torch.device(device), vae=self.vae, extra=self.catalog)
        if not name:
            self.check_loras(model)
        return model

    def check_loras(self, model: LoadedModel) -> None:
        """Raise StartupError if a LoRA does not fit the first model."""
        for lora in self.loras:
            try:
                model.merger.check(lora)
            except WeightsUnavailable as error:
                reason = error.details.get("reason", "there is no such file")
                raise StartupError(
                    f"The LoRA {lora.path} cannot be used with {model.name}: {reason}.",
                    exit_code=exit_codes.MODEL,
                ) from error


class _Budget:
    """The batch budget of each device: as fixed, as remembered, or measured.

    A CPU is measured before it draws, in two seconds. An accelerator is at its speed only when its
    graphs are captured; members must not wait for that, so it begins with a guess.
    """

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan

    def __call__(self, seat: Seat) -> int:
        from bot.engine.calibration import FIRST_ROWS, ROWS

        calibration, size = self._calibration(), seat.pipeline.model.default_size
        with _CALIBRATING:
            rows = self.plan.max_batch or calibration.remembered(seat, size)
            if rows is None and seat.pipeline.device.type == "cpu":
                rows = calibration.measure(seat, size)
        seat.prepare(rows or ROWS[-1])
        return rows or FIRST_ROWS

    def refine(self, seat: Seat) -> int | None:
        calibration, size = self._calibration(), seat.pipeline.model.default_size
        if self.plan.max_batch or calibration.remembered(seat, size):
            return None
        return calibration.measure(seat, size)

    def _calibration(self) -> Calibration:
        import diffusers
        import torch

        from bot.engine.calibration import Calibration
        from bot.engine.cpu import cores
        from bot.models.tiny import cache_folder

        return Calibration(
            self.plan.cache or cache_folder(),
            f"torch {torch.__version__}, diffusers {diffusers.__version__}, {cores()} cores",
        )
