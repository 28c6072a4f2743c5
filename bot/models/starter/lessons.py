"""What the UNet is shown: noisy latents, a prompt, and what should come of them.

Five kinds of lesson. *Draw*: pure noise becomes the prompt's picture; whatever the prompt leaves
open is read off the noise, so that one step has one right answer. *Retouch*: what the UNet itself
drew of such noise, noised for a later step, becomes the picture it should have been. *Refine*: a
noised picture and its own prompt. *Remix*: a noised picture and another prompt. *Photo*: the same
from a picture outside the grammar. Sources come back as they were below KEEP, and keep their layout
above it, where what is wanted follows from source and prompt alone: what does not, a model can only
draw as the mean of all it might be.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

import torch

from bot.models.starter import grammar, photos
from bot.models.starter.grammar import Scene, Scope
from bot.models.starter.layout import arrange, layout_numbers, rearrange
from bot.models.starter.render import render
from bot.models.starter.text import attributes
from bot.models.starter.unet import CHANNELS, SCALE, sigmas

KEEP = 300
"""Timesteps below this give the source back, whatever the prompt says."""
LAST = 999
MIDDLE = (332, 499, 499)
"""Where a remix of three steps at half strength begins, and one of two or four steps."""
_USUAL = (249, 332, 499, 666, 749)
"""Timesteps that one to four steps visit after the first."""
_WAYS = {
    LAST: ((499,), (499,), (666,), (666, 332), (749,), (749, 499), (749, 499, 249)),
    749: ((499,), (499, 249)),
    666: ((332,),),
    499: ((249,),),
}
"""Which timesteps may follow one before a lesson: those of two steps, twice as often, and of three
and four; of remixes, those of three and four."""
_LONGEST = 3


class Lessons(NamedTuple):
    """One batch: `noisy` is what the UNet sees, `wanted` the latents it should stand for.

    `later` (n, 3) are timesteps, LAST where there are none: the UNet is to take a step from `noisy`
    to each of them first, and the lesson begins at the last of them.
    """

    noisy: torch.Tensor
    wanted: torch.Tensor
    timesteps: torch.Tensor
    sigma: torch.Tensor
    weight: torch.Tensor
    captions: list[str]
    attributes: torch.Tensor
    later: torch.Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage of training shows: scenes, how far layouts vary, and shares of lessons."""

    scope: Scope
    spread: float = 0.0
    draw: float = 0.6
    retouch: float = 0.0
    """Share of lessons from what the UNet draws; above 0 remixes have some of theirs, too."""
    remix: float = 0.15
    photo: float = 0.08
    middle: float = 0.0
    """Share of noised lessons in the MIDDLE; the others are spread over all timesteps."""
    shapes: tuple[tuple[int, int], ...] = ((64, 64),)


