"""What a guild may choose for itself, as a value and as the JSON it is stored as."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from bot.request import MAX_COUNT, MAX_STEPS, SIZES

log = logging.getLogger(__name__)

VERSION: Final = 1

MAX_IDS: Final = 500
MAX_WORDS: Final = 500
MAX_WORD_LENGTH: Final = 100
MAX_QUOTA_SECONDS: Final = 7 * 24 * 3600
MAX_QUOTA_COUNT: Final = 100_000
MAX_ROLE_QUOTAS: Final = 25


class NsfwPolicy(StrEnum):
    """Where pictures for adults may be drawn."""

    OFF = "off"
    AGE_RESTRICTED = "age_restricted"
    SPOILER = "spoiler"


@dataclass(frozen=True, slots=True)
class GuildSettings:
    """A guild's choices; None leaves one to the operator, and empty sets allow everyone.

    Quotas are (images, seconds); those of `role_quotas`, (role id, images, seconds), take the place
    of `member_quota` for who has the role.
    """

    default_steps: int | None = None
    default_strength: float | None = None
    default_size: str | None = None
    default_style: str | None = None
    default_model: str | None = None
    default_count: int | None = None
    max_steps: int | None = None
    max_count: int | None = None
    allowed_channel_ids: frozenset[int] = frozenset()
    allowed_role_ids: frozenset[int] = frozenset()
    banned_user_ids: frozenset[int] = frozenset()
    blocklist: tuple[str, ...] = ()
    nsfw_policy: NsfwPolicy = NsfwPolicy.OFF
    audit_channel_id: int | None = None
    guild_quota: tuple[int, int] | None = None
    member_quota: tuple[int, int] | None = None
    role_quotas: tuple[tuple[int, int, int], ...] = ()
    locale: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the choices that differ from the defaults as plain JSON.

        Raises ValueError naming a field whose value cannot be.
        """
        chosen: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value == one.default:
                continue
            try:
                READERS[one.name](_plain(value))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{one.name}: {error}") from error
            chosen[one.name] = _plain(value)
        return chosen

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> GuildSettings:
        """Return stored choices; what this release cannot read falls back to its default.

        A newer release may have written fields or values that are unknown here, and the bot must
        go on with the rest.
        """
        chosen: dict[str, Any] = {}
        for name, value in stored.items():
            if name not in READERS:
                continue
            try:
                chosen[name] = READERS[name](value)
            except (TypeError, ValueError) as error:
                log.warning("stored guild setting %s is not usable: %s", name, error)
        return cls(**chosen)


def _plain(value: Any) -> Any:
    """Return a field's value as JSON has it; sets sorted, so that equal settings read alike."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, StrEnum) else value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


_snowflake: Final = _whole(1, 2**63 - 1)


def _snowflakes(value: Any) -> frozenset[int]:
    return frozenset(_snowflake(one) for one in _list(value, MAX_IDS))


def _list(value: Any, longest: int) -> Iterable[Any]:
    if not isinstance(value, list) or len(value) > longest:
        raise ValueError(f"must be a list of at most {longest}")
    return value


def _strength(value: Any) -> float:
    if type(value) not in (int, float) or not 0.01 <= value <= 1.0:
        raise ValueError("must be a number from 0.01 to 1")
    return float(value)


def _text(longest: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            raise ValueError(f"must be a text of 1 to {longest} characters")
        return value

    return read


def _size(value: Any) -> str:
    if value not in SIZES:
        raise ValueError(f"must be one of {', '.join(SIZES)}")
    return str(value)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(map(_text(MAX_WORD_LENGTH), _list(value, MAX_WORDS)))


def _quota(value: Any) -> tuple[int, int]:
    count, seconds = _list(value, 2)
    return _whole(1, MAX_QUOTA_COUNT)(count), _whole(1, MAX_QUOTA_SECONDS)(seconds)


def _role_quotas(value: Any) -> tuple[tuple[int, int, int], ...]:
    read = {
        _snowflake(role): _quota([count, seconds])
        for role, count, seconds in (_list(one, 3) for one in _list(value, MAX_ROLE_QUOTAS))
    }
    return tuple((role, *quota) for role, quota in sorted(read.items()))


READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "default_steps": _whole(1, MAX_STEPS),
    "default_strength": _strength,
    "default_size": _size,
    "default_style": _text(100),
    "default_model": _text(100),
    "default_count": _whole(1, MAX_COUNT),
    "max_steps": _whole(1, MAX_STEPS),
    "max_count": _whole(1, MAX_COUNT),
    "allowed_channel_ids": _snowflakes,
    "allowed_role_ids": _snowflakes,
    "banned_user_ids": _snowflakes,
    "blocklist": _words,
    "nsfw_policy": NsfwPolicy,
    "audit_channel_id": _snowflake,
    "guild_quota": _quota,
    "member_quota": _quota,
    "role_quotas": _role_quotas,
    "locale": _text(16),
}
