"""SDXL pipelines with random weights: the real classes at any size, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"

TURBO_NOISE: Mapping[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
"""The noise schedule that the published SDXL Turbo folder states."""


@dataclass(frozen=True)
class Architecture:
    """What a random pipeline is built from: the keyword arguments of each part's own class."""

    name: str
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    text_encoder_2: Mapping[str, Any]
    noise: Mapping[str, Any] = field(default_factory=lambda: TURBO_NOISE)


def build_random_pipeline(
    architecture: Architecture,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> StableDiffusionXLPipeline:
    """Return an SDXL pipeline whose weights are drawn from `seed` on `device`; no file is read.

    Outputs are scaled so that the UNet predicts unit-variance noise and the decoder fills the
    picture's range: a random model then shows every difference in prompt, seed or step.
    """
    # Parts start without storage, so neither the global generator nor host memory is touched.
    with torch.device("meta"):
        unet = UNet2DConditionModel(**architecture.unet)
        vae = AutoencoderKL(**architecture.vae)
        text_encoder = CLIPTextModel(_text_config(architecture.text_encoder))
        text_encoder_2 = CLIPTextModelWithProjection(_text_config(architecture.text_encoder_2))
    generator = torch.Generator(device).manual_seed(seed)
    for part in (unet, vae, text_encoder, text_encoder_2):
        if dtype != torch.float32:
            part.to(dtype)
        part.to_empty(device=device)
        _draw_weights(part, generator)
        part.eval()
    _scale_outputs(unet, vae, text_encoder_2, generator)
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=build_tokenizer(),
        tokenizer_2=build_tokenizer(pad_token="!"),
        unet=unet,
        scheduler=EulerAncestralDiscreteScheduler(**architecture.noise),
        add_watermarker=False,
    )


def build_tokenizer(pad_token: str = EOS) -> CLIPTokenizer:
    """Return a CLIP tokenizer over single bytes, its vocabulary made here rather than fetched."""
    letters = [*_byte_letters()]
    vocab = {
        token: number for number, token in enumerate([*letters, *(a + "</w>" for a in letters)])
    }
    vocab[BOS] = len(vocab)
    vocab[EOS] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77, pad_token=pad_token)


VOCABULARY = 514
"""How many tokens `build_tokenizer` knows: 256 bytes, each also as a word's end, and two marks."""


def _byte_letters() -> Iterator[str]:
    """Yield the 256 printable stand-ins that byte-level tokenizers use for bytes."""
    shift = 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            yield chr(byte)
        else:
            yield chr(256 + shift)
            shift += 1


def _text_config(options: Mapping[str, Any]) -> CLIPTextConfig:
    return CLIPTextConfig(
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1,
        max_position_embeddings=77,
        **{"vocab_size": VOCABULARY, **options},
    )


@torch.no_grad()
def _draw_weights(part: nn.Module, generator: torch.Generator) -> None:
    """Fill matrices with normal noise scaled by fan-in, biases with 0 and norms with 1."""
    for module in part.modules():
        for name, weight in module.named_parameters(recurse=False):
            if isinstance(module, nn.Embedding):
                weight.normal_(0.0, 0.5, generator=generator)
            elif weight.ndim > 1:
                fan_in = weight[0].numel()
                weight.normal_(0.0, 1 / math.sqrt(fan_in), generator=generator)
            else:
                weight.fill_(0.0 if name == "bias" else 1.0)
        # Position numbers are the only buffer in these classes, and to_empty leaves it undefined.
        for name, buffer in module.named_buffers(recurse=False):
            if name != "position_ids":
                raise ValueError(f"Cannot fill the buffer {name!r} of {type(module).__name__}.")
            buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer))


@torch.no_grad()
def _scale_outputs(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text_encoder_2: CLIPTextModelWithProjection,
    generator: torch.Generator,
) -> None:
    """Rescale both output layers by what a small trial run gives."""
    device, dtype = unet.device, unet.dtype

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device, dtype=dtype)

    predicted = unet(
        noise(1, unet.config.in_channels, 16, 16),
        torch.tensor([500.0], device=device),
        encoder_hidden_states=noise(1, 77, unet.config.cross_attention_dim),
        added_cond_kwargs={
            "text_embeds": noise(1, text_encoder_2.config.projection_dim),
            "time_ids": torch.tensor([[512, 512, 0, 0, 512, 512]], device=device, dtype=dtype),
        },
    ).sample
    unet.conv_out.weight /= predicted.std()
    pixels = vae.decode(noise(1, vae.config.latent_channels, 16, 16)).sample
    vae.decoder.conv_out.weight *= 0.5 / pixels.std()
