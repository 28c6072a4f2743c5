"""Which gateway intent an event needs, and which close codes end a session for good."""

from __future__ import annotations

from typing import Final

GUILDS: Final = 1 << 0
GUILD_MEMBERS: Final = 1 << 1
GUILD_MESSAGES: Final = 1 << 9
GUILD_MESSAGE_TYPING: Final = 1 << 11
DIRECT_MESSAGES: Final = 1 << 12
DIRECT_MESSAGE_TYPING: Final = 1 << 14
HIGHEST: Final = 1 << 26

_ALWAYS: Final = frozenset({"READY", "RESUMED", "INTERACTION_CREATE", "USER_UPDATE"})
_MEMBER_EVENTS: Final = frozenset({"GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE"})


def needed(event: str, *, private: bool) -> int:
    """Return the intent bit without which an event is not sent; 0 for those always sent."""
    if event in _ALWAYS:
        return 0
    if event in _MEMBER_EVENTS:
        return GUILD_MEMBERS
    if event.startswith("MESSAGE_"):
        return DIRECT_MESSAGES if private else GUILD_MESSAGES
    if event == "TYPING_START":
        return DIRECT_MESSAGE_TYPING if private else GUILD_MESSAGE_TYPING
    return 0 if private else GUILDS


CLOSE_REASONS: Final = {
    4000: "Unknown error.",
    4001: "Unknown opcode.",
    4002: "Error while decoding payload.",
    4003: "Not authenticated.",
    4004: "Authentication failed.",
    4005: "Already authenticated.",
    4007: "Invalid seq.",
    4008: "Rate limited.",
    4009: "Session timed out.",
    4010: "Invalid shard.",
    4011: "Sharding required.",
    4012: "Invalid API version.",
    4013: "Invalid intent(s).",
    4014: "Disallowed intent(s).",
}
