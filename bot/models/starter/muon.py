"""Muon: momentum whose matrices are made orthogonal, so that every direction learns at one pace.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. Here it takes about
half the pictures that AdamW does. Convolutions count as matrices of (out, in times kernel).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The quintic iteration's, as published: steep at 0, near 1 for all singular values."""


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether `device` has bfloat16: a CPU that emulates it takes ten times as long."""
    return device.type != "cpu" or bool(torch.cpu.get_capabilities()["avx512_bf16"])


def orthogonal(matrix: torch.Tensor, rounds: int = 3) -> torch.Tensor:
    """Return the nearest matrix with equal singular values, roughly, by Newton-Schulz rounds.

    Leading dimensions are a batch of matrices.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16() if has_bfloat16(matrix.device) else matrix
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = (x.mT if tall else x).to(matrix.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum on matrices and convolutions, each step made orthogonal."""

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        *,
        lr: torch.Tensor,
        momentum: float = 0.95,
        decay: float = 0.05,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, those of one shape together."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[len(parameter), parameter[0].numel()].append(parameter)
            for (height, width), parameters in alike.items():
                aheads = [self._ahead(own, group["momentum"]).flatten(1) for own in parameters]
                rate = group["lr"] * max(1.0, height / width) ** 0.5
                for own, update in zip(parameters, orthogonal(torch.stack(aheads)), strict=True):
                    # Every step is as long as the last, so weights would grow for ever.
                    own.mul_(1 - group["decay"] * group["lr"]).sub_(rate * update.view_as(own))

    def _ahead(self, parameter: torch.Tensor, momentum: float) -> torch.Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        kept = state["momentum"].lerp_(parameter.grad, 1 - momentum)
        assert parameter.grad is not None
        return parameter.grad.lerp(kept, momentum)


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
    device = next(model.parameters()).device
    # On the device, so that captured steps see it change.
    rates = torch.tensor([rate, rate * ADAM_SHARE], device=device).unbind()
    return [
        Muon(inner, lr=rates[0]),
        torch.optim.AdamW(
            others,
            lr=rates[1],
            betas=(0.9, 0.98),
            weight_decay=0.0,
            capturable=device.type == "cuda",
        ),
    ]


def set_rate(pair: list[torch.optim.Optimizer], rate: float) -> None:
    """Let both go on at Muon's `rate`."""
    for optimizer, share in zip(pair, (1.0, ADAM_SHARE), strict=True):
        for group in optimizer.param_groups:
            group["lr"].fill_(rate * share)


def advance(pair: list[torch.optim.Optimizer], rate: float) -> None:
    """Take a step of both at Muon's `rate`, and clear the gradients."""
    set_rate(pair, rate)
    for optimizer in pair:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
