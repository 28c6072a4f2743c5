"""Merging LoRAs into a model's weights in place, and taking them out again bit for bit.

Weights stay where they are in memory, so captured graphs and compiled blocks stay valid; wrapping
layers would change both. The price is one copy, in host memory, of every weight that a LoRA has
touched since the model was loaded: at most as much as the model's UNet and text encoders.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import torch

from bot.engine.lora_file import PARTS, Factors, read_lora, unfit
from bot.request import Lora

log = logging.getLogger(__name__)

Layer = tuple[str, str]
"""A part of the pipeline, and the name of a layer within it."""


class LoraMerger:
    """One model's weights, with at most one LoRA in them. Whoever draws must not meanwhile."""

    def __init__(self, pipeline: Any) -> None:
        self.merged: Lora | None = None
        self.text_variant: Hashable = None
        """Tells apart what the text encoders make of the same prompt."""
        self._pipeline = pipeline
        self._kept: dict[Layer, torch.Tensor] = {}
        self._touched: set[Layer] = set()

    @property
    def kept_bytes(self) -> int:
        """Host memory held for taking LoRAs out again."""
        return sum(weight.nbytes for weight in self._kept.values())

    def check(self, lora: Lora) -> None:
        """Raise WeightsUnavailable if `lora` is not there or does not fit this model."""
        self._plan(lora)

    def merge(self, lora: Lora | None) -> None:
        """Draw with `lora` from now on, or without any.

        Raises WeightsUnavailable if it is not there or does not fit; all stays as it was then.
        """
        if lora == self.merged:
            return
        started = time.perf_counter()
        planned = self._plan(lora) if lora is not None else {}
        try:
            self._restore(self._touched - planned.keys())
            for layer, factors in planned.items():
                self._change(layer, factors, lora.weight if lora else 0.0)
        except BaseException:
            self._restore(self._touched)
            self.merged, self.text_variant = None, None
            raise
        self.merged, self.text_variant = lora, None
        if lora is not None and any(part != "unet" for part, _ in planned):
            # The file may be replaced while we run, and prompts are remembered.
            self.text_variant = (lora, Path(lora.path).stat().st_mtime_ns)
        log.info(
            "%s in %d layers in %.2f s",
            f"Merged {lora.name} ({lora.weight:g})" if lora else "Took the LoRA out, ",
            len(planned),
            time.perf_counter() - started,
        )

    def forget(self) -> None:
        """Take the LoRA out and drop the copies, before the model leaves the device."""
        self.merge(None)
        self._kept.clear()

    def _plan(self, lora: Lora) -> dict[Layer, Factors]:
        """Read the file and find a layer of the right shape for all of its factors."""
        planned: dict[Layer, Factors] = {}
        adapter = read_lora(lora, self._pipeline.unet.config)
        for part in PARTS:
            for name, factors in adapter[part].items():
                layer = (part, _name_in(getattr(self._pipeline, part), name))
                weight = self._weight(layer)
                if weight is None:
                    raise unfit(lora, f"the model has no layer {part}.{name}")
                out, into = len(factors.up), factors.down[0].numel()
                if (out, into) != (len(weight), weight[0].numel()) or factors.up[0, 0].numel() != 1:
                    raise unfit(
                        lora,
                        f"{part}.{name} is {out}×{into}, where the model has "
                        f"{len(weight)}×{weight[0].numel()}",
                    )
                planned[layer] = factors
        return planned

    def _weight(self, layer: Layer) -> torch.Tensor | None:
        part, name = layer
        try:
            weight = getattr(self._pipeline, part).get_submodule(name).weight
        except AttributeError:
            return None
        return weight if isinstance(weight, torch.Tensor) and weight.ndim >= 2 else None

    @torch.no_grad()
    def _change(self, layer: Layer, factors: Factors, share: float) -> None:
        """Set a layer to its own weights plus `share` of the factors' product, summed in fp32."""
        weight = self._weight(layer)
        assert weight is not None
        kept = self._kept.get(layer)
        if kept is None:
            kept = self._kept[layer] = _copy_to_host(weight)
        self._touched.add(layer)
        base = kept.to(weight.device, non_blocking=True).float()
        product = factors.product(weight.device).view(weight.shape)
        weight.copy_(torch.add(base, product, alpha=share))

    @torch.no_grad()
    def _restore(self, layers: set[Layer]) -> None:
        for layer in list(layers):
            weight = self._weight(layer)
            assert weight is not None
            weight.copy_(self._kept[layer], non_blocking=True)
            self._touched.discard(layer)


def _copy_to_host(weight: torch.Tensor) -> torch.Tensor:
    copied = torch.empty_like(weight, device="cpu", pin_memory=weight.device.type == "cuda")
    return copied.copy_(weight)


def _name_in(part: Any, name: str) -> str:
    """Return a layer's name as this release of transformers has it: CLIPTextModel was flattened."""
    if name.startswith("text_model.") and not hasattr(part, "text_model"):
        return name.removeprefix("text_model.")
    return name
