"""Score a model folder: how often its pictures show what held-out prompts ask for."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForText2Image

from bot.models.starter import reading
from bot.models.starter.grammar import (
    SCOPES,
    Scene,
    Scope,
    caption,
    held_out,
    remix,
    sample_bare,
    sample_scene,
)
from bot.models.starter.layout import Painting, arrange, layout_numbers, rearrange
from bot.models.starter.render import render
from bot.models.starter.unet import CHANNELS

BATCH = 4


def dtype_on(device: torch.device | str) -> torch.dtype:
    """Return fp32 for a CPU, which has to emulate anything smaller, and fp16 elsewhere."""
    return torch.float32 if torch.device(device).type == "cpu" else torch.float16


def load(folder: Path, device: torch.device | str) -> Any:
    """Return the stock text-to-image pipeline of a folder, in fp32 on a CPU and fp16 elsewhere."""
    pipeline = AutoPipelineForText2Image.from_pretrained(folder, dtype=dtype_on(device)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def held_out_scenes(count: int, scope: Scope, *, seed: int) -> list[Scene]:
    """Return scenes whose combinations training never drew."""
    rng = random.Random(seed)
    scenes: list[Scene] = []
    while len(scenes) < count:
        if held_out(scene := sample_scene(rng, scope)):
            scenes.append(scene)
    return scenes


def draw(
    pipeline: Any, prompts: list[str], *, steps: int, seed: int, size: tuple[int, int] = (512, 512)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures (n, 3, h, w) in 0..1 and the layout numbers (n, 2) of their noise."""
    height, width = size
    factor = pipeline.vae_scale_factor
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(
        len(prompts), CHANNELS, height // factor, width // factor, generator=generator
    )
    pictures = pipeline(
        prompts,
        height=height,
        width=width,
        num_inference_steps=steps,
        guidance_scale=0.0,
        latents=noise.to(pipeline.device, pipeline.unet.dtype),
        generator=generator,
        output_type="pt",
    ).images
    return pictures.float().cpu(), layout_numbers(noise)


def score_prompts(
    pipeline: Any, scenes: list[Scene], *, steps: int, spread: float, seed: int
) -> dict[str, tuple[float, int]]:
    """Return, for each thing that can be read, the share of pictures that have it right.

    The number beside each share is how many pictures it was read from.
    """
    rng = random.Random(seed)
    right: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, len(scenes), BATCH):
        part = scenes[start : start + BATCH]
        prompts = [caption(scene, rng) for scene in part]
        pictures, numbers = draw(pipeline, prompts, steps=steps, seed=seed + start)
        for scene, picture, own in zip(part, pictures, numbers, strict=True):
            small = reading.shrink(picture)
            verdicts = list(_read(scene, small, own.tolist(), spread))
            for name, verdict in verdicts:
                right[name].append(verdict)
            right["all"].append(all(verdict for _, verdict in verdicts))
    return {name: (sum(own) / len(own), len(own)) for name, own in sorted(right.items())}


def _read(
    scene: Scene, picture: torch.Tensor, numbers: list[float], spread: float
) -> Iterator[tuple[str, bool]]:
    yield from _read_painting(picture, arrange(scene, numbers, spread))
    if scene.relation:
        relation = reading.read_relation(picture, scene, numbers, spread)
        yield "relation", relation == scene.relation
    elif scene.place == "plain" and scene.things:
        yield "count", reading.read_count(picture, scene, numbers, spread) == scene.count


def _read_painting(picture: torch.Tensor, painting: Painting) -> Iterator[tuple[str, bool]]:
    """Read all that does not depend on where things are."""
    scene = painting.scene
    flat = scene.style == "flat"
    if scene.place == "plain" and flat and scene.background:
        yield "background", reading.read_background(picture) == scene.background
    if scene.place != "plain":
        place, time = reading.read_landscape(picture, painting)
        yield "place", place == scene.place
        yield "time", time == scene.time
    if scene.things:
        yield "style", reading.read_style(picture, painting) == scene.style
    named = {stroke.kind: i for i, stroke in enumerate(painting.strokes)}
    for thing in scene.things:
        index = named[thing.kind] if scene.relation is None else painting_index(painting, thing)
        yield "kind", reading.read_kind(picture, painting, index) == thing.kind
        if flat:
            yield "colour", reading.read_colour(picture, painting, index) == thing.colour


def painting_index(painting: Any, thing: Any) -> int:
    """Return which stroke paints `thing` in a scene of two: the first thing is painted last."""
    return 1 if thing is painting.scene.things[0] else 0


