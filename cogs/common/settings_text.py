"""A guild's settings in words, and words back into settings."""

from __future__ import annotations

from bot.errors import BadParameter
from bot.policy import Defaults
from bot.replies import quote
from bot.store import GuildSettings
from bot.store.guild_settings import (
    MAX_QUOTA_COUNT,
    MAX_QUOTA_SECONDS,
    MAX_WORD_LENGTH,
    MAX_WORDS,
)
from bot.words import say

SHOWN_WORDS = 20


def summary(chosen: GuildSettings, defaults: Defaults, *, locale: str) -> str:
    """Return what holds in the guild, one line a topic."""
    holds = defaults.within(chosen)

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
    images, _, seconds = (part.strip() for part in typed.partition("/"))
    # Not every decimal that Python reads is short: thousands of digits are an error of their own.
    if all(part.isdecimal() and len(part) < 10 for part in (images, seconds)):
        quota = int(images), max(1, int(seconds))
        if 1 <= quota[0] <= MAX_QUOTA_COUNT and quota[1] <= MAX_QUOTA_SECONDS:
            return quota
    allowed = f"20/60; 1 – {MAX_QUOTA_COUNT} / 1 – {MAX_QUOTA_SECONDS}"
    raise BadParameter(name=name, value=typed[:40], allowed=allowed)


def blocklist_of(name: str, typed: str) -> tuple[str, ...]:
    """Return the words of a blocklist, one a line, each once. Raises BadParameter."""
    lines = (line.strip() for line in typed.splitlines())
    words = tuple(dict.fromkeys(line for line in lines if line))
    if len(words) > MAX_WORDS:
        raise BadParameter(name=name, value=f"{len(words)}", allowed=f"0 – {MAX_WORDS}")
    for word in words:
        if len(word) > MAX_WORD_LENGTH:
            allowed = f"1 – {MAX_WORD_LENGTH}"
            raise BadParameter(name=name, value=f"{word[:40]}… ({len(word)})", allowed=allowed)
    return words
