"""Changing guilds, channels and members, and telling bot and members of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox import permissions, wire
from bot.sandbox.models import Channel, Guild, Json, Overwrite, User
from bot.sandbox.state import GUILD_MEMBERS_INTENT
from bot.sandbox.view import channel_view, guild_view

if TYPE_CHECKING:
    from bot.sandbox.core import Core


def create_guild(
    core: Core,
    name: str,
    owner: User,
    *,
    channels: list[str],
    members: list[User],
    with_bot: bool = True,
) -> Guild:
    """Create a guild with its channels and members."""
    guild = core.state.add_guild(name, owner, with_bot=with_bot)
    for user in members:
        if user.id not in guild.members:
            core.state.add_member(guild, user)
    for channel in channels:
        core.state.add_channel(guild, channel)
    if with_bot:
        _announce_joined(core, guild)
    core.events.changed("guild_update", {"guild": guild_view(core, guild)})
    return guild


def _announce_joined(core: Core, guild: Guild) -> None:
    core.gateway.dispatch(
        "GUILD_CREATE",
        lambda session: wire.guild_create_json(
            core.state, guild, all_members=bool(session.intents & GUILD_MEMBERS_INTENT)
        ),
        guild_id=guild.id,
    )


def set_presence(core: Core, guild: Guild, user: User, *, present: bool) -> None:
    """Let a user into a guild or out of it."""
    is_bot = user.id == core.state.application_id
    if present and user.id not in guild.members:
        member = core.state.add_member(guild, user)
        if is_bot:
            _announce_joined(core, guild)
        else:
            data = wire.member_json(core.state, member) | {"guild_id": str(guild.id)}
            core.gateway.dispatch("GUILD_MEMBER_ADD", data, guild_id=guild.id)
    elif not present and user.id in guild.members:
        del guild.members[user.id]
        gone: Json = {"guild_id": str(guild.id), "user": wire.user_json(user)}
        if is_bot:
            core.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id)}, guild_id=guild.id)
        else:
            core.gateway.dispatch("GUILD_MEMBER_REMOVE", gone, guild_id=guild.id)
    core.events.changed("guild_update", {"guild": guild_view(core, guild)})


def set_permissions(core: Core, guild: Guild, user: User, bits: int) -> None:
    """Give a member exactly these permissions, by the means Discord has.

    A role of their own grants the bits; what @everyone grants beyond them is denied by an
    overwrite in every channel.
    """
    member = guild.members[user.id]
    name = f"only {user.username}"
    role = next((one for one in guild.roles.values() if one.name == name), None)
    if role is None:
        role = core.state.add_role(guild, name, bits)
        _role_event(core, guild, "GUILD_ROLE_CREATE", wire.role_json(role))
    member.roles = [role.id]
    role.permissions = bits
    _role_event(core, guild, "GUILD_ROLE_UPDATE", wire.role_json(role))
    surplus = guild.roles[guild.id].permissions & ~bits
    for channel in guild.channels.values():
        set_overwrite(core, channel, user.id, kind=1, allow=0, deny=surplus)


def _role_event(core: Core, guild: Guild, event: str, role: Json) -> None:
    _tell_bot(core, guild, event, {"guild_id": str(guild.id), "role": role})


def _tell_bot(core: Core, guild: Guild, event: str, data: Json) -> None:
    if core.bot_in(guild.id):
        core.gateway.dispatch(event, data, guild_id=guild.id)


def announce_guild(core: Core, guild: Guild) -> None:
    """Tell of a changed guild."""
    _tell_bot(core, guild, "GUILD_UPDATE", wire.guild_json(core.state, guild))
    core.events.changed("guild_update", {"guild": guild_view(core, guild)})


def announce_member(core: Core, guild: Guild, user: User) -> None:
    """Tell of a changed member; the bot hears of itself, of others with the members intent."""
    data = wire.member_json(core.state, guild.members[user.id]) | {"guild_id": str(guild.id)}
    own = user.id == core.state.application_id
    intent = 0 if own else GUILD_MEMBERS_INTENT
    core.gateway.dispatch("GUILD_MEMBER_UPDATE", data, guild_id=guild.id, intent=intent)
    core.events.changed("guild_update", {"guild": guild_view(core, guild)})


def create_channel(
    core: Core, guild: Guild, name: str, *, nsfw: bool = False, topic: str | None = None
) -> Channel:
    """Create a text channel."""
    channel = core.state.add_channel(guild, name, nsfw=nsfw, topic=topic)
    announce_channel(core, channel, "CHANNEL_CREATE")
    return channel


def announce_channel(core: Core, channel: Channel, event: str) -> None:
    """Tell of a new or changed channel."""
    guild = core.state.guild_of(channel)
    if guild is not None:
        _tell_bot(core, guild, event, wire.channel_json(core.state, channel))
    core.events.changed("channel_update", {"channel": channel_view(core, channel)})


def delete_channel(core: Core, channel: Channel) -> None:
    """Delete a channel, its messages and their files."""
    guild = core.state.guild_of(channel)
    data = wire.channel_json(core.state, channel)
    for message in core.state.messages.get(channel.id, {}).values():
        for attachment in message.attachments:
            core.cdn.drop(attachment.id)
    core.state.remove_channel(channel)
    if guild is not None:
        _tell_bot(core, guild, "CHANNEL_DELETE", data)
    core.events.changed("channel_delete", {"id": str(channel.id)})


def set_overwrite(
    core: Core, channel: Channel, target_id: int, *, kind: int, allow: int, deny: int
) -> None:
    """Allow or deny permissions to a role (kind 0) or member (kind 1); both 0 take it back."""
    if allow or deny:
        channel.overwrites[target_id] = Overwrite(
            target_id, kind, allow & permissions.ALL, deny & permissions.ALL
        )
    else:
        channel.overwrites.pop(target_id, None)
    announce_channel(core, channel, "CHANNEL_UPDATE")
