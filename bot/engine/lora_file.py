"""LoRA files: one .safetensors file to the low-rank factors of each layer it changes.

diffusers knows the key formats (kohya's, its own old and new ones, PEFT's) and is asked to
translate them; what it would need PEFT for, putting the factors to use, is in `bot.engine.lora`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import SafetensorError, safe_open

from bot.errors import WeightsUnavailable
from bot.request import Lora

MAX_BYTES: Final = 2 * 1024**3
"""The largest file that is read; SDXL's LoRAs have 10 MB to 1 GB."""

PARTS: Final = ("unet", "text_encoder", "text_encoder_2")

_METADATA: Final = "lora_adapter_metadata"
_LEFT_OUT: Final = {
    "dora_scale": "it is a DoRA",
    "lora_magnitude_vector": "it is a DoRA",
    "hada_w1": "it is a LoHa",
    "lokr_w1": "it is a LoKr",
}
"""Marks of related formats, which are not sums of a matrix product and the weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """What one layer gets: `scale` times `up` (out, rank) times `down` (rank, in), both on the CPU.

    Convolutions have their kernel's sides behind.
    """

    up: torch.Tensor
    down: torch.Tensor
    scale: float

    def product(self, device: torch.device) -> torch.Tensor:
        """Return the change of the layer's weights, (out, in) in fp32 on `device`."""
        up, down = (each.to(device).float().flatten(1) for each in (self.up, self.down))
        return (up @ down) * self.scale


Adapter = Mapping[str, Mapping[str, Factors]]
"""Factors by part of the pipeline (see PARTS), then by the layer's name within it."""


def read_lora(lora: Lora, unet_config: Any) -> Adapter:
    """Read a LoRA's file. Raises WeightsUnavailable, saying what is wrong with it."""
    path = Path(lora.path)
    if not path.is_file():
        raise WeightsUnavailable("lora_missing", name=lora.name)
    if path.suffix != ".safetensors":
        raise unfit(lora, "it is not a .safetensors file")
    if path.stat().st_size > MAX_BYTES:
        raise unfit(lora, f"it is larger than {MAX_BYTES} bytes")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = (file.metadata() or {}).get(_METADATA)
        for mark, reason in _LEFT_OUT.items():
            if any(mark in name for name in tensors):
                raise unfit(lora, reason)
        _fold_alphas(tensors)
        found, alphas = StableDiffusionXLPipeline.lora_state_dict(tensors, unet_config=unet_config)
        if alphas:
            raise unfit(lora, "it has alphas without factors")
        config = json.loads(metadata) if metadata else {}
        adapter = {part: _factors(part, found, config) for part in PARTS}
    except (OSError, SafetensorError) as error:
        raise unfit(lora, "the file is damaged") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # Whatever the translation trips over in somebody's file, its keys are not those of SDXL.
        raise unfit(lora, "its layers are not named as SDXL's") from error
    if strange := [name for name in found if not name.startswith(tuple(f"{p}." for p in PARTS))]:
        raise unfit(lora, f"it has {strange[0]}, which is no part of SDXL")
    if not any(adapter.values()):
        raise unfit(lora, "it changes nothing")
    return adapter


def unfit(lora: Lora, reason: str) -> WeightsUnavailable:
    """Return the error for a LoRA that cannot be used, `reason` for the log."""
    return WeightsUnavailable("lora_unfit", name=lora.name, reason=reason)


def _fold_alphas(tensors: dict[str, torch.Tensor]) -> None:
    """Multiply kohya's alphas into the factors, so that none has to be matched to renamed keys."""
    for name in [name for name in tensors if name.endswith(".alpha")]:
        layer = name.removesuffix(".alpha")
        up, down = f"{layer}.lora_up.weight", f"{layer}.lora_down.weight"
        if up in tensors and down in tensors:
            scale = float(tensors.pop(name)) / len(tensors[down])
            tensors[up] = tensors[up].float() * scale


def _factors(
    part: str, found: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> dict[str, Factors]:
    """Return the factors of one part, under PEFT's names without the part's own."""
    own = {
        name.removeprefix(f"{part}."): tensor
        for name, tensor in found.items()
        if name.startswith(f"{part}.")
    }
    if not own:
        return {}
    if part == "unet":
        if not any("lora_A" in name for name in own):
            own = convert_unet_state_dict_to_peft(own)
    else:
        own = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own))
    rules = {
        name.removeprefix(f"{part}."): value
        for name, value in config.items()
        if name.startswith(f"{part}.")
    }
    factors: dict[str, Factors] = {}
    for name in own:
        layer, _, kind = name.rpartition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            raise ValueError(f"{name} is no low-rank factor")
        if kind == "A.weight":
            up, down = own[f"{layer}.lora_B.weight"], own[name]
            if up.ndim < 2 or down.ndim < 2 or up.shape[1] != len(down):
                raise ValueError(f"the factors of {layer} do not meet")
            factors[layer] = Factors(up, down, _scale(layer, len(down), rules))
    if 2 * len(factors) != len(own):
        raise ValueError("a factor has no counterpart")
    return factors


def _scale(layer: str, rank: int, rules: Mapping[str, Any]) -> float:
    """Return alpha over rank as PEFT's own configuration says; 1 without one."""
    alpha = _ruled(layer, rules.get("alpha_pattern") or {}, rules.get("lora_alpha", rank))
    return float(alpha) / (math.sqrt(rank) if rules.get("use_rslora") else rank)


def _ruled(layer: str, patterns: Mapping[str, Any], otherwise: Any) -> Any:
    """Return the value of the pattern that the layer's name ends in, as PEFT matches them."""
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", layer):
            return value
    return otherwise