def score_remix(
    folder: Path, device: torch.device | str, scenes: list[Scene], *, seed: int
) -> dict[str, float]:
    """Return PSNR in dB to the source at each strength, the prompt saying nothing new."""
    pipeline = AutoPipelineForImage2Image.from_pretrained(folder, dtype=dtype_on(device)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    rng = random.Random(seed)
    numbers = [[rng.random() for _ in range(2)] for _ in scenes]
    paintings = [arrange(scene, own, 0.5) for scene, own in zip(scenes, numbers, strict=True)]
    totals: dict[str, list[float]] = defaultdict(list)
    for i, (scene, painting) in enumerate(zip(scenes, paintings, strict=True)):
        source = render([painting], 512, 512)
        for strength in (0.3, 0.5, 0.7, 1.0):
            for name, prompt in (
                ("same", caption(scene, rng, plain=True)),
                ("other", caption(scenes[i - 1], rng, plain=True)),
            ):
                picture = pipeline(
                    prompt,
                    image=source,
                    strength=strength,
                    num_inference_steps=4,
                    guidance_scale=0.0,
                    generator=torch.Generator().manual_seed(seed + i),
                    output_type="pt",
                ).images.float()
                error = (picture.cpu() - source).square().mean()
                totals[f"{name} {strength}"].append(float(-10 * error.log10()))
    return {name: sum(own) / len(own) for name, own in totals.items()}


CHANGES = ((2, 0.5), (3, 0.5), (4, 0.5), (4, 0.75))
"""Steps and strengths at which remixes are read."""


def score_changes(
    folder: Path, device: torch.device | str, count: int, *, seed: int
) -> dict[str, dict[str, tuple[float, int]]]:
    """Return how often remixes show what they should, for steps and strengths, as `score_prompts`.

    `count` held-out scenes become what `grammar.remix` says, half of them by a prompt that names
    no thing. The share of "near" is of pictures less than 8/255 from ours on average.
    """
    pipeline = AutoPipelineForImage2Image.from_pretrained(folder, dtype=dtype_on(device)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    rng = random.Random(seed)
    full = SCOPES["full"]
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for i, scene in enumerate(held_out_scenes(count, replace(full, bare=0.0), seed=seed)):
        other = sample_bare(rng) if i % 2 else sample_scene(rng, replace(full, bare=0.0))
        given = arrange(scene, [rng.random() for _ in range(2)], 1.0)
        wanted = rearrange(given, remix(scene, other))
        source, meant = render([given], 512, 512), render([wanted], 512, 512)
        prompt = caption(other, rng)
        for steps, strength in CHANGES:
            picture = pipeline(
                prompt,
                image=source,
                strength=strength,
                num_inference_steps=steps,
                guidance_scale=0.0,
                generator=torch.Generator().manual_seed(seed + i),
                output_type="pt",
            ).images.float()
            verdicts = list(_read_painting(reading.shrink(picture[0].cpu()), wanted))
            found = right[f"{strength} of {steps} steps"]
            for name, verdict in verdicts:
                found[name].append(verdict)
            found["all"].append(all(verdict for _, verdict in verdicts))
            found["near"].append(float((picture.cpu() - meant).abs().mean()) < 8 / 255)
    return {
        at: {name: (sum(own) / len(own), len(own)) for name, own in sorted(found.items())}
        for at, found in right.items()
    }


GRAIN = ((1, None), (2, None), (4, None), (2, 0.5), (3, 0.5), (4, 0.3), (4, 0.7))
"""Steps and strengths at which grain is read; no strength is text-to-image."""


def score_grain(
    folder: Path, device: torch.device | str, count: int, *, seed: int
) -> dict[str, float]:
    """Return how grainy plain ground is, as a standard deviation in 1/255, of `count` pictures.

    Remixes have a prompt for another picture, and are read where neither shows anything.
    """
    drawing = load(folder, device)
    remixing = AutoPipelineForImage2Image.from_pipe(drawing)
    remixing.set_progress_bar_config(disable=True)
    rng = random.Random(seed)
    flat = Scope(landscapes=0, styled=0)
    scenes = [s for s in held_out_scenes(2 * count + 8, flat, seed=seed) if s.background]
    found: dict[str, list[float]] = defaultdict(list)
    for i, scene in enumerate(scenes[:count]):
        other = scenes[i - 1]
        prompt = caption(scene, rng, plain=True)
        numbers = [rng.random() for _ in range(2)]
        painting = arrange(other, numbers, 1.0)
        paintings = [painting, rearrange(painting, remix(other, scene))]
        source = render([painting], 512, 512)
        for steps, strength in GRAIN:
            if strength is None:
                pictures, own = draw(drawing, [prompt], steps=steps, seed=seed + i)
                ground = reading.plain_ground([arrange(scene, own[0].tolist(), 1.0)], 512)
                name = f"{steps} step(s)"
            else:
                pictures = remixing(
                    prompt,
                    image=source,
                    strength=strength,
                    num_inference_steps=steps,
                    guidance_scale=0.0,
                    generator=torch.Generator().manual_seed(seed + i),
                    output_type="pt",
                ).images
                ground = reading.plain_ground(paintings, 512)
                name = f"{steps} step(s), strength {strength}"
            if ground.any():
                found[name].append(255 * reading.read_grain(pictures[0].float().cpu(), ground))
    return {name: sum(own) / len(own) for name, own in found.items()}
