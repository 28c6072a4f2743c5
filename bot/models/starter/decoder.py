"""Teach the decoder, on latents as they should be and on those that the UNet makes of noise."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bot.models.starter import grammar, photos
from bot.models.starter.autoencoder import frozen_entries
from bot.models.starter.grammar import Scope
from bot.models.starter.layout import Painting, arrange, layout_numbers
from bot.models.starter.lessons import LAST
from bot.models.starter.muon import advance, optimizers
from bot.models.starter.render import render
from bot.models.starter.text import HIDDEN, attributes
from bot.models.starter.unet import CHANNELS, LATENT_SIDE, SCALE, predict_x0, sigmas

FACTOR = 8
_LATER = (249, 499, 749)
"""Timesteps that two to four steps end on."""

Crops = tuple[torch.Tensor, torch.Tensor]
"""Latents in RGB -1..1 (n, 3, side/8, side/8) and what they stand for (n, 3, side, side)."""


class RenderedCrops:
    """Sharp crops, and latents as blurred and noisy as the UNet's may be."""

    def __init__(self, scope: Scope, *, seed: int) -> None:
        self.scope = scope
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, size: int, side: int) -> Crops:
        """Return `size` crops of `side` pixels."""
        crops = []
        for _ in range(size):
            if self.rng.random() < 0.12:
                crops.append(photos.photo_like(1, side, side, self.generator))
                continue
            scene = grammar.sample_scene(self.rng, self.scope)
            painting = arrange(scene, [self.rng.random() for _ in range(2)], 1.0)
            left, top, share = _window(self.rng, side)
            if scene.style != "pixel" and self.rng.random() < 0.5:
                left, top = (self.rng.random() * (1 - share) for _ in range(2))
            crops.append(render([painting], side, side, window=(left, top, share)))
        sharp = torch.cat(crops) * 2 - 1
        latents = F.avg_pool2d(sharp, FACTOR)
        blur = torch.rand(size, 1, 1, 1, generator=self.generator) * 0.7
        blur = blur * (torch.rand(size, 1, 1, 1, generator=self.generator) < 0.6)
        smooth = F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        noise = torch.randn(latents.shape, generator=self.generator)
        level = 0.05 * torch.rand(size, 1, 1, 1, generator=self.generator).square()
        return torch.lerp(latents, smooth, blur) + level * noise, sharp


class DrawnCrops:
    """Crops of what a UNet draws, beside the picture that its prompt and noise stand for.

    The decoder learns from them where an edge is meant when the latents do not quite say.
    """

    def __init__(self, unet: Any, scope: Scope, *, seed: int, spread: float, device: str) -> None:
        self.unet = unet.to(device).eval()
        self.scope = scope
        self.spread = spread
        self.device = device
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.sigmas = sigmas()
        self.rendered = RenderedCrops(scope, seed=seed + 1)

    def __call__(self, size: int, side: int) -> Crops:
        """Return `size` crops of `side` pixels: two of every drawn picture, a third rendered."""
        plain = size // 3
        pictures = (size - plain + 1) // 2
        scenes = [grammar.sample_scene(self.rng, self.scope) for _ in range(pictures)]
        noise = torch.randn(pictures, CHANNELS, LATENT_SIDE, LATENT_SIDE, generator=self.generator)
        numbers = layout_numbers(noise).tolist()
        paintings = [
            arrange(scene, own, self.spread) for scene, own in zip(scenes, numbers, strict=True)
        ]
        drawn = self._draw(scenes, paintings, noise)
        cells = side // FACTOR
        latents, sharp = [], []
        for i in range(size - plain):
            painting, own = paintings[i // 2], drawn[i // 2]
            left, top, share = _window(self.rng, side)
            row, column = round(top * LATENT_SIDE), round(left * LATENT_SIDE)
            latents.append(own[:, row : row + cells, column : column + cells])
            sharp.append(render([painting], side, side, window=(left, top, share))[0] * 2 - 1)
        rendered = self.rendered(plain, side)
        return (
            torch.cat((torch.stack(latents), rendered[0])),
            torch.cat((torch.stack(sharp), rendered[1])),
        )

    @torch.no_grad()
    def _draw(
        self, scenes: list[grammar.Scene], paintings: list[Painting], noise: torch.Tensor
    ) -> torch.Tensor:
        """Return the UNet's clean latents in RGB -1..1: of noise alone, or of a later step."""
        at = [LAST if self.rng.random() < 0.7 else self.rng.choice(_LATER) for _ in scenes]
        timesteps = torch.tensor(at)
        sigma = self.sigmas[timesteps].view(-1, 1, 1, 1)
        clean = render(paintings, LATENT_SIDE, LATENT_SIDE, supersample=2) * 2 - 1
        clean = clean * SCALE * (timesteps < LAST).view(-1, 1, 1, 1)
        noisy = (clean + sigma * noise) / (sigma.square() + 1).sqrt()
        side = float(LATENT_SIDE * FACTOR)
        output = self.unet(
            noisy.to(self.device),
            timesteps.float().to(self.device),
            encoder_hidden_states=torch.zeros(len(at), 1, sum(HIDDEN), device=self.device),
            added_cond_kwargs={
                "text_embeds": torch.tensor([attributes(s) for s in scenes], device=self.device),
                "time_ids": torch.tensor(
                    [[side, side, 0, 0, side, side]], device=self.device
                ).expand(len(at), -1),
            },
            return_dict=False,
        )[0]
        return predict_x0(noisy, output.float().cpu(), sigma) / SCALE


def _window(rng: random.Random, side: int) -> tuple[float, float, float]:
    """Return a crop's left, top and side as shares, on whole latents as pixel art sits on them."""
    share = side / (LATENT_SIDE * FACTOR)
    steps = round((1 - share) * LATENT_SIDE)
    return rng.randint(0, steps) / LATENT_SIDE, rng.randint(0, steps) / LATENT_SIDE, share


class DecoderTrainer:
    """Owns the decoder and its optimizers; `crops` says what it is shown."""

    def __init__(
        self, vae: Any, crops: RenderedCrops | DrawnCrops, *, rate: float, device: str
    ) -> None:
        self.vae = vae.to(device)
        self.crops = crops
        self.device = device
        self.frozen = [
            (weight, mask == 0, weight.detach().clone())
            for weight, mask in frozen_entries(self.vae.decoder)
        ]
        # Muon inside the resnets only: its even-handed steps would shake the trunk.
        inside = ("conv1", "conv2")
        self.optimizers = optimizers(self.vae.decoder, rate=rate, hidden=inside)

    def step(self, size: int, side: int, rate: float) -> float:
        """Take one optimizer step; return the mean absolute error in RGB 0..1."""
        latents, sharp = (part.to(self.device) for part in self.crops(size, side))
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            drawn = self.vae.decode(latents, return_dict=False)[0]
        error = drawn.float() - sharp
        (error.abs().mean() + error.square().mean()).backward()
        nn.utils.clip_grad_norm_(self.vae.decoder.parameters(), 1.0)
        advance(self.optimizers, rate)
        with torch.no_grad():
            for weight, still, before in self.frozen:
                weight.copy_(torch.where(still, before, weight))
        return float(error.detach().abs().mean()) / 2
