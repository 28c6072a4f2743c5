"""One optimizer step of the UNet; on CUDA a captured graph for each shape, as launching it takes
longer than running it."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import nn

from bot.models.starter.muon import has_bfloat16, optimizers, set_rate
from bot.models.starter.unet import hold, layout_path, predict_x0

log = logging.getLogger(__name__)
_EAGER = 4
"""Steps of a shape before its graph is captured, so that libraries have chosen their kernels."""


def autocast(device: torch.device) -> torch.autocast:
    """Return the context to train in: bfloat16 where the device has it, and fp32 elsewhere.

    Casts are not kept, as one capture must not use another's.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=has_bfloat16(device), cache_enabled=False
    )


class Inputs(NamedTuple):
    """One batch on the device, as `lessons.Lessons` and the prompts' conditions give it."""

    noisy: torch.Tensor
    wanted: torch.Tensor
    timesteps: torch.Tensor
    sigma: torch.Tensor
    weight: torch.Tensor
    states: torch.Tensor
    pooled: torch.Tensor
    time_ids: torch.Tensor


class Stepper:
    """Owns the optimizers of a UNet, and on CUDA the graphs of whole steps."""

    def __init__(self, unet: Any, *, rate: float, compiled: bool = False) -> None:
        self.unet = unet
        self.device = next(unet.parameters()).device
        self.optimizers = optimizers(unet, rate=rate)
        self.held = layout_path(unet)
        self.forward = torch.compile(unet) if compiled else unet
        self.graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Inputs, torch.Tensor]] = {}
        self.eager: Counter[torch.Size] = Counter()
        self.refused: set[torch.Size] = set()

    def __call__(self, inputs: Inputs, rate: float) -> torch.Tensor:
        """Take a step at Muon's `rate`; return each lesson's mean error in RGB 0..1, (n,)."""
        set_rate(self.optimizers, rate)
        shape = inputs.noisy.shape
        if shape in self.graphs:
            graph, own, error = self.graphs[shape]
            for kept, given in zip(own, inputs, strict=True):
                kept.copy_(given, non_blocking=True)
            graph.replay()
            return error.clone()
        if self.device.type != "cuda" or shape in self.refused:
            return self._learn(inputs)
        self.eager[shape] += 1
        if self.eager[shape] <= _EAGER:
            return self._aside(inputs)
        try:
            return self._capture(inputs)
        except RuntimeError:
            log.exception("no graph for %s: it stays eager", tuple(shape))
            self.refused.add(shape)
            torch.cuda.synchronize()
            return self._learn(inputs)

    def _aside(self, inputs: Inputs) -> torch.Tensor:
        """Step on a stream of its own, as what is captured later must have warmed up on one."""
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            error = self._learn(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return error

    def _capture(self, inputs: Inputs) -> torch.Tensor:
        own = Inputs(*(part.clone(memory_format=torch.preserve_format) for part in inputs))
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        # Others copy to the device meanwhile, which a global capture would take for its own.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            error = self._learn(own)
        self.graphs[inputs.noisy.shape] = graph, own, error
        log.info("captured %s", tuple(inputs.noisy.shape))
        graph.replay()
        return error.clone()

    def _learn(self, inputs: Inputs) -> torch.Tensor:
        for parameter in self.unet.parameters():
            parameter.grad = None
        with autocast(self.device):
            output = self.forward(
                inputs.noisy,
                inputs.timesteps,
                encoder_hidden_states=inputs.states,
                added_cond_kwargs={
                    "text_embeds": inputs.pooled,
                    "time_ids": inputs.time_ids,
                },
                return_dict=False,
            )[0]
        error = (predict_x0(inputs.noisy, output.float(), inputs.sigma) - inputs.wanted) / 1.5
        loss = (inputs.weight * (error.abs() + error.square())).mean()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        for parameter in self.unet.parameters():
            # One bad batch in a million must not end the run.
            torch.nan_to_num_(parameter.grad, nan=0.0, posinf=0.0, neginf=0.0)
        for optimizer in self.optimizers:
            optimizer.step()
        hold(self.held)
        return error.detach().abs().mean(dim=(1, 2, 3)) / 2
