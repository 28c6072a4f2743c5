"""The autoencoder: an encoder written by hand, and a decoder that learns to draw edges.

The encoder averages RGB over 8 by 8 pixels, exactly, so that latents can be rendered directly and a
mistake in them can be seen. The decoder starts as a plain enlargement and learns what is missing:
where inside eight pixels an edge runs.

Both are stock AutoencoderKL parts, whose normalisations would erase absolute colour. So the trunk
carries RGB in channels 0-2, its negative in 3-5, and ±PIN in 6 and 7: the mean of these is 0, their
variance almost constant, and as silu(x) - silu(-x) = x the last activation gives colour back whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from bot.models.starter.unet import CHANNELS, SCALE

WIDTHS = (12, 16, 32, 48)
PIN = 20.0
CARRIED = 8


def build_autoencoder(*, sample_size: int = 512) -> Any:
    """Return an AutoencoderKL whose encoder is finished and whose decoder enlarges plainly."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(WIDTHS),
        up_block_types=("UpDecoderBlock2D",) * len(WIDTHS),
        block_out_channels=WIDTHS,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=1,
        sample_size=sample_size,
        scaling_factor=SCALE,
        force_upcast=True,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        _write_encoder(vae)
        _start_decoder(vae.decoder)
        _identity(vae.post_quant_conv, CHANNELS)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    vae.post_quant_conv.requires_grad_(False)
    return vae


def _write_encoder(vae: Any) -> None:
    encoder = vae.encoder
    for parameter in [*encoder.parameters(), *vae.quant_conv.parameters()]:
        parameter.zero_()
    _carry_in(encoder.conv_in)
    for resnet in _resnets(encoder):
        # With a silent second convolution a resnet is its shortcut.
        if resnet.conv_shortcut is not None:
            _identity(resnet.conv_shortcut, CARRIED)
    for block in encoder.down_blocks:
        if block.downsamplers:
            weight = block.downsamplers[0].conv.weight
            for channel in range(CARRIED):
                weight[channel, channel, :2, :2] = 0.25
    _pin_norm(encoder.conv_norm_out)
    _carry_out(encoder.conv_out)
    # The rest of conv_out's rows are the latents' log variance: as good as none.
    encoder.conv_out.bias[CHANNELS:] = -30.0
    _identity(vae.quant_conv, 2 * CHANNELS)


def _start_decoder(decoder: Any) -> None:
    decoder.conv_in.bias.zero_()
    _carry_in(decoder.conv_in)
    for resnet in _resnets(decoder):
        for norm in (resnet.norm1, resnet.norm2):
            _pin_norm(norm)
        resnet.conv1.weight[:, 6:8] = 0
        resnet.conv1.weight[:2] = 0
        resnet.conv1.bias.zero_()
        # Two constants hold the second norm still as the trunk's do the first.
        resnet.conv1.bias[:2] = torch.tensor([PIN, -PIN])
        resnet.conv2.weight.mul_(0.1)
        resnet.conv2.weight[:, :2] = 0
        resnet.conv2.weight[6:8] = 0
        resnet.conv2.bias.zero_()
        if resnet.conv_shortcut is not None:
            resnet.conv_shortcut.weight[:, 6:8] = 0
            resnet.conv_shortcut.weight[:CARRIED] = 0
            resnet.conv_shortcut.bias.zero_()
            _identity(resnet.conv_shortcut, CARRIED)
    for block in decoder.up_blocks:
        if block.upsamplers:
            convolution = block.upsamplers[0].conv
            convolution.weight[:, 6:8] = 0
            convolution.weight[:CARRIED] = 0
            convolution.bias.zero_()
            _identity(convolution, CARRIED)
    _pin_norm(decoder.conv_norm_out)
    decoder.conv_out.weight.mul_(0.1)
    decoder.conv_out.weight[:, :CARRIED] = 0
    decoder.conv_out.bias.zero_()
    _carry_out(decoder.conv_out)


def frozen_entries(decoder: Any) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Return weights with masks that are 0 where the pins are made, carried or would be read."""
    entries: list[tuple[nn.Parameter, torch.Tensor]] = []

    def keep(module: Any, *, rows: slice | None = None, columns: slice | None = None) -> None:
        mask = torch.ones_like(module.weight)
        if rows is not None:
            mask[rows] = 0
            bias = torch.ones_like(module.bias)
            bias[rows] = 0
            entries.append((module.bias, bias))
        if columns is not None:
            mask[:, columns] = 0
        entries.append((module.weight, mask))

    pins, inner = slice(6, 8), slice(0, 2)
    keep(decoder.conv_in, rows=pins)
    for resnet in _resnets(decoder):
        keep(resnet.conv1, rows=inner, columns=pins)
        keep(resnet.conv2, rows=pins, columns=inner)
        if resnet.conv_shortcut is not None:
            keep(resnet.conv_shortcut, rows=pins, columns=pins)
    for block in decoder.up_blocks:
        if block.upsamplers:
            keep(block.upsamplers[0].conv, rows=pins, columns=pins)
    keep(decoder.conv_out, columns=pins)
    return entries


def _resnets(part: Any) -> Iterator[Any]:
    yield from part.mid_block.resnets
    for block in getattr(part, "up_blocks", None) or part.down_blocks:
        yield from block.resnets


def _identity(convolution: Any, channels: int) -> None:
    middle = convolution.weight.shape[-1] // 2
    for channel in range(channels):
        convolution.weight[channel, channel, middle, middle] = 1.0


def _carry_in(convolution: Any) -> None:
    convolution.weight[:CARRIED] = 0
    for channel in range(3):
        convolution.weight[channel, channel, 1, 1] = 1.0
        convolution.weight[3 + channel, channel, 1, 1] = -1.0
    convolution.bias[6:8] = torch.tensor([PIN, -PIN])


def _carry_out(convolution: Any) -> None:
    for channel in range(3):
        convolution.weight[channel, channel, 1, 1] = 1.0
        convolution.weight[channel, 3 + channel, 1, 1] = -1.0


def _pin_norm(norm: Any) -> None:
    norm.weight.fill_(PIN * (2 / norm.num_channels) ** 0.5)
    norm.bias.zero_()
