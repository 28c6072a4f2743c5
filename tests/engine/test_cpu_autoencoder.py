"""The leaner autoencoder reads and draws what the library's own does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D

from bot.engine.cpu_autoencoder import make_lean, phases


@pytest.fixture(scope="module")
def autoencoder() -> Any:
    torch.manual_seed(3)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 12, 16),
        layers_per_block=1,
        norm_num_groups=4,
    ).eval()


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 4, 6, 10)])
@torch.inference_mode()
def test_pictures_stay_the_same(autoencoder: Any, shape: tuple[int, ...]) -> None:
    decoder = autoencoder.decoder
    lean = copy.deepcopy(decoder)
    make_lean(lean)
    replaced = [m for m in lean.modules() if "forward" in vars(m)]
    assert {type(m) for m in replaced} == {ResnetBlock2D, Upsample2D}
    latents = torch.randn(shape)
    expected, found = decoder(latents), lean(latents)
    assert torch.allclose(found, expected, atol=1e-5)
    # Not by chance: a copy of the lean one works on its own weights.
    copied = copy.deepcopy(lean)
    for parameter in lean.parameters():
        parameter.zero_()
    assert torch.equal(copied(latents), found)


@torch.inference_mode()
def test_a_silent_block_is_its_shortcut(autoencoder: Any) -> None:
    encoder = copy.deepcopy(autoencoder.encoder)
    silent = [module for module in encoder.modules() if isinstance(module, ResnetBlock2D)][:3]
    # One keeps its channels and so has no convolution in its shortcut; one is silent but for a
    # bias, which is not silent.
    assert [block.conv_shortcut is None for block in silent] == [True, False, False]
    for block in silent:
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    silent[2].conv2.bias[0] = 1.0
    lean = copy.deepcopy(encoder)
    make_lean(lean)
    pixels = torch.randn(2, 3, 32, 24)
    expected = encoder(pixels)
    blocks = [module for module in lean.modules() if isinstance(module, ResnetBlock2D)][:3]
    for block in blocks[:2]:
        block.conv1.weight.fill_(torch.nan)  # nobody asks for it
    assert torch.allclose(lean(pixels), expected, atol=1e-5)
    blocks[2].conv1.weight.fill_(torch.nan)
    assert lean(pixels).isnan().any()


@torch.inference_mode()
def test_an_odd_size_goes_the_librarys_way() -> None:
    upsample = Upsample2D(4, use_conv=True)
    hidden = torch.randn(1, 4, 5, 5)
    expected = upsample(hidden, (9, 11))
    make_lean(upsample)
    assert torch.equal(upsample(hidden, (9, 11)), expected)
    assert upsample(hidden).shape == (1, 4, 10, 10)


@torch.inference_mode()
def test_the_phases_are_the_convolution_of_what_was_enlarged() -> None:
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    weight, bias = phases(conv)
    assert weight.shape == (20, 3, 2, 2)
    hidden = torch.randn(2, 3, 4, 7)
    found = torch.nn.functional.conv2d(torch.nn.functional.pad(hidden, (1, 1, 1, 1)), weight, bias)
    large = conv(torch.nn.functional.interpolate(hidden, scale_factor=2.0))
    assert torch.allclose(found[:, :5, :4, :7], large[:, :, ::2, ::2], atol=1e-5)
    assert torch.allclose(found[:, 15:, 1:, 1:], large[:, :, 1::2, 1::2], atol=1e-5)
