"""What the control API tells: messages and interactions as a member, not the bot, sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.clock import iso
from bot.sandbox.models import DM, GROUP_DM, Channel, Guild, Interaction, Json, Message, User
from bot.sandbox.permissions import VIEW_CHANNEL, base_permissions, upload_limit
from bot.sandbox.wire import attachment_json, channel_json, message_json, user_json

if TYPE_CHECKING:
    from bot.sandbox.core import Core


def message_view(core: Core, message: Message, user_id: int | None = None) -> Json:
    """Return a message as Discord's JSON with what a client shows beside it.

    `files` lists every attachment, those shown by components included; `ephemeral_for` names its
    only reader; `pinged` says whether it pings the asking member; `loading` is "thinking…".
    """
    data = message_json(core.state, core.cdn, message)
    guild = core.state.guilds.get(message.guild_id or 0)
    roles: list[int] = []
    if guild is not None and user_id in guild.members:
        roles = guild.members[user_id or 0].roles
    return data | {
        "guild_id": str(message.guild_id) if message.guild_id else None,
        "files": [attachment_json(core.cdn, one) for one in message.attachments],
        "ephemeral_for": str(message.ephemeral_for) if message.ephemeral_for else None,
        "loading": bool(message.flags & (1 << 7)),
        "interaction_id": str(message.interaction_id) if message.interaction_id else None,
        "pinged": message.mention_everyone
        or user_id in message.mentions
        or any(role in message.mention_roles for role in roles),
    }


def interaction_view(core: Core, interaction: Interaction) -> Json:
    """Return an interaction's record: what was asked, when and how it was answered.

    `ack_ms` and `answer_ms` count from the interaction's making; `response` and `followups` are
    messages as the member sees them; `state` is waiting, thinking, answered, modal or failed.
    """
    messages = core.state.messages.get(interaction.channel_id, {})
    response = messages.get(interaction.response_id or 0)
    followups = [messages[one] for one in interaction.followup_ids if one in messages]

    def elapsed(moment: float | None) -> float | None:
        return None if moment is None else round((moment - interaction.created_at) * 1000, 3)

    return {
        "id": str(interaction.id),
        "type": interaction.kind,
        "name": interaction.name,
        "user_id": str(interaction.user_id),
        "guild_id": str(interaction.guild_id) if interaction.guild_id else None,
        "channel_id": str(interaction.channel_id),
        "message_id": str(interaction.message_id) if interaction.message_id else None,
        "data": interaction.data,
        "created_at": iso(interaction.created_at),
        "acked_at": iso(interaction.acked_at) if interaction.acked_at else None,
        "ack_ms": elapsed(interaction.acked_at),
        "answer_ms": elapsed(interaction.answered_at),
        "callback_type": interaction.callback_type,
        "deferred": interaction.deferred,
        "state": state_of(interaction),
        "response": message_view(core, response, interaction.user_id) if response else None,
        "response_deleted": interaction.original_deleted,
        "followups": [message_view(core, one, interaction.user_id) for one in followups],
        "edits": interaction.edits,
        "modal": interaction.modal,
        "choices": interaction.choices,
        "error": interaction.error,
        "version": interaction.version,
    }


def state_of(interaction: Interaction) -> str:
    """Say in a word how an interaction stands."""
    if interaction.failed:
        return "failed"
    if interaction.acked_at is None:
        return "waiting"
    if interaction.callback_type == 9:
        return "modal"
    return "answered" if interaction.answered_at is not None else "thinking"


def user_view(user: User) -> Json:
    """Return a user with what the control API adds."""
    return user_json(user) | {"locale": user.locale, "has_installed": user.has_installed}


def channel_view(core: Core, channel: Channel, user_id: int | None = None) -> Json:
    """Return a channel with the asking member's permissions in it."""
    data = channel_json(core.state, channel, viewer=user_id)
    if user_id is not None:
        data["permissions"] = str(core.state.may(user_id, channel))
    data["bot_permissions"] = str(core.state.may(core.state.application_id, channel))
    return data


def guild_view(core: Core, guild: Guild, user_id: int | None = None) -> Json:
    """Return a guild with its members and the channels the asking member sees."""
    state = core.state
    return {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "premium_tier": guild.premium_tier,
        "upload_limit": upload_limit(guild.premium_tier),
        "locale": guild.locale,
        "has_bot": state.application_id in guild.members,
        "channels": [
            channel_view(core, channel, user_id)
            for channel in guild.channels.values()
            if user_id is None or state.may(user_id, channel) & VIEW_CHANNEL
        ],
        "roles": [
            {"id": str(role.id), "name": role.name, "permissions": str(role.permissions)}
            for role in guild.roles.values()
        ],
        "members": [
            user_view(state.users[member.user_id])
            | {
                "roles": [str(role) for role in member.roles],
                "nick": member.nick,
                "permissions": str(base_permissions(guild, member.user_id)),
            }
            for member in guild.members.values()
        ],
    }


def world_view(core: Core, user_id: int) -> Json:
    """Return all that one member's client shows before any message: places, people, commands."""
    state = core.state
    return {
        "user": user_view(state.users[user_id]),
        "bot": user_view(state.bot),
        "application_id": str(state.application_id),
        "users": [user_view(user) for user in state.users.values()],
        "guilds": [
            guild_view(core, guild, user_id)
            for guild in state.guilds.values()
            if user_id in guild.members
        ],
        "private_channels": [
            channel_view(core, channel, user_id)
            for channel in state.channels.values()
            if channel.kind in (DM, GROUP_DM) and user_id in channel.recipients
        ],
        "commands": [command for home in state.commands.values() for command in home.values()],
        "privileged_intents": state.privileged_intents,
    }
