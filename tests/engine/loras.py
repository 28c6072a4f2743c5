"""LoRA files for the tiny model, in the formats that are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from bot.request import Lora
from tests.models.single_file import unet_name

UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "conv1", "conv2")
TEXT_LAYERS = ("q_proj", "v_proj", "out_proj", "fc1")


def low_rank(
    part: torch.nn.Module, endings: tuple[str, ...], *, seed: int, rank: int
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return up and down factors for every layer of `part` whose name has one of the endings."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, module in part.named_modules():
        weight = getattr(module, "weight", None)
        if not name.endswith(endings) or weight is None:
            continue
        out, into, *kernel = weight.shape
        up = torch.randn(out, rank, *([1] * len(kernel)), generator=generator)
        down = torch.randn(rank, into, *kernel, generator=generator)
        found[name] = (up * 0.6, down * (0.6 / weight[0].numel() ** 0.5))
    assert found
    return found


def save_peft(
    pipeline: Any, path: Path, *, seed: int = 1, rank: int = 4, text: bool = True
) -> Lora:
    """Write a file with diffusers' and PEFT's keys."""
    tensors = {}
    for part, endings in _parts(text):
        module = getattr(pipeline, part)
        for name, (up, down) in low_rank(module, endings, seed=seed, rank=rank).items():
            tensors[f"{part}.{name}.lora_A.weight"] = down
            tensors[f"{part}.{name}.lora_B.weight"] = up
    save_file(tensors, path)
    return Lora(str(path))


def save_kohya(
    pipeline: Any,
    path: Path,
    *,
    seed: int = 1,
    rank: int = 4,
    alpha: float = 2.0,
    text: bool = True,
    sgm: bool = False,
) -> Lora:
    """Write a file with kohya's keys: underscores, and an alpha for each layer.

    With `sgm` the UNet's layers have the names of the published checkpoints.
    """
    prefixes = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    tensors = {}
    for part, endings in _parts(text):
        module = getattr(pipeline, part)
        for name, (up, down) in low_rank(module, endings, seed=seed, rank=rank).items():
            full = (
                name if part == "unet" or name.startswith("text_model.") else f"text_model.{name}"
            )
            if sgm and part == "unet":
                full = unet_name(f"{name}.weight", module).removesuffix(".weight")
            layer = f"{prefixes[part]}_{full.replace('.', '_')}"
            tensors[f"{layer}.lora_down.weight"] = down
            tensors[f"{layer}.lora_up.weight"] = up
            tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return Lora(str(path))


def save_sgm(pipeline: Any, path: Path, **options: Any) -> Lora:
    """Write a file as most trainers of SDXL do: kohya's keys, the checkpoints' names."""
    return save_kohya(pipeline, path, sgm=True, **options)


def _parts(text: bool) -> list[tuple[str, tuple[str, ...]]]:
    both = [("text_encoder", TEXT_LAYERS), ("text_encoder_2", TEXT_LAYERS)] if text else []
    return [("unet", UNET_LAYERS), *both]
