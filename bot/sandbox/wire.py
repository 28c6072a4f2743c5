"""Writing the world out as the JSON of Discord's API v10."""

from __future__ import annotations

from typing import Any

from bot.sandbox import permissions
from bot.sandbox.cdn import Cdn
from bot.sandbox.clock import iso
from bot.sandbox.models import (
    DM,
    EPHEMERAL,
    Attachment,
    Channel,
    Guild,
    Json,
    Member,
    Message,
    Role,
    User,
)
from bot.sandbox.state import MESSAGE_CONTENT_INTENT, State


def user_json(user: User) -> Json:
    """Return a user object."""
    return {
        "id": str(user.id),
        "username": user.username,
        "global_name": user.global_name,
        "discriminator": "1234" if user.bot else "0",
        "avatar": None,
        "bot": user.bot,
        "public_flags": 0,
        "flags": 0,
        "avatar_decoration_data": None,
        "clan": None,
        "primary_guild": None,
    }


def member_json(state: State, member: Member, *, with_user: bool = True) -> Json:
    """Return a guild member object."""
    data: Json = {
        "roles": [str(role) for role in member.roles],
        "nick": member.nick,
        "avatar": None,
        "banner": None,
        "joined_at": iso(member.joined_at),
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }
    if with_user:
        data["user"] = user_json(state.users[member.user_id])
    return data


