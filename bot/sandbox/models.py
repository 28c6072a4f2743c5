"""What a Discord holds: users, guilds, channels, messages, attachments, interactions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.clock import Timer

Json = dict[str, Any]

GUILD_TEXT, DM, GROUP_DM = 0, 1, 3

EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 6, 1 << 7, 1 << 15
"""Message flags: only one member sees it; "thinking…"; laid out by components alone."""


@dataclass
class User:
    """A person or the bot, known everywhere by one id."""

    id: int
    username: str
    global_name: str | None = None
    bot: bool = False
    locale: str = "en-US"
    has_installed: bool = False
    """The application is installed on the account, so its commands follow this user anywhere."""
    accepts_dms: bool = True


@dataclass
class Role:
    """A named set of permissions; the one with the guild's own id is @everyone."""

    id: int
    name: str
    permissions: int
    position: int = 1
    mentionable: bool = False
    managed: bool = False


@dataclass
class Overwrite:
    """Permissions allowed or denied in one channel to a role (kind 0) or a member (kind 1)."""

    id: int
    kind: int
    allow: int = 0
    deny: int = 0


@dataclass
class Channel:
    """A text channel of a guild, or a private one between its recipients."""

    id: int
    name: str
    kind: int = GUILD_TEXT
    guild_id: int | None = None
    nsfw: bool = False
    topic: str | None = None
    position: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    recipients: list[int] = field(default_factory=list)
    last_message_id: int | None = None


@dataclass
class Member:
    """A user inside one guild."""

    user_id: int
    joined_at: float
    roles: list[int] = field(default_factory=list)
    nick: str | None = None


@dataclass
class Guild:
    """A server with its roles, channels and members."""

    id: int
    name: str
    owner_id: int
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    premium_tier: int = 0
    locale: str = "en-US"


@dataclass
class Attachment:
    """A file as the CDN keeps it; the bytes lie in the CDN's own store."""

    id: int
    filename: str
    size: int
    content_type: str | None
    width: int | None
    height: int | None
    channel_id: int
    created_at: float
    description: str | None = None
    title: str | None = None
    ephemeral: bool = False
    consumed: bool = False
    """Shown by a component or an embed, and so absent from the message's `attachments`."""


@dataclass
class Message:
    """A message as stored; what each reader sees of it is decided when it is written out."""

    id: int
    channel_id: int
    guild_id: int | None
    author_id: int
    created_at: float
    kind: int = 0
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    edited_at: float | None = None
    tts: bool = False
    nonce: str | int | None = None
    mentions: list[int] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reference: Json | None = None
    snapshots: list[Json] | None = None
    interaction_id: int | None = None
    interaction_metadata: Json | None = None
    webhook_id: int | None = None
    ephemeral_for: int | None = None
    dismissed: bool = False


@dataclass
class Interaction:
    """One act of a member that the application must answer, and all that became of it."""

    id: int
    token: str
    kind: int
    user_id: int
    guild_id: int | None
    channel_id: int
    data: Json
    created_at: float
    attachment_size_limit: int
    message_id: int | None = None
    opened_by: int | None = None
    """For a submitted modal, the interaction that opened it."""
    name: str = ""
    force_ephemeral: bool = False
    user_installed_only: bool = False
    context: int = 0
    acked_at: float | None = None
    callback_type: int | None = None
    deferred: bool = False
    answered_at: float | None = None
    response_id: int | None = None
    followup_ids: list[int] = field(default_factory=list)
    followups_sent: int = 0
    edits: list[Json] = field(default_factory=list)
    modal: Json | None = None
    modal_closed: bool = False
    choices: list[Json] | None = None
    failed: bool = False
    invalidated: bool = False
    error: str | None = None
    original_deleted: bool = False
    deadline: Timer | None = None
    version: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self) -> None:
        """Wake everyone who waits for a change of this interaction."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()
