"""The least time a picture can take on a device: its arithmetic at the best rate measured there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bot.engine.pipeline import TurboPipeline
from bot.models.loader import load_model
from bot.request import Draw

ROWS = 8
REPEATS = 5


@torch.inference_mode()
def floor(folder: Path, device: str, size: int) -> dict[str, Any]:
    """Count a 2-step picture's operations and time batches of it against the matmul rate.

    Returns GFLOP per picture and part, the rate in TFLOP/s, and for batches of 1 and 8 the floor
    and the measured milliseconds a picture takes on the device, eager.
    """
    pipeline = TurboPipeline(load_model(folder, device=torch.device(device)))
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
    per_picture = 2 * counted["unet_step"] + counted["vae_decode"]
    return {
        "gflop": counted,
        "matmul_tflops": rate,
        "picture_ms": per_picture / rate,
    }


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best rate of a large matrix product on `device`, in TFLOP/s."""
    side = 8192 if device.type == "cuda" else 1024
    left = torch.ones(side, side, device=device, dtype=dtype)
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
