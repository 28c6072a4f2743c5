"""Endpoints that register application commands."""

from __future__ import annotations

from typing import Final

from bot.sandbox.errors import missing_access, unknown
from bot.sandbox.models import Json
from bot.sandbox.ratelimits import Bucket
from bot.sandbox.rest.pipeline import NO_CONTENT, Call, Endpoint, Reply

GLOBAL: Final = "/applications/{application_id}/commands"
IN_GUILD: Final = "/applications/{application_id}/guilds/{guild_id}/commands"


def _place(call: Call) -> int | None:
    """Return the guild the commands are for, None for all. Raises ApiError."""
    if call.id("application_id") != call.core.state.application_id:
        raise unknown("application")
    if "guild_id" not in call.params:
        return None
    guild = call.core.state.guild(call.id("guild_id"))
    if not call.core.bot_in(guild.id):
        raise missing_access()
    return guild.id


def _command(call: Call, place: int | None) -> Json:
    command = call.core.state.commands[place].get(call.id("command_id"))
    if command is None:
        raise unknown("application command")
    return command


def _listed(call: Call, place: int | None) -> list[Json]:
    return list(call.core.state.commands[place].values())


def _changed(call: Call) -> None:
    commands = [one for home in call.core.state.commands.values() for one in home.values()]
    call.core.events.changed("commands_update", {"commands": commands})


async def overwrite(call: Call) -> Reply:
    """Replace all commands of a place."""
    stored = call.core.registry.overwrite(_place(call), call.body.payload)
    _changed(call)
    return Reply(stored)


async def list_commands(call: Call) -> Reply:
    """Return the commands of a place."""
    return Reply(_listed(call, _place(call)))


async def create(call: Call) -> Reply:
    """Register one command, in place of one with its name and kind."""
    place, new = _place(call), call.payload
    key = (new.get("name"), new.get("type", 1))
    others = [one for one in _listed(call, place) if (one["name"], one["type"]) != key]
    existed = len(others) < len(_listed(call, place))
    stored = call.core.registry.overwrite(place, [*others, new])[-1]
    _changed(call)
    return Reply(stored, 200 if existed else 201)


async def get_command(call: Call) -> Reply:
    """Return one command."""
    return Reply(_command(call, _place(call)))


async def edit(call: Call) -> Reply:
    """Change one command."""
    place = _place(call)
    old = _command(call, place)
    changed = [
        one | call.payload if one["id"] == old["id"] else one for one in _listed(call, place)
    ]
    stored = call.core.registry.overwrite(place, changed)
    _changed(call)
    return Reply(next(one for one in stored if one["id"] == old["id"]))


async def delete(call: Call) -> Reply:
    """Withdraw one command."""
    place = _place(call)
    old = _command(call, place)
    call.core.registry.overwrite(place, [c for c in _listed(call, place) if c["id"] != old["id"]])
    _changed(call)
    return NO_CONTENT


def _endpoints(path: str, name: str) -> list[Endpoint]:
    bucket = Bucket(name, 20, 10.0)
    one = path + "/{command_id}"
    table = [
        ("PUT", path, overwrite),
        ("GET", path, list_commands),
        ("POST", path, create),
        ("GET", one, get_command),
        ("PATCH", one, edit),
        ("DELETE", one, delete),
    ]
    return [Endpoint(method, where, handler, bucket) for method, where, handler in table]


ENDPOINTS: Final = [*_endpoints(GLOBAL, "commands"), *_endpoints(IN_GUILD, "guild_commands")]
