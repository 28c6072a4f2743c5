"""From what a member said to what will be run: defaults, ceilings and the guild's rules."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import BadParameter
from bot.request import (
    MAX_GUIDANCE,
    MAX_PROMPT,
    MAX_SEED,
    SIZES,
    Asker,
    ImageRequest,
    Size,
    Wish,
    effective_steps,
    random_seed,
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """The operator's defaults and ceilings, within which a guild may choose its own."""

    num_inference_steps: int = 2
    strength: float = 0.7
    guidance_scale: float = 0.0
    size: str = "square"
    count: int = 1
    max_count: int = 4
    max_steps: int = 4


def resolve(wish: Wish, asker: Asker, defaults: Defaults) -> ImageRequest:
    """Return the complete request for `wish`.

    Raises BadParameter naming the value and what is allowed instead.
    """
    prompt = wish.prompt.strip()
    if not prompt and not wish.sources:
        raise BadParameter("prompt_empty", name="prompt")
    for text in (prompt, wish.negative_prompt):
        if len(text) > MAX_PROMPT:
            raise BadParameter("prompt_too_long", name="prompt", length=len(text), limit=MAX_PROMPT)
    strength = _within(
        "strength", defaults.strength if wish.strength is None else wish.strength, 0.01, 1.0
    )
    steps = int(
        _within(
            "steps", wish.num_inference_steps or defaults.num_inference_steps, 1, defaults.max_steps
        )
    )
    return ImageRequest(
        prompt=prompt,
        negative_prompt=wish.negative_prompt.strip(),
        user_id=asker.user_id,
        guild_id=asker.guild_id,
        seed=random_seed() if wish.seed is None else int(_within("seed", wish.seed, 0, MAX_SEED)),
        count=int(_within("count", wish.count or defaults.count, 1, defaults.max_count)),
        size=_size(wish, defaults),
        num_inference_steps=effective_steps(steps, strength) if wish.sources else steps,
        guidance_scale=_within(
            "guidance",
            defaults.guidance_scale if wish.guidance_scale is None else wish.guidance_scale,
            0.0,
            MAX_GUIDANCE,
        ),
        strength=strength,
        sources=wish.sources,
        private=wish.private,
        scale=wish.scale,
        max_bytes=asker.max_bytes,
    )


def _size(wish: Wish, defaults: Defaults) -> Size | None:
    """Return the named size; None leaves it to the aspect of the source."""
    if wish.size is None:
        return None if wish.sources else SIZES[defaults.size]
    if wish.size not in SIZES:
        raise BadParameter(name="size", value=wish.size, allowed=", ".join(SIZES))
    return SIZES[wish.size]


def _within(name: str, value: float, low: float, high: float) -> float:
    """Return `value`, which must lie in [low, high]; NaN never does."""
    if not low <= value <= high:
        raise BadParameter(name=name, value=f"{value:g}", allowed=f"{low:g} – {high:g}")
    return value
