"""Teach the decoder, on latents as they should be and on those that the UNet draws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bot.models.starter import grammar, photos
from bot.models.starter.autoencoder import frozen_entries
from bot.models.starter.grammar import Scope
from bot.models.starter.layout import Painting, arrange, layout_numbers, rearrange
from bot.models.starter.lessons import KEEP, LAST
from bot.models.starter.muon import advance, optimizers
from bot.models.starter.render import render
from bot.models.starter.stepping import autocast
from bot.models.starter.text import HIDDEN, attributes
from bot.models.starter.unet import CHANNELS, LATENT_SIDE, SCALE, ancestral_step, predict_x0, sigmas

FACTOR = 8
_VISITED = ((LAST,), (LAST, 499), (LAST, 499), (LAST, 666, 332), (LAST, 749, 499, 249))
"""Timesteps of one to four steps; two are the usual number, and leave a remix only one of them."""

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
        level = 0.08 * torch.rand(size, 1, 1, 1, generator=self.generator)
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
        """Return `size` crops of `side` pixels: two of every drawn picture, half rendered."""
        plain = size // 2
        noisy, prompts, targets, visited = self._lesson((size - plain + 1) // 2)
        drawn = self._sample(noisy, prompts, visited) / SCALE
        cells = side // FACTOR
        latents, sharp = [], []
        for i in range(size - plain):
            target, own = targets[i // 2], drawn[i // 2]
            left, top, share = _window(self.rng, side)
            row, column = round(top * LATENT_SIDE), round(left * LATENT_SIDE)
            latents.append(own[:, row : row + cells, column : column + cells])
            sharp.append(render([target], side, side, window=(left, top, share))[0] * 2 - 1)
        rendered = self.rendered(plain, side)
        return (
            torch.cat((torch.stack(latents), rendered[0])),
            torch.cat((torch.stack(sharp), rendered[1])),
        )

    def _lesson(
        self, count: int
    ) -> tuple[torch.Tensor, list[grammar.Scene], list[Painting], Sequence[int]]:
        """Return noisy latents, their prompts, what they stand for and the timesteps to visit.

        Half are pure noise, half are remixes, which leave out the first of two to four steps.
        """
        visited: Sequence[int] = self.rng.choice(_VISITED)
        remix = len(visited) > 1 and self.rng.random() < 0.67
        visited = visited[self.rng.randint(1, len(visited) - 1) :] if remix else visited
        prompts = [grammar.sample_scene(self.rng, self.scope) for _ in range(count)]
        noise = torch.randn(count, CHANNELS, LATENT_SIDE, LATENT_SIDE, generator=self.generator)
        numbers = layout_numbers(noise).tolist()
        sources = [grammar.alone(prompt) for prompt in prompts]
        if remix:
            sources = [self._source(prompt) for prompt in prompts]
            numbers = [[self.rng.random() for _ in range(2)] for _ in prompts]
        given = [
            arrange(scene, own, self.spread) for scene, own in zip(sources, numbers, strict=True)
        ]
        wanted = given
        if remix and visited[0] >= KEEP:
            wanted = [
                rearrange(own, grammar.remix(own.scene, prompt))
                for own, prompt in zip(given, prompts, strict=True)
            ]
        clean = render(given, LATENT_SIDE, LATENT_SIDE, supersample=2) * 2 - 1
        sigma = self.sigmas[visited[0]]
        noisy = (clean * SCALE * remix + sigma * noise) / (sigma.square() + 1).sqrt()
        return noisy, prompts, wanted, visited

    def _source(self, prompt: grammar.Scene) -> grammar.Scene:
        """Return a scene to remix: as often as not what the prompt says already."""
        return prompt if self.rng.random() < 0.4 else grammar.sample_scene(self.rng, self.scope)

    @torch.no_grad()
    def _sample(
        self, noisy: torch.Tensor, prompts: list[grammar.Scene], visited: Sequence[int]
    ) -> torch.Tensor:
        """Return the clean latents after a step at each of the timesteps `visited`."""
        count, side = len(prompts), float(LATENT_SIDE * FACTOR)
        told = {
            "text_embeds": torch.tensor([attributes(s) for s in prompts], device=self.device),
            "time_ids": torch.tensor([[side, side, 0, 0, side, side]], device=self.device).expand(
                count, -1
            ),
        }
        states = torch.zeros(count, 1, sum(HIDDEN), device=self.device)
        levels = self.sigmas[list(visited)].view(-1, 1, 1, 1, 1)
        for i, timestep in enumerate(visited):
            output = self.unet(
                noisy.to(self.device),
                torch.full((count,), float(timestep), device=self.device),
                encoder_hidden_states=states,
                added_cond_kwargs=told,
                return_dict=False,
            )[0]
            clean = predict_x0(noisy, output.float().cpu(), levels[i])
            if i + 1 < len(visited):
                fresh = torch.randn(noisy.shape, generator=self.generator)
                noisy = ancestral_step(noisy, clean, levels[i], levels[i + 1], fresh)
        return clean


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
        with autocast(torch.device(self.device)):
            drawn = self.vae.decode(latents, return_dict=False)[0]
        error = drawn.float() - sharp
        torch.autograd.backward(_loss(error))
        nn.utils.clip_grad_norm_(self.vae.decoder.parameters(), 1.0)
        advance(self.optimizers, rate)
        with torch.no_grad():
            for weight, still, before in self.frozen:
                weight.copy_(torch.where(still, before, weight))
        return float(error.detach().abs().mean()) / 2


def _loss(error: torch.Tensor) -> torch.Tensor:
    """Return what an error in RGB -1..1, (n, 3, h, w), costs.

    Beside the usual: what differs from one latent to the next, which is nearly all of a grain's
    error; and colours of large parts, which smoothing would shift before it loses an edge.
    """
    down = error[:, :, FACTOR:] - error[:, :, :-FACTOR]
    across = error[..., FACTOR:] - error[..., :-FACTOR]
    grain = down.abs().mean() + across.abs().mean()
    tone = F.avg_pool2d(error, 4 * FACTOR).abs().mean()
    return error.abs().mean() + error.square().mean() + grain + 2 * tone
