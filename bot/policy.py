"""From what a member said to what will be run: defaults, ceilings and the guild's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

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
    ModelChoice,
    OnFlagged,
    Size,
    Style,
    Wish,
    effective_steps,
    random_seed,
)
from bot.store import GuildSettings, NsfwPolicy


@dataclass(frozen=True, slots=True)
class Defaults:
    """The operator's defaults and ceilings, within which a guild may choose its own.

    `model` is the one they are for; None where there is nothing to choose.
    """

    num_inference_steps: int = 2
    strength: float = 0.7
    guidance_scale: float = 0.0
    size: str = "square"
    style: str | None = None
    count: int = 1
    max_count: int = 4
    max_steps: int = 4
    nsfw_policy: NsfwPolicy = NsfwPolicy.OFF
    model: ModelChoice | None = None

    def of(self, model: ModelChoice | None) -> Defaults:
        """Return what holds for another model than the one these are for.

        Its steps may be above the operator's ceiling: with fewer than it was made for it draws
        nothing of use.
        """
        if model is None or model == self.model:
            return self
        steps = model.steps or self.num_inference_steps
        guidance = self.guidance_scale if model.guidance is None else model.guidance
        return replace(
            self,
            model=model,
            num_inference_steps=steps,
            guidance_scale=guidance,
            max_steps=max(steps, min(self.max_steps, model.max_steps or self.max_steps)),
        )

    def within(self, chosen: GuildSettings, model: ModelChoice | None = None) -> Defaults:
        """Return what holds in a guild: its own choices, never above the operator's ceilings.

        A guild's steps are for the model it draws with by default; others come with their own.
        """
        holds = self.of(model)
        usual = chosen.default_model or (self.model.name if self.model else None)
        default_steps = chosen.default_steps
        if holds.model is not None and holds.model.name != usual:
            default_steps = None
        max_steps = min(chosen.max_steps or holds.max_steps, holds.max_steps)
        max_count = min(chosen.max_count or self.max_count, self.max_count)
        return replace(
            holds,
            num_inference_steps=min(default_steps or holds.num_inference_steps, max_steps),
            strength=chosen.default_strength or self.strength,
            size=chosen.default_size or self.size,
            style=chosen.default_style or self.style,
            count=min(chosen.default_count or self.count, max_count),
            max_steps=max_steps,
            max_count=max_count,
            nsfw_policy=chosen.nsfw_policy,
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
    places = {asker.channel_id, asker.parent_channel_id}
    if rules.allowed_channel_ids and not rules.allowed_channel_ids & places:
        channels = Snippet(" ".join(f"<#{one}>" for one in sorted(rules.allowed_channel_ids)[:5]))
        raise NotAllowed("wrong_channel", channels=channels)
    if rules.allowed_role_ids and not rules.allowed_role_ids & asker.role_ids:
        raise NotAllowed("role_needed")


def on_flagged(policy: NsfwPolicy, asker: Asker) -> OnFlagged:
    """Return what becomes of a flagged picture where `asker` asks.

    Outside guilds there is nobody to allow it, so it is refused there.
    """
    if asker.guild_id is None or policy is NsfwPolicy.OFF:
        return OnFlagged.REFUSE
    if policy is NsfwPolicy.SPOILER:
        return OnFlagged.SPOILER
    return OnFlagged.SHOW if asker.age_restricted else OnFlagged.REFUSE_HERE


class Quotas(NamedTuple):
    """What a guild has chosen for itself and for a member of it; None is the operator's."""

    guild: Quota | None = None
    member: Quota | None = None


def quotas(rules: GuildSettings, asker: Asker) -> Quotas:
    """Return the quotas that a guild has chosen for itself and for a member with these roles.

    Of several roles' quotas the one holds that lets most through. None does where the user counts
    alone.
    """
    if asker.counted_guild_id is None:
        return Quotas()
    guild, member = rules.guild_quota, rules.member_quota
    own = [(count, span) for role, count, span in rules.role_quotas if role in asker.role_ids]
    if own:
        member = max(own, key=lambda one: (one[0] / one[1], one[0]))
    return Quotas(Quota(*guild) if guild else None, Quota(*member) if member else None)


def choose_model(
    name: str | None, rules: GuildSettings, models: Mapping[str, ModelChoice]
) -> ModelChoice | None:
    """Return the model that a member names, or else the guild's, or the operator's first.

    A guild's model that is configured no more is passed over. Raises BadParameter for a name that
    is not configured. None where no models are known.
    """
    if name is not None:
        if name not in models:
            raise BadParameter(name="model", value=name[:40], allowed=", ".join(models) or "–")
        return models[name]
    return models.get(rules.default_model or "") or next(iter(models.values()), None)


def resolve(
    wish: Wish, asker: Asker, defaults: Defaults, styles: Mapping[str, Style] | None = None
) -> ImageRequest:
    """Return the complete request for `wish`, drawn with the model that `defaults` are for.

    Raises BadParameter naming the value and what is allowed instead.
    """
    style = _style(wish, defaults, styles or {})
    prompt, negative_prompt = _text(wish.prompt), _text(wish.negative_prompt)
    if not prompt and not wish.sources:
        raise BadParameter("prompt_empty", name="prompt")
    for text in (prompt, negative_prompt):
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
    usual = (style.num_inference_steps if style else None) or defaults.num_inference_steps
    steps = wish.num_inference_steps or min(usual, defaults.max_steps)
    count = wish.count or defaults.count
    if wish.recalled:
        steps, count = min(steps, defaults.max_steps), min(count, defaults.max_count)
    steps = int(_within("steps", steps, 1, defaults.max_steps))
    return ImageRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        user_id=asker.user_id,
        guild_id=asker.counted_guild_id,
        seed=random_seed() if wish.seed is None else int(_within("seed", wish.seed, 0, MAX_SEED)),
        count=int(_within("count", count, 1, defaults.max_count)),
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
        model=defaults.model,
        private=wish.private,
        scale=wish.scale,
        on_flagged=on_flagged(defaults.nsfw_policy, asker),
        max_bytes=asker.max_bytes,
    )


def _style(wish: Wish, defaults: Defaults, styles: Mapping[str, Style]) -> Style | None:
    """Return the preset that a member names, however it is written, or else the usual one.

    One that is configured no more is passed over where nobody names it now.
    """
    name = defaults.style if wish.style is None else wish.style
    if not name:
        return None
    style = styles.get(name.strip().casefold())
    if style is None and wish.style is not None and not wish.recalled:
        raise BadParameter(name="style", value=name[:40], allowed=", ".join(styles))
    return style


def _size(wish: Wish, defaults: Defaults) -> Size | None:
    """Return the named size; None leaves it to the aspect of the source."""
    if wish.size is None:
        return None if wish.sources else SIZES[defaults.size]
    if wish.size not in SIZES:
        raise BadParameter(name="size", value=wish.size, allowed=", ".join(SIZES))
    return SIZES[wish.size]


def _text(written: str) -> str:
    """Return a prompt that can be encoded: JSON may hold half of a surrogate pair."""
    return written.encode("utf-8", "replace").decode().strip()


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
