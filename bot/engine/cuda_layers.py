"""UNet and autoencoder with fewer kernels and passes over memory, for CUDA; pictures stay the same.

Convolutions want channels last there, which PyTorch's group normalisation turns back and forth.
Residual blocks, normalisations and upsamplings are given the kernels of `bot.engine.cuda_kernels`;
what a convolution adds to each channel is added by the pass that comes after it. Importing this
needs Triton, which PyTorch brings along where it has one.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from bot.engine.cpu_autoencoder import is_nearest_then_conv
from bot.engine.cuda_kernels import add, double, group_norm

TOLERANCE = 0.05
"""What a result of our own may differ in: a few roundings of bf16, at values up to 5."""


def make_lean(*parts: nn.Module) -> None:
    """Replace, in place, what of `parts` can do with fewer passes; weights get channels last.

    Raises RuntimeError, or what the compiler raises, where the kernels do not work on the parts'
    device; nothing is changed then.
    """
    for part in parts:
        some = next(part.parameters())
        _try(some.device, some.dtype)
    for part in parts:
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in part.modules():
            _replace(module)


def _try(device: torch.device, dtype: torch.dtype) -> None:
    norm = nn.GroupNorm(4, 8).to(device, dtype).requires_grad_(False)
    x = torch.linspace(-2, 2, 2 * 8 * 6 * 6, device=device).view(2, 8, 6, 6).to(dtype)
    bias = torch.linspace(-1, 1, 8, device=device).to(dtype)
    pairs = {
        "normalisation": (group_norm(x, norm, silu=True), F.silu(norm(x))),
        "sum": (add(x, x, bias), x + x + bias[:, None, None]),
        "enlargement": (double(x), F.interpolate(x, scale_factor=2.0, mode="nearest")),
    }
    for name, (ours, stock) in pairs.items():
        error = float((ours - stock).abs().max())
        if not error <= TOLERANCE:
            raise RuntimeError(f"a {name} of our own is off by {error:g}")


def _replace(module: Any) -> None:
    if isinstance(module, ResnetBlock2D) and _is_plain(module):
        module.forward = MethodType(_residual, module)
    elif isinstance(module, Upsample2D) and is_nearest_then_conv(module):
        module.forward = MethodType(_upsample, module)
    elif isinstance(module, Transformer2DModel) and module.use_linear_projection:
        leave = MethodType(_leave_transformer, module)
        module._get_output_for_continuous_inputs = leave
    elif isinstance(module, nn.GroupNorm) and module.affine:
        module.forward = MethodType(_norm, module)  # type: ignore[method-assign]


def _is_plain(block: Any) -> bool:
    return (
        block.upsample is None
        and block.downsample is None
        and block.output_scale_factor == 1.0
        and isinstance(block.nonlinearity, nn.SiLU)
        # The autoencoder's decoder says "group", and is told no time.
        and (block.time_embedding_norm == "default" or block.time_emb_proj is None)
        and block.time_embedding_norm in ("default", "group")
        and all(isinstance(norm, nn.GroupNorm) for norm in (block.norm1, block.norm2))
        and all(conv.bias is not None for conv in (block.conv1, block.conv2))
    )


def _residual(
    block: Any, hidden: torch.Tensor, temb: torch.Tensor | None = None, *_: Any, **__: Any
) -> torch.Tensor:
    out = _convolve(block.conv1, group_norm(hidden, block.norm1, silu=True))
    told = None
    if block.time_emb_proj is not None and temb is not None:
        told = block.time_emb_proj(temb if block.skip_time_act else F.silu(temb))
    out = group_norm(out, block.norm2, silu=True, before=block.conv1.bias, also=told)
    out = _convolve(block.conv2, out)
    if block.conv_shortcut is None:
        return add(out, hidden, block.conv2.bias)
    shortcut = _convolve(block.conv_shortcut, hidden)
    return add(out, shortcut, block.conv2.bias, block.conv_shortcut.bias)


def _convolve(conv: nn.Conv2d, hidden: torch.Tensor) -> torch.Tensor:
    """Convolve without adding the bias."""
    return F.conv2d(hidden, conv.weight, None, conv.stride, conv.padding)


def _norm(norm: nn.GroupNorm, hidden: torch.Tensor) -> torch.Tensor:
    if hidden.ndim == 4:
        return group_norm(hidden, norm)
    # Attention in the autoencoder: (n, c, places), which is channels last turned round.
    return group_norm(hidden[..., None], norm)[..., 0]


def _upsample(
    block: Any, hidden: torch.Tensor, output_size: Any = None, *_: Any, **__: Any
) -> torch.Tensor:
    if output_size is not None:
        plain: torch.Tensor = Upsample2D.forward(block, hidden, output_size)
        return plain
    found: torch.Tensor = block.conv(double(hidden))
    return found


def _leave_transformer(
    block: Any,
    hidden_states: torch.Tensor,
    residual: torch.Tensor,
    batch_size: int,
    height: int,
    width: int,
    inner_dim: int,
) -> torch.Tensor:
    """Return to a picture as the stock block does, but leave channels last."""
    rows: torch.Tensor = block.proj_out(hidden_states)
    return rows.view(batch_size, height, width, inner_dim).permute(0, 3, 1, 2) + residual
