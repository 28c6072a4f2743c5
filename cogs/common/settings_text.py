"""A guild's settings in words, and words back into settings."""

from __future__ import annotations

from bot.errors import BadParameter
from bot.policy import Defaults
from bot.replies import quote
from bot.store import GuildSettings
from bot.words import say

SHOWN_WORDS = 20


def summary(chosen: GuildSettings, holds: Defaults, *, locale: str) -> str:
    """Return what a guild chose and what `holds` there by it, one line a topic."""

    def mentions(ids: frozenset[int], form: str) -> str:
        return " ".join(form.format(one) for one in sorted(ids)[:10]) or say(locale, "settings.all")

    def quota(value: tuple[int, int] | None) -> str:
        return f"{value[0]} / {value[1]} s" if value else say(locale, "settings.operators")

    lines = [
        "## " + say(locale, "settings.title"),
        say(
            locale,
            "settings.line_defaults",
            steps=holds.num_inference_steps,
            strength=f"{holds.strength:g}",
            size=holds.size,
            style=holds.style or "–",
            count=holds.count,
        ),
        say(
            locale,
            "settings.line_limits",
            steps=holds.max_steps,
            count=holds.max_count,
            guild=quota(chosen.guild_quota),
            member=quota(chosen.member_quota),
        ),
        say(
            locale,
            "settings.line_access",
            channels=mentions(chosen.allowed_channel_ids, "<#{}>"),
            roles=mentions(chosen.allowed_role_ids, "<@&{}>"),
        ),
    ]
    if chosen.banned_user_ids:
        lines.append(
            say(locale, "settings.line_banned", members=mentions(chosen.banned_user_ids, "<@{}>"))
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


def quota_of(name: str, typed: str) -> tuple[int, int] | None:
    """Return (images, seconds) from `20/60`; None for an empty field. Raises BadParameter."""
    if not typed.strip():
        return None
    images, _, seconds = typed.partition("/")
    if not images.strip().isdecimal() or not seconds.strip().isdecimal() or int(images) < 1:
        raise BadParameter(name=name, value=typed[:40], allowed="20/60")
    return int(images), max(1, int(seconds))
