"""The UNet: SDXL's class and conditioning, sized for flat pictures on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import EulerAncestralDiscreteScheduler, UNet2DConditionModel

from bot.models.starter.text import ATTRIBUTES, HIDDEN

CHANNELS = 3
"""Latent channels: RGB averaged over 8 by 8 pixels (see `autoencoder`)."""
SCALE = 1.5
"""Latents are RGB in -1..1 times this."""
LATENT_SIDE = 64
WIDTHS = (32, 64, 96, 224)
_SIZE_EMBEDDING = 8


def build_unet(
    *, widths: tuple[int, ...] = WIDTHS, sample_size: int = LATENT_SIDE, embedding: int = 256
) -> Any:
    """Return an untrained UNet2DConditionModel with SDXL's `text_time` conditioning.

    Nearly all weights sit at an eighth of the latents' side, where a multiplication costs least;
    the finest level has no resnet on the way down. One normalisation group keeps absolute colour,
    which many groups would erase on flat pictures.
    """
    levels = len(widths)
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        layers_per_block=(0, *(1,) * (levels - 1)),
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        mid_block_type="UNetMidBlock2DCrossAttn",
        transformer_layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=sum(HIDDEN),
        norm_num_groups=1,
        use_linear_projection=True,
        resnet_time_scale_shift="scale_shift",
        time_embedding_dim=embedding,
        addition_embed_type="text_time",
        addition_time_embed_dim=_SIZE_EMBEDDING,
        projection_class_embeddings_input_dim=6 * _SIZE_EMBEDDING + ATTRIBUTES,
    )
    _prepare(unet)
    return unet


@torch.no_grad()
def _prepare(unet: Any) -> None:
    """Start near a clean slate: quiet residuals, loud attributes, a pinned last normalisation."""
    for name, module in unet.named_modules():
        if name.endswith("conv2") and "resnets" in name:
            module.weight.mul_(0.3)
            module.bias.zero_()
    unet.add_embedding.linear_1.weight[:, :ATTRIBUTES].mul_(3.0)
    unet.conv_out.weight.mul_(0.3)
    unet.conv_out.bias.zero_()
    # Cross-attention starts shut: the pooled attributes say it all until it is trained as well.
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_out.0"):
            module.weight.zero_()
            module.bias.zero_()
    # Two constant channels of opposite sign hold the last norm's mean and scale nearly still,
    # whatever the picture, so that its colours pass through.
    bias = unet.up_blocks[-1].resnets[-1].conv_shortcut.bias
    bias[-2:] = torch.tensor([4.0, -4.0])
    hold(layout_path(unet))


Held = list[tuple[torch.Tensor, slice, torch.Tensor]]
"""Weights, the rows of them that are set by hand, and what these are."""


def layout_path(unet: Any) -> Held:
    """Return the weights that bring the noise's layout numbers (see `layout`) to the middle block.

    Two of the latents' channels come in unchanged; the first downsampling takes the chessboard, the
    others add up, each keeping the variance of noise. In the middle, one head of the attention is
    even, and so takes the mean of all places. Training would hardly find this sum over 4,096 places
    by itself, and forgets it before it learns to use it: so it is held.
    """
    own, heard = slice(0, 2), slice(3, 5)
    unity = torch.eye(2)
    held: Held = []

    def link(layer: Any, taps: torch.Tensor, rows: slice = own) -> None:
        values = torch.zeros_like(layer.weight[rows])
        values[:, own] = taps.to(values)
        held.append((layer.weight, rows, values))
        if layer.bias is not None:
            held.append((layer.bias, rows, torch.zeros_like(layer.bias[rows])))

    def silence(layer: Any, rows: slice = own) -> None:
        held.append((layer.weight, rows, torch.zeros_like(layer.weight[rows])))
        if layer.bias is not None:
            held.append((layer.bias, rows, torch.zeros_like(layer.bias[rows])))

    def spatial(taps: list[list[float]]) -> torch.Tensor:
        return unity[:, :, None, None] * torch.tensor(taps)

    link(unet.conv_in, spatial([[0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    chessboard = spatial([[0, 0, 0], [0, 0.5, -0.5], [0, -0.5, 0.5]])
    added = spatial([[0, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    for level, block in enumerate(unet.down_blocks):
        for resnet in block.resnets:
            silence(resnet.conv2)
            link(resnet.conv_shortcut, spatial([[1]]))
        if block.downsamplers:
            link(block.downsamplers[0].conv, added if level else chessboard)
    silence(unet.mid_block.resnets[0].conv2)
    transformer = unet.mid_block.attentions[0]
    attention = transformer.transformer_blocks[0].attn1
    silence(attention.to_q, slice(0, attention.inner_dim // attention.heads))
    for layer in (transformer.proj_in, attention.to_v, attention.to_out[0]):
        link(layer, 1.4 * unity)
    link(transformer.proj_out, 1.4 * unity, heard)
    return held


@torch.no_grad()
def hold(held: Held) -> None:
    """Put weights that are set by hand back to what they are."""
    for weight, rows, values in held:
        weight[rows] = values


def build_noise_scheduler() -> EulerAncestralDiscreteScheduler:
    """Return SDXL Turbo's kind of noise scheduler; v-prediction, as x0 is what is learned.

    The first betas are far smaller than SDXL's: flat latents have no texture for noise to hide in,
    so a low strength must add little of it.
    """
    return EulerAncestralDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.000001,
        beta_end=0.0162,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
    )


def sigmas(device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the noise level of every training timestep, (1000,)."""
    kept = build_noise_scheduler().alphas_cumprod.double()
    levels: torch.Tensor = ((1 - kept) / kept).sqrt().float().to(device)
    return levels


def predict_x0(noisy: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Return the clean latents that a v-prediction stands for.

    `noisy` is x0 + σ·noise over √(σ²+1), as the UNet sees it; `sigma` is (n, 1, 1, 1). Salimans
    and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", 2022, in σ notation.
    """
    return (noisy - sigma * output) / (sigma.square() + 1).sqrt()


def ancestral_step(
    noisy: torch.Tensor,
    clean: torch.Tensor,
    sigma: torch.Tensor,
    below: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Return what the UNet sees at the noise level `below`, after `noisy` at `sigma`.

    `clean` is what it took `noisy` for. A part of the noise stays, the rest is new, as in
    EulerAncestralDiscreteScheduler; `sigma` and `below` are (n, 1, 1, 1), `below` the smaller.
    """
    kept = (noisy * (sigma.square() + 1).sqrt() - clean) / sigma
    fresh = below * (1 - (below / sigma).square()).sqrt()
    level = below.square() / sigma
    return (clean + level * kept + fresh * noise) / (below.square() + 1).sqrt()
