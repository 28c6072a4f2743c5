"""The INTERACTION_CREATE payload, with everything a client library reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.sandbox import permissions, wire
from bot.sandbox.models import DM, Channel, Interaction, Json

if TYPE_CHECKING:
    from bot.sandbox.core import Core

USER_APP_PERMISSIONS: Final = (
    permissions.EMBED_LINKS
    | permissions.ATTACH_FILES
    | permissions.USE_EXTERNAL_EMOJIS
    | permissions.MENTION_EVERYONE
)
"""What an application may do where only a user brought it."""


def owners(core: Core, interaction: Interaction) -> Json:
    """Return `authorizing_integration_owners`: by guild install (0), by user install (1)."""
    result: Json = {}
    channel = core.state.channels.get(interaction.channel_id)
    if core.bot_in(interaction.guild_id):
        result["0"] = str(interaction.guild_id)
    elif channel is not None and core.state.application_id in channel.recipients:
        result["0"] = "0"
    if core.state.users[interaction.user_id].has_installed:
        result["1"] = str(interaction.user_id)
    return result


def context_of(core: Core, channel: Channel) -> int:
    """Return the interaction context: 0 guild, 1 private with the bot, 2 other private channel."""
    if channel.guild_id is not None:
        return 0
    with_bot = channel.kind == DM and core.state.application_id in channel.recipients
    return 1 if with_bot else 2


def app_permissions(core: Core, channel: Channel) -> int:
    """Return the application's permissions where an interaction happens."""
    if core.bot_in(channel.guild_id) or channel.guild_id is None:
        bits = core.state.may(core.state.application_id, channel)
        return bits or USER_APP_PERMISSIONS
    return USER_APP_PERMISSIONS


def interaction_payload(core: Core, interaction: Interaction) -> Json:
    """Return the event's data; the message of a component press is the bot's own, shown whole."""
    state = core.state
    channel = state.channels[interaction.channel_id]
    user = state.users[interaction.user_id]
    payload: Json = {
        "id": str(interaction.id),
        "application_id": str(state.application_id),
        "type": interaction.kind,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel": wire.channel_json(state, channel, viewer=state.application_id)
        | {"permissions": str(state.may(user.id, channel))},
        "channel_id": str(channel.id),
        "app_permissions": str(app_permissions(core, channel)),
        "locale": user.locale,
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": owners(core, interaction),
        "context": interaction.context,
        "attachment_size_limit": interaction.attachment_size_limit,
    }
    guild = state.guild_of(channel)
    if guild is None:
        payload["user"] = wire.user_json(user)
    else:
        payload |= {
            "guild_id": str(guild.id),
            "guild_locale": guild.locale,
            "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
            "member": wire.member_json(state, guild.members[user.id])
            | {"permissions": str(state.may(user.id, channel))},
        }
    if interaction.message_id is not None:
        message = state.messages[channel.id][interaction.message_id]
        payload["message"] = wire.message_json(state, core.cdn, message)
    return payload


def response_metadata(core: Core, interaction: Interaction) -> Json:
    """Return the `interaction_metadata` of a message that answers an interaction."""
    state = core.state
    data: Json = {
        "id": str(interaction.id),
        "type": interaction.kind,
        "user": wire.user_json(state.users[interaction.user_id]),
        "authorizing_integration_owners": owners(core, interaction),
    }
    if interaction.kind == 2:
        data |= {"name": interaction.name, "command_type": interaction.data.get("type", 1)}
        target = interaction.data.get("target_id")
        if target is not None and interaction.data.get("type") == 3:
            data["target_message_id"] = target
        elif target is not None:
            data["target_user"] = wire.user_json(state.users[int(target)])
    elif interaction.kind == 3:
        data["interacted_message_id"] = str(interaction.message_id)
    elif interaction.kind == 5:
        opener = state.interactions.get(interaction.opened_by or 0)
        if opener is not None:
            data["triggering_interaction_metadata"] = response_metadata(core, opener)
    return data