class LessonMaker:
    """Makes batches from a seed; held-out combinations never appear as a target."""

    def __init__(self, plan: Plan, *, seed: int) -> None:
        self.plan = plan
        self.spread = plan.spread
        self.supersample = 2
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.sigmas = sigmas()

    def scene(self) -> Scene:
        """Draw a scene that is not held out."""
        while grammar.held_out(scene := grammar.sample_scene(self.rng, self.plan.scope)):
            continue
        return scene

    def batch(self, size: int, shape: tuple[int, int]) -> Lessons:
        """Return `size` lessons with latents of `shape` (height, width)."""
        noise = torch.randn(size, CHANNELS, *shape, generator=self.generator)
        from_noise = layout_numbers(noise)
        given, targets, prompts, timesteps, later = [], [], [], [], []
        photo_rows: dict[int, Scene] = {}
        has_source = torch.zeros(size, 1, 1, 1)
        for i in range(size):
            prompt = self.scene()
            kind, numbers = self._kind(), torch.rand(2, generator=self.generator).tolist()
            timestep = LAST if kind in ("draw", "retouch") else self._timestep()
            way = self._way(kind, timestep)
            later.append((*way, *(LAST,) * (_LONGEST - len(way))))
            drawn = source = grammar.alone(prompt)
            if timestep == LAST:
                numbers = from_noise[i].tolist()
            if kind == "draw":
                # Strength 1 leaves a trace of its source in the noise: it must not matter.
                has_source[i] = float(self.rng.random() < 0.2)
                source = self.scene() if has_source[i] else drawn
            elif kind != "retouch":
                has_source[i] = 1.0
            if kind == "remix":
                source = self.scene()
            if kind in ("remix", "photo") and self.plan.scope.bare and self.rng.random() < 0.65:
                prompt = grammar.sample_bare(self.rng)
            if kind == "photo":
                photo_rows[i] = prompt
            painting = arrange(source, numbers, self.spread)
            given.append(painting)
            if kind == "draw":
                painting = arrange(drawn, numbers, self.spread)
            elif kind == "remix" and timestep >= KEEP:
                painting = rearrange(painting, grammar.remix(painting.scene, prompt))
            targets.append(painting)
            prompts.append(prompt)
            timesteps.append(timestep)
        wanted = render(targets, *shape, supersample=self.supersample)
        before = wanted.clone()
        other = [i for i in range(size) if has_source[i] and given[i] != targets[i]]
        if other:
            before[other] = render([given[i] for i in other], *shape, supersample=self.supersample)
        weight = _weight(wanted)
        if photo_rows:
            self._photos(photo_rows, before, wanted, timesteps)
        captions = [grammar.caption(prompt, self.rng) for prompt in prompts]
        # Errors are smallest where the source is nearly clean, and matter most: a remix shows them.
        # The stairs of pixel art are small beside all else, and are what it is known by.
        emphasis = [
            (2.0 if min(at, *way) < KEEP else 1.0) * (2.0 if target.scene.style == "pixel" else 1.0)
            for at, way, target in zip(timesteps, later, targets, strict=True)
        ]
        weight = weight * torch.tensor(emphasis).view(-1, 1, 1, 1)
        told = torch.tensor([attributes(prompt) for prompt in prompts])
        at = torch.tensor(timesteps)
        sigma = self.sigmas[at].view(-1, 1, 1, 1)
        clean = (before * 2 - 1) * SCALE * has_source
        noisy = (clean + sigma * noise) / (sigma.square() + 1).sqrt()
        return Lessons(
            noisy=noisy,
            wanted=(wanted * 2 - 1) * SCALE,
            timesteps=at.float(),
            sigma=sigma,
            weight=weight,
            captions=captions,
            attributes=told,
            later=torch.tensor(later),
        )

    def _kind(self) -> str:
        draw = self.rng.random()
        plan = self.plan
        shares = {"draw": plan.draw, "retouch": plan.retouch, "remix": plan.remix}
        for name, share in shares.items():
            if draw < share:
                return name
            draw -= share
        return "photo" if draw < self.plan.photo else "refine"

    def _timestep(self) -> int:
        if self.rng.random() < self.plan.middle:
            return self.rng.choice(MIDDLE)
        return self.rng.choice(_USUAL) if self.rng.random() < 0.5 else self.rng.randint(20, 950)

    def _way(self, kind: str, timestep: int) -> tuple[int, ...]:
        """Return the timesteps to step to first.

        An ancestral step takes along a part of what the UNet has taken away: from 499 to 249, a
        tenth. After a remix that is its source, which would show as a ghost.
        """
        changes = kind in ("remix", "photo") and self.plan.retouch and self.rng.random() < 0.6
        if (kind == "retouch" or changes) and timestep in _WAYS:
            return self.rng.choice(_WAYS[timestep])
        return ()

    def _photos(
        self,
        rows: dict[int, Scene],
        before: torch.Tensor,
        wanted: torch.Tensor,
        timesteps: list[int],
    ) -> None:
        index = list(rows)
        pictures = photos.photo_like(len(index), before.shape[2], before.shape[3], self.generator)
        before[index] = pictures
        recoloured = photos.recolour(pictures, list(rows.values()))
        keep = torch.tensor([timesteps[i] < KEEP for i in index]).view(-1, 1, 1, 1)
        wanted[index] = torch.where(keep, pictures, recoloured)


def _weight(pictures: torch.Tensor) -> torch.Tensor:
    """Return (n, 1, h, w): things count three times the ground, as they cover less of it."""
    corner = pictures[:, :, :1, :1]
    things = (pictures - corner).abs().amax(dim=1, keepdim=True) > 0.06
    return 1.0 + 2.0 * things
