"""The folder both sides load: installed weights, or random ones of the right size."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import torch

from bot.bench.architectures import FULL, SMALL
from bot.engine.launch import find_devices
from bot.models.loader import STARTER, default_dtype
from bot.models.random_weights import build_random_pipeline
from bot.models.tiny import build_tiny

log = logging.getLogger(__name__)

FULL_BYTES = 8 * 2**30


def bench_folder(weights: str, device: str, scratch: Path) -> tuple[str, Path, int]:
    """Return the torch device, the model folder and the picture size to measure with.

    "full" writes SDXL-sized random weights to `scratch` in the device's own precision; "starter"
    falls back to random ones of about that size where they are not installed. Raises StartupError
    for a device that is not there, and OSError when the disk is too small.
    """
    (name, *_) = find_devices(device)
    if weights == "tiny":
        folder = build_tiny()
    elif weights == "starter" and (STARTER / "model_index.json").is_file():
        folder = STARTER
    else:
        architecture = FULL if weights == "full" else SMALL
        folder = scratch / architecture.name
        if (folder / "model_index.json").is_file():
            return name, folder, _side(folder)
        log.info("Making random weights of the architecture %r", architecture.name)
        if weights == "full" and shutil.disk_usage(scratch).free < FULL_BYTES:
            raise OSError(f"Full-size weights need 8 GiB free in {scratch}; set TMPDIR elsewhere.")
        torch_device = torch.device(name)
        dtype = default_dtype(torch_device)
        pipeline = build_random_pipeline(architecture, seed=1, device=torch_device, dtype=dtype)
        pipeline.save_pretrained(folder, variant="fp16" if dtype == torch.float16 else None)
        del pipeline
        if torch_device.type == "cuda":
            torch.cuda.empty_cache()
    return name, folder, _side(folder)


def _side(folder: Path) -> int:
    """Return the side in pixels that the folder's model was made for."""
    unet = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    vae = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    return int(unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1))
