"""Muon: momentum whose matrices are made orthogonal, so that every direction learns at one pace.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. Here it takes about
half the pictures that AdamW does. Convolutions count as matrices of (out, in times kernel).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The quintic iteration's, as published: steep at 0, near 1 for all singular values."""


def orthogonal(matrix: torch.Tensor, rounds: int = 3) -> torch.Tensor:
    """Return the nearest matrix with equal singular values, roughly, by Newton-Schulz rounds."""
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = (x.T if tall else x).to(matrix.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum on matrices and convolutions, each step made orthogonal."""

    def __init__(
        self, params: Iterable[torch.Tensor], *, lr: float = 0.02, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                kept = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(kept, group["momentum"]).flatten(1)
                size = max(1.0, ahead.size(0) / ahead.size(1)) ** 0.5
                update = orthogonal(ahead).view_as(parameter)
                parameter.add_(update, alpha=-group["lr"] * size)


EDGES = ("conv_in", "conv_out")
ADAM_SHARE = 0.1
"""AdamW's rate as a share of Muon's."""


def optimizers(
    model: Any, *, rate: float, hidden: Sequence[str] = ("",), edges: Sequence[str] = EDGES
) -> list[torch.optim.Optimizer]:
    """Return Muon for a model's hidden matrices, and AdamW for everything else.

    A matrix is hidden if its name holds one of `hidden` and starts with none of `edges`.
    """
    inner: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, parameter in model.named_parameters():
        is_inner = (
            parameter.ndim >= 2
            and any(part in name for part in hidden)
            and not name.startswith(tuple(edges))
        )
        (inner if is_inner else others).append(parameter)
    return [
        Muon(inner, lr=rate),
        torch.optim.AdamW(others, lr=rate * ADAM_SHARE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def advance(pair: list[torch.optim.Optimizer], rate: float) -> None:
    """Take a step of both at Muon's `rate`, and clear the gradients."""
    for optimizer, share in zip(pair, (1.0, ADAM_SHARE), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
