"""An autoencoder with fewer passes over memory, for CPUs; its pictures stay the same.

At a picture's full size a CPU waits for memory more than for arithmetic. Diffusers' residual blocks
make three passes that change nothing or could be made in place, and its upsampling writes every
value four times to convolve the copies. Measured on one busy core with the starter model at
512×512: 184 ms of CPU time to decode as it comes, 178 with leaner blocks, 170 with both. A block
whose last convolution is silent, as in the starter model's encoder, is no more than its shortcut.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn


@torch.no_grad()
def make_lean(autoencoder: nn.Module) -> None:
    """Replace, in place, the parts of `autoencoder` that can do with fewer passes.

    Its weights must be final, as the silent ones are looked for here.
    """
    for module in autoencoder.modules():
        if isinstance(module, ResnetBlock2D) and _is_plain(module):
            silent = not any(part.any() for part in module.conv2.parameters())
            module.forward = MethodType(_shortcut if silent else _residual, module)
        elif isinstance(module, Upsample2D) and is_nearest_then_conv(module):
            weight, bias = phases(module.conv)
            module.register_buffer("phase_weight", weight, persistent=False)
            module.register_buffer("phase_bias", bias, persistent=False)
            module.forward = MethodType(_upsample, module)


def phases(conv: nn.Conv2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a 2×2 convolution with four times the outputs of the 3×3 one after upsampling.

    Of an enlarged picture, a 3×3 window covers only 2×2 different values. Which of its weights fall
    together depends on whether the output's row and column are even or odd: four phases.
    """

    def folded(weight: torch.Tensor, axis: int) -> list[torch.Tensor]:
        first, middle, last = weight.unbind(axis)
        even, odd = (first, middle + last), (first + middle, last)
        return [torch.stack(each, axis) for each in (even, odd)]

    kernels = [both for rows in folded(conv.weight, 2) for both in folded(rows, 3)]
    assert conv.bias is not None
    weight = torch.cat(kernels).contiguous(memory_format=torch.channels_last)
    return weight, conv.bias.repeat(4)


def _is_plain(block: Any) -> bool:
    return (
        block.upsample is None
        and block.downsample is None
        and getattr(block, "time_emb_proj", None) is None
        and block.output_scale_factor == 1.0
        and isinstance(block.nonlinearity, nn.SiLU)
        # The decoder's blocks are called so, and told no time that they could norm by.
        and block.time_embedding_norm in ("default", "group")
        and isinstance(block.norm1, nn.GroupNorm)
    )


def is_nearest_then_conv(upsample: Any) -> bool:
    """Tell whether an upsampling doubles every place and then convolves 3×3, and no more."""
    conv = upsample.conv
    return (
        upsample.use_conv
        and not upsample.use_conv_transpose
        and upsample.norm is None
        and upsample.interpolate
        and isinstance(conv, nn.Conv2d)
        and (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
        and conv.bias is not None
    )


def _shortcut(block: Any, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    if block.conv_shortcut is None:
        return hidden
    found: torch.Tensor = block.conv_shortcut(hidden)
    return found


def _residual(block: Any, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    # What a norm returns is nobody else's, so that it may be overwritten.
    out = block.conv1(F.silu(block.norm1(hidden), inplace=True))
    out = block.conv2(F.silu(block.norm2(out), inplace=True))
    result: torch.Tensor = out.add_(_shortcut(block, hidden))
    return result


def _upsample(
    block: Any, hidden: torch.Tensor, output_size: Any = None, *_: Any, **__: Any
) -> torch.Tensor:
    if output_size is not None:
        plain: torch.Tensor = Upsample2D.forward(block, hidden, output_size)
        return plain
    count, height, width = hidden.shape[0], *hidden.shape[2:]
    found = F.conv2d(F.pad(hidden, (1, 1, 1, 1)), block.phase_weight, block.phase_bias)
    out = hidden.new_empty(count, block.conv.out_channels, 2 * height, 2 * width)
    out = out.contiguous(memory_format=torch.channels_last)
    for number, values in enumerate(found.chunk(4, dim=1)):
        row, column = divmod(number, 2)
        out[..., row::2, column::2] = values[..., row : row + height, column : column + width]
    return out
