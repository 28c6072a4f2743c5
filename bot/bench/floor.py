"""How near drawing comes to what the device's arithmetic allows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bot.engine.pipeline import TurboPipeline
from bot.models.loader import LoadedModel, load_model
from bot.request import Draw

CUDA_ROWS = 8
REPEATS = 5
STEPS = 2


@torch.inference_mode()
def floor(folder: Path, device: str, size: int, cache: Path | None = None) -> dict[str, Any]:
    """Count the operations of a 2-step picture and time it against the device's matmul rate.

    Returns GFLOP by part, the rate in TFLOP/s, the floor of a picture in milliseconds (its UNet
    and decoder at that rate, text remembered), and what a picture takes in a batch of `rows` when
    nothing but the device call counts.
    """
    model = load_model(folder, device=torch.device(device))
    # Counted on an eager pipeline: a graph's replay is one call that nobody can look into.
    pipeline = TurboPipeline(model)
    (sample,) = pipeline.start([Draw("a", 0, size, size)])
    counted: dict[str, float] = {}
    for part, call in (
        ("unet_step", lambda: pipeline.step([sample])),
        ("vae_decode", lambda: pipeline.decode([sample]).collect()),
        ("text", lambda: pipeline.encode_prompts(["counted"])),
    ):
        with FlopCounterMode(display=False) as counter:
            call()
        counted[part] = counter.get_total_flops() / 1e9
    rate = matmul_rate(torch.device(device), pipeline.dtype)
    least = (STEPS * counted["unet_step"] + counted["vae_decode"]) / rate
    rows = CUDA_ROWS if pipeline.device.type == "cuda" else 1
    took = _picture_ms(_fastest(model, cache), rows, size)
    return {
        "gflop": counted,
        "matmul_tflops": rate,
        "picture_ms": least,
        "rows": rows,
        "measured_ms": took,
        "times_floor": took / least,
    }


def _fastest(model: LoadedModel, cache: Path | None) -> TurboPipeline:
    if model.device.type != "cuda":
        return TurboPipeline(model)
    from bot.engine.cuda import CudaPipeline

    pipeline = CudaPipeline(model, cache=cache)
    pipeline.prepare(CUDA_ROWS)
    while pipeline.improve(float("inf")):
        pass
    return pipeline


def _picture_ms(pipeline: TurboPipeline, rows: int, size: int) -> float:
    """Return the best milliseconds per picture of a batch, from its first step to its pixels."""
    best = float("inf")
    for _ in range(REPEATS):
        samples = pipeline.start([Draw("a", n, size, size, "", STEPS) for n in range(rows)])
        _finish(pipeline.device)
        started = time.perf_counter()
        for _ in range(STEPS):
            pipeline.step(samples)
        pipeline.decode(samples).collect()
        best = min(best, time.perf_counter() - started)
    return best * 1000 / rows


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best rate of a large matrix product on `device`, in TFLOP/s."""
    side = 8192 if device.type == "cuda" else 1024
    # Noise: a product of equal numbers takes less power, and so runs faster than any real one.
    left = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(REPEATS):
        _finish(device)
        started = time.perf_counter()
        _ = left @ left
        _finish(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best / 1e12


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
