"""A guild's settings in words, and words back into settings."""

from __future__ import annotations

from bot.errors import BadParameter
from bot.ratelimit import Quota
from bot.replies import quote
from bot.store import GuildSettings
from bot.store.guild_settings import (
    MAX_QUOTA_COUNT,
    MAX_QUOTA_SECONDS,
    MAX_WORD_LENGTH,
    MAX_WORDS,
)
from bot.studio import Studio
from bot.words import say, span_text, steps_text

SHOWN_WORDS = 20
SHOWN_IDS = 10
MOST_CHOSEN = 25
"""Values that Discord lets one choose in a select."""


def summary(chosen: GuildSettings, studio: Studio, *, locale: str) -> str:
    """Return what holds in the guild, one line a topic.

    The operator's own holds where the guild has chosen nothing; without a picture check nothing is
    recognised as being for adults.
    """
    holds, limiter = studio.defaults_under(chosen), studio.service.limiter

    def mentions(ids: frozenset[int], form: str) -> str:
        shown = " ".join(form.format(one) for one in sorted(ids)[:SHOWN_IDS])
        more = len(ids) - SHOWN_IDS
        return f"{shown} {say(locale, 'settings.more', count=more)}" if more > 0 else shown

    def quota(value: tuple[int, int] | None, operator: Quota) -> str:
        count, seconds = value or (operator.count, operator.per_seconds)
        return say(locale, "settings.quota", count=count, span=span_text(seconds, locale=locale))

    lines = [
        "## " + say(locale, "settings.title"),
        say(
            locale,
            "settings.line_defaults",
            steps=steps_text(holds.num_inference_steps, locale=locale),
            strength=f"{holds.strength:g}",
            size=say(locale, f"size.{holds.size}"),
            style=say(locale, "result.style", style=quote(holds.style))
            if holds.style
            else say(locale, "settings.no_style"),
            count=holds.count,
        ),
        say(
            locale,
            "settings.line_limits",
            steps=steps_text(holds.max_steps, locale=locale),
            count=holds.max_count,
            guild=quota(chosen.guild_quota, limiter.guild),
            member=quota(chosen.member_quota, limiter.member),
        ),
        say(
            locale,
            "settings.line_access",
            channels=mentions(chosen.allowed_channel_ids, "<#{}>")
            or say(locale, "settings.every_channel"),
            roles=mentions(chosen.allowed_role_ids, "<@&{}>") or say(locale, "settings.every_role"),
        ),
    ]
    if max(len(chosen.allowed_channel_ids), len(chosen.allowed_role_ids)) > MOST_CHOSEN:
        lines.append("-# " + say(locale, "settings.line_first", count=MOST_CHOSEN))
    if chosen.role_quotas:
        shown = [
            f"<@&{role}> {quota((count, seconds), limiter.member)}"
            for role, count, seconds in chosen.role_quotas
        ]
        lines.append(say(locale, "settings.line_roles", roles=", ".join(shown)))
    if studio.service.check is None:
        lines.append(say(locale, "settings.line_no_check"))
    else:
        policy = say(locale, f"settings.policy_{chosen.nsfw_policy}")
        lines.append(say(locale, "settings.line_nsfw", policy=policy))
    if chosen.banned_user_ids:
        lines.append(
            say(
                locale,
                "settings.line_banned",
                members=mentions(chosen.banned_user_ids, "<@{}>"),
            )
        )
    if chosen.blocklist:
        words = ", ".join(f"||{quote(word, 40)}||" for word in chosen.blocklist[:SHOWN_WORDS])
        lines.append(say(locale, "settings.line_words", words=words))
    if chosen.audit_channel_id:
        lines.append(say(locale, "settings.line_audit", channel=f"<#{chosen.audit_channel_id}>"))
    return "\n".join(lines)


def number(name: str, typed: str, low: float, high: float) -> float | None:
    """Return the number a manager typed; None for an empty field, which means the operator's.

    Raises BadParameter naming the field.
    """
    if not typed.strip():
        return None
    try:
        value = float(typed.strip().replace(",", "."))
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadParameter(name=name, value=typed[:40], allowed=f"{low:g} – {high:g}")
    return value


def quota_of(name: str, typed: str, ceiling: Quota) -> tuple[int, int] | None:
    """Return (images, seconds) from `20/60`; None for an empty field.

    Raises BadParameter for what cannot be read or is more than the operator's `ceiling` lets pass.
    """
    if not typed.strip():
        return None
    images, _, seconds = (part.strip() for part in typed.partition("/"))
    # Not every decimal that Python reads is short: thousands of digits are an error of their own.
    if not all(part.isdecimal() and len(part) < 10 for part in (images, seconds)):
        raise BadParameter(name=name, value=typed[:40], allowed="20/60")
    count, per_seconds = int(images), int(seconds)
    if not (1 <= per_seconds <= MAX_QUOTA_SECONDS and 1 <= count <= MAX_QUOTA_COUNT):
        allowed = f"20/60; 1 – {MAX_QUOTA_COUNT} / 1 – {MAX_QUOTA_SECONDS}"
        raise BadParameter(name=name, value=typed[:40], allowed=allowed)
    if count * ceiling.per_seconds > ceiling.count * per_seconds:
        allowed = f"≤ {ceiling.count}/{ceiling.per_seconds}"
        raise BadParameter(name=name, value=typed[:40], allowed=allowed)
    return count, per_seconds


def blocklist_of(typed: str) -> tuple[str, ...]:
    """Return the words of a blocklist, one a line, each once. Raises BadParameter."""
    lines = (line.strip() for line in typed.splitlines())
    words = tuple(dict.fromkeys(line for line in lines if line))
    for word in words:
        if len(word) > MAX_WORD_LENGTH:
            raise BadParameter("word_too_long", word=word, limit=MAX_WORD_LENGTH)
    if len(words) > MAX_WORDS:
        raise BadParameter("too_many_words", count=len(words), limit=MAX_WORDS)
    return words
