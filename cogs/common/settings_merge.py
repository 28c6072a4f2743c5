"""What a manager changed of the settings they saw, put into those that hold by now.

Another manager may have changed them meanwhile: nobody undoes what they did not see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from bot.errors import BadParameter
from bot.store import GuildSettings
from bot.store.guild_settings import MAX_IDS, MAX_WORDS

T = TypeVar("T")


def merged(now: Iterable[T], shown: Iterable[T], chosen: Iterable[T]) -> tuple[T, ...]:
    """Return `now` with what `chosen` adds to `shown`, without what it leaves out, in order."""
    shown, chosen = set(shown), list(chosen)
    gone = shown.difference(chosen)
    kept = [one for one in now if one not in gone]
    return tuple(dict.fromkeys([*kept, *(one for one in chosen if one not in shown)]))


def merged_ids(now: Iterable[int], shown: Iterable[int], chosen: Iterable[int]) -> frozenset[int]:
    """Return the same of channels, roles or members. Raises BadParameter for too many."""
    ids = frozenset(merged(now, shown, chosen))
    if len(ids) > MAX_IDS:
        raise BadParameter("too_many_chosen", count=len(ids), limit=MAX_IDS)
    return ids


def merged_words(now: Iterable[str], shown: Iterable[str], typed: Iterable[str]) -> tuple[str, ...]:
    """Return the same of a blocklist. Raises BadParameter for too many words."""
    words = merged(now, shown, typed)
    if len(words) > MAX_WORDS:
        raise BadParameter("too_many_words", count=len(words), limit=MAX_WORDS)
    return words


def with_changes(now: GuildSettings, shown: GuildSettings, **typed: Any) -> GuildSettings:
    """Return `now` with those of the `typed` values that are not as they were shown."""
    changed = {name: value for name, value in typed.items() if value != getattr(shown, name)}
    return replace(now, **changed)
