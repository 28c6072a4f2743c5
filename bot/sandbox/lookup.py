"""Finding things the way a person names them: by id, by name, in their place."""

from __future__ import annotations

from bot.sandbox.errors import ControlError
from bot.sandbox.models import Channel, Guild, Interaction, Message, User
from bot.sandbox.state import State

Name = str | int | None


def number(value: Name) -> int | None:
    """Return a value as an id, or None where it is a name."""
    return int(value) if value is not None and str(value).isdecimal() else None


def user(state: State, name: Name) -> User:
    """Return a user by id, name or `@name`. Raises ControlError."""
    identity = number(name)
    if identity in state.users:
        return state.users[identity]
    wanted = str(name or "").lstrip("@").lower()
    for one in state.users.values():
        if one.username == wanted:
            return one
    known = ", ".join(one.username for one in list(state.users.values())[:12])
    raise ControlError(f"There is no user {name!r}; there are {known}.", status=404)


def guild(state: State, name: Name) -> Guild:
    """Return a guild by id or name, the first one for None. Raises ControlError."""
    if name is None and state.guilds:
        return next(iter(state.guilds.values()))
    identity = number(name)
    if identity in state.guilds:
        return state.guilds[identity]
    for one in state.guilds.values():
        if one.name.lower() == str(name).lower():
            return one
    raise ControlError(f"There is no guild {name!r}.", status=404)


def channel(state: State, name: Name, *, guild_name: Name = None) -> Channel:
    """Return a channel by id, name or `#name`; None is the guild's first. Raises ControlError."""
    identity = number(name)
    if identity in state.channels:
        return state.channels[identity]
    place = guild(state, guild_name)
    wanted = str(name or "").lstrip("#").lower()
    for one in place.channels.values():
        if not wanted or one.name == wanted:
            return one
    known = ", ".join(one.name for one in place.channels.values())
    raise ControlError(f"There is no channel {name!r} in {place.name}: it has {known}.", status=404)


def message(state: State, message_id: Name, *, channel_id: Name = None) -> Message:
    """Return a message by id, wherever it is. Raises ControlError."""
    identity = number(message_id)
    if identity is not None:
        home = number(channel_id)
        places = [state.messages[home]] if home in state.messages else state.messages.values()
        for place in places:
            if identity in place:
                return place[identity]
    raise ControlError(f"There is no message {message_id!r}; it may have been deleted.", status=404)


def interaction(state: State, interaction_id: Name) -> Interaction:
    """Return an interaction by id. Raises ControlError."""
    found = state.interactions.get(number(interaction_id) or 0)
    if found is None:
        raise ControlError(f"There is no interaction {interaction_id!r}.", status=404)
    return found
