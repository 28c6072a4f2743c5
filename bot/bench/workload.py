"""What the bench draws: the same pictures for both sides, made from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from PIL import Image

from bot.engine.null import photo_like
from bot.request import Draw

LATENCY_CASES: Final = ("txt2img_1", "txt2img_2", "txt2img_4", "img2img_2")
"""Kinds of single request, by the UNet steps really run."""

USERS: Final = (1, 4, 16, 64)

_COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "white", "black")
_THINGS = ("circle", "square", "triangle", "star", "heart", "house", "tree", "boat")


@dataclass(frozen=True, slots=True)
class Workload:
    """How much is drawn. `size` is the pictures' side in pixels."""

    size: int
    repeats: int
    requests_per_user: dict[int, int]
    gate: int = 6

    @property
    def users(self) -> tuple[int, ...]:
        """The numbers of concurrent users tried."""
        return tuple(self.requests_per_user)


def workload(size: int, *, quick: bool) -> Workload:
    """Return how much to draw."""
    if quick:
        return Workload(size, repeats=3, requests_per_user={1: 3, 4: 2, 16: 2})
    return Workload(size, repeats=7, requests_per_user={1: 8, 4: 4, 16: 3, 64: 1})


def latency_draw(case: str, size: int, number: int) -> Draw:
    """Return the request of a latency case; each has a prompt of its own, so no cache helps."""
    kind, steps = case.split("_")
    prompt = _prompt(random.Random(f"{case} {number}")) + f", number {number}"
    if kind == "txt2img":
        return Draw(prompt, number, size, size, num_inference_steps=int(steps))
    return Draw(
        prompt,
        number,
        size,
        size,
        num_inference_steps=2 * int(steps),
        strength=0.5,
        sources=(source(size),),
    )


def mixed_draw(user: int, number: int, size: int) -> Draw:
    """Return request `number` of `user`: any steps from 1 to 4, a third of them image-to-image."""
    chance = random.Random(f"user {user} request {number}")
    steps = chance.choice((1, 2, 2, 3, 4))
    prompt = _prompt(chance)
    seed = chance.randrange(2**32)
    if chance.random() < 1 / 3:
        strength = chance.choice((0.5, 0.7, 0.9))
        return Draw(
            prompt,
            seed,
            size,
            size,
            num_inference_steps=max(2, steps),
            strength=strength,
            sources=(source(size),),
        )
    return Draw(prompt, seed, size, size, num_inference_steps=steps)


def gate_draws(count: int, size: int) -> list[Draw]:
    """Return what both sides draw once to be compared, guidance with a negative prompt included."""
    draws = [mixed_draw(1000, number, size) for number in range(count - 1)]
    guided = Draw(
        "a red boat",
        5,
        size,
        size,
        negative_prompt="grey, blurred",
        num_inference_steps=2,
        guidance_scale=2.0,
    )
    return [*draws, guided]


def source(size: int) -> Image.Image:
    """Return the picture that image-to-image starts from."""
    return Image.fromarray(photo_like(size, size))


def _prompt(chance: random.Random) -> str:
    thing, colour, ground = (
        chance.choice(_THINGS),
        chance.choice(_COLOURS),
        chance.choice(_COLOURS),
    )
    return f"a {colour} {thing} on a {ground} background, {chance.choice(('day', 'night'))}"
