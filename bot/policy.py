"""From what a member said to what will be run: defaults, ceilings and the guild's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.blocklist import blocked_word
from bot.errors import BadParameter, NotAllowed, Snippet
from bot.ratelimit import Quota
from bot.request import (
    MAX_GUIDANCE,
    MAX_PROMPT,
    MAX_SEED,
    SIZES,
    Asker,
    ImageRequest,
    Size,
    Style,
    Wish,
    effective_steps,
    random_seed,
)
from bot.store import GuildSettings


@dataclass(frozen=True, slots=True)
class Defaults:
    """The operator's defaults and ceilings, within which a guild may choose its own."""

    num_inference_steps: int = 2
    strength: float = 0.7
    guidance_scale: float = 0.0
    size: str = "square"
    style: str | None = None
    count: int = 1
    max_count: int = 4
    max_steps: int = 4

    def within(self, chosen: GuildSettings) -> Defaults:
        """Return what holds in a guild: its own choices, never above the operator's ceilings."""
        max_steps = min(chosen.max_steps or self.max_steps, self.max_steps)
        max_count = min(chosen.max_count or self.max_count, self.max_count)
        return replace(
            self,
            num_inference_steps=min(chosen.default_steps or self.num_inference_steps, max_steps),
            strength=chosen.default_strength or self.strength,
            size=chosen.default_size or self.size,
            style=chosen.default_style or self.style,
            count=min(chosen.default_count or self.count, max_count),
            max_steps=max_steps,
            max_count=max_count,
        )


def check(wish: Wish, asker: Asker, rules: GuildSettings) -> None:
    """Raise NotAllowed where a guild's rules forbid `wish`.

    Who manages the guild is bound by the blocklist alone, so that nobody locks themselves out.
    """
    word = blocked_word(f"{wish.prompt} {wish.negative_prompt}", rules.blocklist)
    if word is not None:
        raise NotAllowed("blocked_word", word=word)
    if asker.manages_guild:
        return
    if asker.user_id in rules.banned_user_ids:
        raise NotAllowed("banned")
    if rules.allowed_channel_ids and asker.channel_id not in rules.allowed_channel_ids:
        channels = Snippet(" ".join(f"<#{one}>" for one in sorted(rules.allowed_channel_ids)[:5]))
        raise NotAllowed("wrong_channel", channels=channels)
    if rules.allowed_role_ids and not rules.allowed_role_ids & asker.role_ids:
        raise NotAllowed("role_needed")


def quotas(rules: GuildSettings, guild: Quota, member: Quota) -> tuple[Quota | None, Quota | None]:
    """Return a guild's own quotas, never more generous per second than the operator's."""
    return _tighter(rules.guild_quota, guild), _tighter(rules.member_quota, member)


def _tighter(chosen: tuple[int, int] | None, ceiling: Quota) -> Quota | None:
    if chosen is None:
        return None
    count, seconds = chosen
    if count / seconds > ceiling.count / ceiling.per_seconds:
        return None
    return Quota(count, seconds)


def resolve(
    wish: Wish, asker: Asker, defaults: Defaults, styles: Mapping[str, Style] | None = None
) -> ImageRequest:
    """Return the complete request for `wish`.

    Raises BadParameter naming the value and what is allowed instead.
    """
    style = _style(wish.style or defaults.style, styles or {})
    prompt = wish.prompt.strip()
    if not prompt and not wish.sources:
        raise BadParameter("prompt_empty", name="prompt")
    for text in (prompt, wish.negative_prompt):
        if len(text) > MAX_PROMPT:
            raise BadParameter("prompt_too_long", name="prompt", length=len(text), limit=MAX_PROMPT)
    strength = _within(
        "strength",
        next(
            one
            for one in (wish.strength, style.strength if style else None, defaults.strength)
            if one is not None
        ),
        0.01,
        1.0,
    )
    steps = int(
        _within(
            "steps",
            wish.num_inference_steps
            or (style.num_inference_steps if style else None)
            or defaults.num_inference_steps,
            1,
            defaults.max_steps,
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
        style=style,
        private=wish.private,
        scale=wish.scale,
        max_bytes=asker.max_bytes,
    )


def _style(name: str | None, styles: Mapping[str, Style]) -> Style | None:
    """Return the preset called `name`, however it is written."""
    if not name:
        return None
    style = styles.get(name.strip().casefold())
    if style is None:
        raise BadParameter(name="style", value=name[:40], allowed=", ".join(styles))
    return style


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
        raise BadParameter(name=name, value=_shown(value), allowed=f"{low:g} – {high:g}")
    return value


def _shown(value: float) -> str:
    """Return a number as a sentence shows it; a whole number can be too long for a float."""
    if isinstance(value, int) and abs(value) > MAX_SEED:
        return f"{str(value)[:20]}…"
    return f"{value:g}"
