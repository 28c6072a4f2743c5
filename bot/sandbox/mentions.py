"""Who a message pings, after `allowed_mentions` and permissions have had their say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from bot.sandbox.form import Form
from bot.sandbox.models import Guild
from bot.sandbox.state import State

USER: Final = re.compile(r"<@!?(\d+)>")
ROLE: Final = re.compile(r"<@&(\d+)>")
EVERYONE: Final = re.compile(r"@(?:everyone|here)\b")

MESSAGE_DEFAULT: Final = {"parse": ["users", "roles", "everyone"], "replied_user": True}
"""What a message without `allowed_mentions` may ping."""
INTERACTION_DEFAULT: Final = {"parse": ["users"], "replied_user": False}
"""The same for answers to interactions and other webhook messages."""


@dataclass(frozen=True)
class Mentions:
    """The users and roles pinged, by id, and whether everyone is."""

    users: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    everyone: bool = False


def check_allowed(form: Form, allowed: Any) -> None:
    """Note the faults of an `allowed_mentions` object."""
    path = ("allowed_mentions",)
    if allowed is None or not form.mapping(path, allowed):
        return
    parse = allowed.get("parse")
    if parse is not None and form.count((*path, "parse"), parse, 0, 3):
        for index, kind in enumerate(parse):
            form.choice((*path, "parse", index), kind, ("users", "roles", "everyone"))
        for key in ("users", "roles"):
            if key in parse and allowed.get(key):
                form.add(
                    path,
                    "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                    f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.',
                )
    for key in ("users", "roles"):
        ids = allowed.get(key)
        if ids is not None and form.count((*path, key), ids, 0, 100):
            for index, one in enumerate(ids):
                if not str(one).isdecimal():
                    message = f'Value "{one}" is not snowflake.'
                    form.add((*path, key, index), "NUMBER_TYPE_COERCE", message)


def resolve(
    state: State,
    guild: Guild | None,
    text: str,
    allowed: dict[str, Any],
    *,
    may_ping_everyone: bool,
    replied_to: int | None = None,
) -> Mentions:
    """Return whom a text pings under an `allowed_mentions` object.

    `may_ping_everyone` is the author's permission; it also opens roles that are not mentionable.
    `replied_to` is the author answered to, pinged where `replied_user` says so.
    """
    parse = set(allowed.get("parse") or ())
    listed_users = {int(one) for one in allowed.get("users") or ()}
    listed_roles = {int(one) for one in allowed.get("roles") or ()}
    users = [
        one
        for one in dict.fromkeys(map(int, USER.findall(text)))
        if one in state.users and ("users" in parse or one in listed_users)
    ]
    if replied_to is not None and allowed.get("replied_user") and replied_to not in users:
        users.append(replied_to)
    roles = [
        one
        for one in dict.fromkeys(map(int, ROLE.findall(text)))
        if guild is not None
        and one in guild.roles
        and ("roles" in parse or one in listed_roles)
        and (may_ping_everyone or guild.roles[one].mentionable)
    ]
    everyone = (
        "everyone" in parse
        and may_ping_everyone
        and guild is not None
        and EVERYONE.search(text) is not None
    )
    return Mentions(users, roles, everyone)
