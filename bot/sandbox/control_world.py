"""Control routes that arrange the world and read the wire."""

from __future__ import annotations

from typing import Final

from bot.sandbox import lookup, world
from bot.sandbox.control_call import ControlCall, Routes
from bot.sandbox.errors import ControlError
from bot.sandbox.models import Json
from bot.sandbox.view import channel_view, guild_view, user_view, world_view


async def about(call: ControlCall) -> Json:
    """Return addresses and the token."""
    core = call.core
    return {
        "base_url": core.base_url,
        "api": f"{core.base_url}/api/v10",
        "gateway_url": core.gateway.url,
        "token": core.token,
        "application_id": str(core.state.application_id),
        "now": core.clock.now(),
        "shards": len(core.gateway.connections),
    }


async def get_world(call: ControlCall) -> Json:
    """Return what one member's client shows."""
    return world_view(call.core, call.user().id)


async def create_user(call: ControlCall) -> Json:
    """Create a person."""
    data = call.data
    user = call.core.state.add_user(
        str(data.get("name", "")),
        locale=str(data.get("locale", "en-US")),
        has_installed=bool(data.get("has_installed", False)),
    )
    call.core.events.changed("user_update", {"user": user_view(user)})
    return user_view(user)


async def change_user(call: ControlCall) -> Json:
    """Change a person's locale or installation."""
    user = lookup.user(call.core.state, call.params["user"])
    for key in ("locale", "has_installed", "accepts_dms"):
        if key in call.data:
            setattr(user, key, call.data[key])
    call.core.events.changed("user_update", {"user": user_view(user)})
    return user_view(user)


async def create_guild(call: ControlCall) -> Json:
    """Create a guild."""
    data = call.data
    guild = world.create_guild(
        call.core,
        str(data.get("name") or "Guild"),
        call.user(data.get("owner")),
        channels=list(data.get("channels") or ["general"]),
        members=[call.user(one) for one in data.get("members") or []],
        with_bot=bool(data.get("bot", True)),
    )
    return guild_view(call.core, guild)


async def change_guild(call: ControlCall) -> Json:
    """Change a guild's name, boost tier or locale, or let the bot in or out."""
    guild, data = call.guild(), call.data
    if data.get("premium_tier", 0) not in (0, 1, 2, 3):
        raise ControlError("A boost tier goes from 0 to 3.")
    for key in ("name", "premium_tier", "locale"):
        if key in data:
            setattr(guild, key, data[key])
    if "bot" in data:
        world.set_presence(call.core, guild, call.core.state.bot, present=bool(data["bot"]))
    world.announce_guild(call.core, guild)
    return guild_view(call.core, guild)


async def change_member(call: ControlCall) -> Json:
    """Change a member's permissions or nick, or let them in or out."""
    guild, data = call.guild(), call.data
    user = lookup.user(call.core.state, call.params["user"])
    if "present" in data:
        world.set_presence(call.core, guild, user, present=bool(data["present"]))
    if user.id not in guild.members:
        if "present" in data:
            return guild_view(call.core, guild)
        raise ControlError(f"{user.username} is not in {guild.name}.", status=404)
    if "nick" in data:
        guild.members[user.id].nick = data["nick"]
    if data.get("permissions") is not None:
        world.set_permissions(call.core, guild, user, int(data["permissions"]))
    world.announce_member(call.core, guild, user)
    return guild_view(call.core, guild)


async def create_channel(call: ControlCall) -> Json:
    """Create a text channel."""
    data = call.data
    guild = lookup.guild(call.core.state, data.get("guild"))
    channel = world.create_channel(
        call.core,
        guild,
        str(data.get("name") or "channel"),
        nsfw=bool(data.get("nsfw", False)),
        topic=data.get("topic"),
    )
    return channel_view(call.core, channel)


async def change_channel(call: ControlCall) -> Json:
    """Change a channel's name, topic or age restriction."""
    channel = lookup.channel(
        call.core.state, call.params["channel"], guild_name=call.query.get("guild")
    )
    for key in ("name", "nsfw", "topic"):
        if key in call.data:
            setattr(channel, key, call.data[key])
    world.announce_channel(call.core, channel, "CHANNEL_UPDATE")
    return channel_view(call.core, channel)


async def set_overwrite(call: ControlCall) -> Json:
    """Allow or deny permissions in one channel to a role or a member."""
    state = call.core.state
    channel = lookup.channel(state, call.params["channel"], guild_name=call.query.get("guild"))
    guild = state.guild_of(channel)
    if guild is None:
        raise ControlError("A private channel has no overwrites.")
    target = call.params["target"]
    role = next((r for r in guild.roles.values() if target in (str(r.id), r.name)), None)
    identity = role.id if role is not None else lookup.user(state, target).id
    world.set_overwrite(
        call.core,
        channel,
        identity,
        kind=0 if role is not None else 1,
        allow=int(call.data.get("allow", 0)),
        deny=int(call.data.get("deny", 0)),
    )
    return channel_view(call.core, channel)


async def delete_channel(call: ControlCall) -> None:
    """Delete a channel with all its messages."""
    channel = lookup.channel(
        call.core.state, call.params["channel"], guild_name=call.query.get("guild")
    )
    world.delete_channel(call.core, channel)


async def settings(call: ControlCall) -> Json:
    """Change what the application is allowed, and whether rate limits bite."""
    core, data = call.core, call.data
    if "privileged_intents" in data:
        core.state.privileged_intents = int(data["privileged_intents"])
    if "rate_limits" in data:
        core.rate_limits.enabled = bool(data["rate_limits"])
    now: Json = {
        "privileged_intents": core.state.privileged_intents,
        "rate_limits": core.rate_limits.enabled,
    }
    core.events.changed("settings_update", now)
    return now


async def move_clock(call: ControlCall) -> Json:
    """Move time forward."""
    call.core.clock.advance(float(call.data.get("advance", 0)))
    return {"now": call.core.clock.now()}


async def traffic(call: ControlCall) -> list[Json]:
    """Return the log of the wire."""
    entries = call.core.traffic.after(
        int(call.query.get("after", 0)),
        kind=call.query.get("kind"),
        broken_only=call.query.get("broken", "") in ("1", "true"),
    )
    limit = int(call.query.get("limit", len(entries)))
    return [entry.to_json() for entry in entries[-limit:]] if limit else []


async def clear_traffic(call: ControlCall) -> None:
    """Forget the wire so far."""
    call.core.traffic.clear()


ROUTES: Final[Routes] = [
    ("GET", "/sandbox", about),
    ("GET", "/sandbox/world", get_world),
    ("POST", "/sandbox/users", create_user),
    ("PATCH", "/sandbox/users/{user}", change_user),
    ("POST", "/sandbox/guilds", create_guild),
    ("PATCH", "/sandbox/guilds/{guild}", change_guild),
    ("PATCH", "/sandbox/guilds/{guild}/members/{user}", change_member),
    ("POST", "/sandbox/channels", create_channel),
    ("PATCH", "/sandbox/channels/{channel}", change_channel),
    ("PUT", "/sandbox/channels/{channel}/overwrites/{target}", set_overwrite),
    ("DELETE", "/sandbox/channels/{channel}", delete_channel),
    ("PATCH", "/sandbox/settings", settings),
    ("POST", "/sandbox/clock", move_clock),
    ("GET", "/sandbox/traffic", traffic),
    ("DELETE", "/sandbox/traffic", clear_traffic),
]