def role_json(role: Role) -> Json:
    """Return a role object."""
    return {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(role.permissions),
        "position": role.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": role.managed,
        "mentionable": role.mentionable,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def channel_json(state: State, channel: Channel, *, viewer: int | None = None) -> Json:
    """Return a channel object; `viewer` leaves themselves out of a private one's recipients."""
    data: Json = {
        "id": str(channel.id),
        "type": channel.kind,
        "flags": 0,
        "last_message_id": str(channel.last_message_id) if channel.last_message_id else None,
    }
    if channel.guild_id is None:
        others = [one for one in channel.recipients if one != viewer]
        data["recipients"] = [user_json(state.users[one]) for one in others]
        if channel.kind != DM:
            data |= {"name": channel.name or None, "owner_id": str(channel.recipients[0])}
            data["icon"] = None
        return data
    return data | {
        "guild_id": str(channel.guild_id),
        "name": channel.name,
        "topic": channel.topic,
        "nsfw": channel.nsfw,
        "position": channel.position,
        "parent_id": None,
        "rate_limit_per_user": 0,
        "permission_overwrites": [
            {"id": str(o.id), "type": o.kind, "allow": str(o.allow), "deny": str(o.deny)}
            for o in channel.overwrites.values()
        ],
    }


def guild_json(state: State, guild: Guild) -> Json:
    """Return a guild object, without channels and members."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(guild.owner_id),
        "region": "local",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": [role_json(role) for role in guild.roles.values()],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "nsfw": False,
        "nsfw_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "vanity_url_code": None,
        "premium_tier": guild.premium_tier,
        "premium_subscription_count": {1: 2, 2: 7, 3: 14}.get(guild.premium_tier, 0),
        "premium_progress_bar_enabled": False,
        "preferred_locale": guild.locale,
        "max_members": 500_000,
        "max_presences": None,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "home_header": None,
        "incidents_data": None,
    }


def guild_create_json(state: State, guild: Guild, *, all_members: bool) -> Json:
    """Return the payload of GUILD_CREATE; members beyond the bot need the members intent."""
    bot_id = state.application_id
    members = [m for m in guild.members.values() if all_members or m.user_id == bot_id]
    return guild_json(state, guild) | {
        "joined_at": iso(guild.members[bot_id].joined_at),
        "large": len(guild.members) > 250,
        "unavailable": False,
        "member_count": len(guild.members),
        "channels": [
            channel_json(state, channel)
            for channel in guild.channels.values()
            if permissions.channel_permissions(guild, channel, bot_id) & permissions.VIEW_CHANNEL
        ],
        "members": [member_json(state, member) for member in members],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def attachment_json(cdn: Cdn, attachment: Attachment) -> Json:
    """Return an attachment object with freshly signed addresses."""
    data: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": attachment.size,
        "url": cdn.url(attachment),
        "proxy_url": cdn.url(attachment, proxy=True),
        "flags": 0,
    }
    if attachment.content_type is not None:
        data["content_type"] = attachment.content_type
    if attachment.width is not None:
        data |= {"width": attachment.width, "height": attachment.height}
        data |= {"placeholder": "", "placeholder_version": 1}
    if attachment.title is not None:
        data["title"] = attachment.title
    if attachment.description is not None:
        data["description"] = attachment.description
    if attachment.ephemeral:
        data["ephemeral"] = True
    return data


def message_json(
    state: State, cdn: Cdn, message: Message, *, content: bool = True, nested: bool = False
) -> Json:
    """Return a message object, emptied of what the message-content rule hides.

    `content` False empties `content`, `embeds`, `attachments` and `components`.
    """
    author = state.users[message.author_id]
    data: Json = {
        "id": str(message.id),
        "type": message.kind,
        "channel_id": str(message.channel_id),
        "author": user_json(author),
        "content": message.content if content else "",
        "timestamp": iso(message.created_at),
        "edited_timestamp": iso(message.edited_at) if message.edited_at else None,
        "tts": message.tts,
        "mention_everyone": message.mention_everyone,
        "mentions": [user_json(state.users[one]) for one in message.mentions],
        "mention_roles": [str(role) for role in message.mention_roles],
        "mention_channels": [],
        "attachments": [
            attachment_json(cdn, one) for one in message.attachments if content and not one.consumed
        ],
        "embeds": freshen(cdn, message, message.embeds) if content else [],
        "components": freshen(cdn, message, message.components) if content else [],
        "pinned": False,
        "flags": message.flags | (EPHEMERAL if message.ephemeral_for is not None else 0),
    }
    if message.nonce is not None:
        data["nonce"] = message.nonce
    if message.webhook_id is not None:
        data |= {"webhook_id": str(message.webhook_id)}
        data["application_id"] = str(message.webhook_id)
    elif author.bot:
        data["application_id"] = str(author.id)
    if message.interaction_metadata is not None:
        data["interaction_metadata"] = message.interaction_metadata
    if message.reference is not None:
        data["message_reference"] = message.reference
        if message.snapshots is not None:
            data["message_snapshots"] = [
                {"message": snapshot_json(cdn, one, content=content)} for one in message.snapshots
            ]
        elif not nested:
            target = state.messages.get(int(message.reference["channel_id"]), {}).get(
                int(message.reference["message_id"])
            )
            data["referenced_message"] = (
                message_json(state, cdn, target, content=content, nested=True)
                if target is not None
                else None
            )
    return data


def snapshot_json(cdn: Cdn, snapshot: Json, *, content: bool) -> Json:
    """Return the forwarded part of a message with fresh addresses."""
    files: list[Attachment] = snapshot["files"]
    data = {key: value for key, value in snapshot.items() if key != "files"}
    data["attachments"] = [attachment_json(cdn, one) for one in files] if content else []
    return data if content else data | {"content": "", "embeds": [], "components": []}


def freshen(cdn: Cdn, message: Message, items: list[Json]) -> list[Json]:
    """Return components or embeds with the addresses of own attachments signed anew."""
    by_id = {str(one.id): one for one in message.attachments}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        fresh = {key: walk(item) for key, item in value.items()}
        attachment = by_id.get(str(value.get("attachment_id")))
        if attachment is not None:
            fresh |= {"url": cdn.url(attachment), "proxy_url": cdn.url(attachment, proxy=True)}
        return fresh

    return [walk(item) for item in items]


def readable_by_bot(state: State, message: Message, *, has_intent: bool) -> bool:
    """Apply the message-content rule.

    Without the intent the bot reads its own messages, private ones and those that mention it.
    """
    return (
        has_intent
        or message.author_id == state.application_id
        or message.guild_id is None
        or state.application_id in message.mentions
    )


def bot_message_json(
    state: State, cdn: Cdn, message: Message, *, has_intent: bool | None = None
) -> Json:
    """Return a message as the bot may read it; over REST the portal's setting counts."""
    if has_intent is None:
        has_intent = bool(state.privileged_intents & MESSAGE_CONTENT_INTENT)
    data = message_json(
        state, cdn, message, content=readable_by_bot(state, message, has_intent=has_intent)
    )
    target = data.get("referenced_message")
    if target is not None and message.reference is not None:
        original = state.messages[int(message.reference["channel_id"])][int(target["id"])]
        data["referenced_message"] = message_json(
            state,
            cdn,
            original,
            content=readable_by_bot(state, original, has_intent=has_intent),
            nested=True,
        )
    return data
