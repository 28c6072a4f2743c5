"""The GPU's own kernels in Triton's interpreter; run by test_cuda_layers in a process of its own.

Triton is told before it is imported that it is to interpret: TRITON_INTERPRET=1.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bot.engine import cuda, cuda_kernels, cuda_layers
from bot.models.loader import LoadedModel
from bot.models.random_weights import build_random_pipeline
from bot.models.tiny import TINY


def picture(count: int, channels: int, height: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    values = torch.randn(count, channels, height, width, generator=generator) * 2 + 1
    return values.to(dtype)


SHAPES = [
    # Groups of one channel, of many, of a number that is no power of two, and one group of all;
    # fewer places than a tile, and programs that sum up one tile or several.
    (1, 32, 8, 8, 32),
    (2, 96, 10, 6, 4),
    (2, 320, 4, 17, 32),
    (1, 224, 7, 5, 1),
    (1, 8, 20, 31, 2),
]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        *((shape, torch.float32) for shape in SHAPES),
        (SHAPES[2], torch.float16),
        (SHAPES[2], torch.bfloat16),
    ],
)
def test_normalises_as_pytorch_does(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int, int, int, int],
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(cuda_kernels, "PROGRAMS", 4)
    count, channels, height, width, groups = shape
    x = picture(count, channels, height, width, dtype)
    norm = nn.GroupNorm(groups, channels).to(dtype).requires_grad_(False)
    norm.weight.copy_(torch.linspace(0.5, 2, channels))
    norm.bias.copy_(torch.linspace(-1, 1, channels))
    before = torch.linspace(-3, 3, channels).to(dtype)
    also = torch.linspace(2, -2, count * channels).view(count, channels).to(dtype)
    exact = norm.__class__(groups, channels).requires_grad_(False)
    exact.load_state_dict(norm.state_dict())
    moved = x.float() + before.float()[None, :, None, None] + also.float()[:, :, None, None]
    tolerance = 4 * torch.finfo(dtype).eps * 8

    def agree(found: torch.Tensor, wanted: torch.Tensor) -> None:
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert float((found.float() - wanted).abs().max()) <= tolerance

    agree(cuda_kernels.group_norm(x, norm), exact(x.float()))
    agree(
        cuda_kernels.group_norm(x, norm, silu=True, before=before, also=also), F.silu(exact(moved))
    )


@pytest.mark.parametrize("second", [False, True])
def test_adds_pictures_and_what_belongs_to_channels(second: bool) -> None:
    x, other = picture(2, 72, 5, 7, torch.float32), picture(2, 72, 5, 7, torch.float32) * 3
    bias = torch.arange(72.0)
    more = bias * 2 if second else None
    wanted = x + other + bias[:, None, None] * (3 if second else 1)
    # Whatever the layouts are that come in.
    found = cuda_kernels.add(x, other.contiguous(memory_format=torch.channels_last), bias, more)
    assert torch.allclose(found, wanted, atol=1e-4)


def test_doubles_pictures() -> None:
    x = picture(2, 70, 5, 3, torch.float16)
    wanted = F.interpolate(x.float(), scale_factor=2.0, mode="nearest")
    assert torch.equal(cuda_kernels.double(x).float(), wanted)


def told(pipeline: Any) -> dict[str, Any]:
    """Return what the UNet is told beside latents and timesteps."""
    unet = pipeline.unet
    generator = torch.Generator().manual_seed(1)
    return {
        "encoder_hidden_states": torch.randn(
            2, 77, unet.config.cross_attention_dim, generator=generator
        ),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(
                2, pipeline.text_encoder_2.config.projection_dim, generator=generator
            ),
            "time_ids": torch.tensor([[512.0, 512.0, 0.0, 0.0, 512.0, 512.0]] * 2),
        },
        "return_dict": False,
    }


@torch.inference_mode()
def test_lean_parts_give_the_same_pictures() -> None:
    pipeline = build_random_pipeline(TINY, seed=1)
    unet, vae = pipeline.unet, pipeline.vae
    latents = picture(2, unet.config.in_channels, 6, 4, torch.float32)
    small = picture(2, vae.config.latent_channels, 2, 1, torch.float32)
    pixels = picture(1, 3, 16, 8, torch.float32)

    def all_of_it() -> list[torch.Tensor]:
        return [
            unet(latents, torch.tensor([500.0, 200.0]), **told(pipeline))[0],
            vae.decode(small).sample,
            vae.encode(pixels).latent_dist.mean,
        ]

    wanted = all_of_it()
    cuda_layers.make_lean(unet, vae)
    found = all_of_it()
    for mine, stock in zip(found, wanted, strict=True):
        assert torch.allclose(mine, stock, atol=1e-5)
    # No block was passed over, the decoder's with their other name for a norm among them.
    blocks = [each for each in (*unet.modules(), *vae.modules()) if "Resnet" in type(each).__name__]
    assert len(blocks) > 10
    assert all("forward" in vars(block) for block in blocks)
    assert found[1].is_contiguous(memory_format=torch.channels_last)


def test_kernels_that_are_wrong_are_not_used(
    tiny_model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = cuda_layers.group_norm
    monkeypatch.setattr(
        cuda_layers, "group_norm", lambda *args, **options: 1.1 * right(*args, **options)
    )
    cuda._make_lean(tiny_model)
    assert "Drawing without kernels of our own" in caplog.text
    changed = [each for each in tiny_model.vae.modules() if isinstance(each, nn.GroupNorm)]
    assert not any("forward" in vars(each) for each in changed)
