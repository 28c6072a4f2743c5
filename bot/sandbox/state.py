"""The world in memory: who and what exists, found by id or by name."""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Final

from bot.sandbox import permissions
from bot.sandbox.clock import Clock
from bot.sandbox.errors import ControlError, unknown
from bot.sandbox.models import (
    DM,
    GROUP_DM,
    GUILD_TEXT,
    Channel,
    Guild,
    Interaction,
    Json,
    Member,
    Message,
    Role,
    User,
)
from bot.sandbox.permissions import EVERYONE_DEFAULT
from bot.sandbox.snowflake import Snowflakes

GUILD_MEMBERS_INTENT: Final = 1 << 1
PRESENCES_INTENT: Final = 1 << 8
MESSAGE_CONTENT_INTENT: Final = 1 << 15
KEPT_INTERACTIONS: Final = 50_000
PRIVILEGED: Final = GUILD_MEMBERS_INTENT | PRESENCES_INTENT | MESSAGE_CONTENT_INTENT


class State:
    """Everything that exists on this server; creating things here tells nobody."""

    def __init__(self, clock: Clock, *, bot_name: str, privileged_intents: int = 0) -> None:
        self.clock = clock
        self.ids = Snowflakes(clock)
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, dict[int, Message]] = defaultdict(dict)
        self.interactions: dict[int, Interaction] = {}
        self.by_token: dict[str, Interaction] = {}
        self.commands: dict[int | None, dict[int, Json]] = defaultdict(dict)
        self.privileged_intents = privileged_intents
        bot = User(self.ids.next(), bot_name, bot_name, bot=True)
        self.users[bot.id] = bot
        self.application_id = bot.id

    @property
    def bot(self) -> User:
        """The application's bot user."""
        return self.users[self.application_id]

    def add_user(
        self, username: str, *, locale: str = "en-US", has_installed: bool = False
    ) -> User:
        """Create a person. Raises ControlError where the name is taken."""
        name = username.strip().lower()
        if not name or any(user.username == name for user in self.users.values()):
            raise ControlError(f"There is already a user called {username!r}, or it is empty.")
        user = User(self.ids.next(), name, username.strip().title(), locale=locale)
        user.has_installed = has_installed
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, owner: User, *, with_bot: bool = True) -> Guild:
        """Create a guild with its @everyone role, its owner and, if wanted, the bot."""
        guild = Guild(self.ids.next(), name, owner.id)
        guild.roles[guild.id] = Role(guild.id, "@everyone", EVERYONE_DEFAULT, position=0)
        self.guilds[guild.id] = guild
        self.add_member(guild, owner)
        if with_bot:
            self.add_member(guild, self.bot)
        return guild

    def add_role(self, guild: Guild, name: str, bits: int, *, managed: bool = False) -> Role:
        """Create a role with permission bits."""
        role = Role(self.ids.next(), name, bits, position=len(guild.roles), managed=managed)
        guild.roles[role.id] = role
        return role

    def add_member(self, guild: Guild, user: User, *, roles: list[int] | None = None) -> Member:
        """Let a user into a guild."""
        member = Member(user.id, self.clock.now(), roles or [])
        guild.members[user.id] = member
        return member

    def add_channel(
        self, guild: Guild, name: str, *, nsfw: bool = False, topic: str | None = None
    ) -> Channel:
        """Create a text channel."""
        channel = Channel(self.ids.next(), name, GUILD_TEXT, guild.id, nsfw, topic)
        channel.position = len(guild.channels)
        guild.channels[channel.id] = channel
        self.channels[channel.id] = channel
        return channel

    def private_channel(self, *user_ids: int) -> Channel:
        """Return the private channel between these users, made if there is none."""
        wanted = set(user_ids)
        for channel in self.channels.values():
            if channel.guild_id is None and set(channel.recipients) == wanted:
                return channel
        kind = DM if len(wanted) == 2 else GROUP_DM
        channel = Channel(self.ids.next(), "", kind, recipients=sorted(wanted))
        self.channels[channel.id] = channel
        return channel

    def guild_of(self, channel: Channel) -> Guild | None:
        """Return the guild a channel belongs to."""
        return self.guilds.get(channel.guild_id) if channel.guild_id is not None else None

    def remove_channel(self, channel: Channel) -> None:
        """Delete a channel and everything said in it."""
        self.channels.pop(channel.id, None)
        self.messages.pop(channel.id, None)
        guild = self.guild_of(channel)
        if guild is not None:
            guild.channels.pop(channel.id, None)

    def may(self, user_id: int, channel: Channel) -> int:
        """Return a user's permissions in a channel; in private ones those of a participant."""
        guild = self.guild_of(channel)
        if guild is None:
            return permissions.EVERYONE_DEFAULT if user_id in channel.recipients else 0
        return permissions.channel_permissions(guild, channel, user_id)

    def sees(self, user_id: int, message: Message) -> bool:
        """Say whether a member sees a message at all."""
        channel = self.channels.get(message.channel_id)
        if channel is None or message.dismissed:
            return False
        if message.ephemeral_for is not None:
            return message.ephemeral_for == user_id
        return bool(self.may(user_id, channel) & permissions.VIEW_CHANNEL)

    def channel(self, channel_id: int) -> Channel:
        """Return a channel by id. Raises ApiError 10003."""
        try:
            return self.channels[channel_id]
        except KeyError:
            raise unknown("channel") from None

    def message(self, channel_id: int, message_id: int) -> Message:
        """Return a message by ids. Raises ApiError 10008."""
        found = self.messages.get(channel_id, {}).get(message_id)
        if found is None:
            raise unknown("message")
        return found

    def guild(self, guild_id: int) -> Guild:
        """Return a guild by id. Raises ApiError 10004."""
        try:
            return self.guilds[guild_id]
        except KeyError:
            raise unknown("guild") from None

    def keep(self, interaction: Interaction) -> None:
        """Store an interaction; of 50,000 the oldest fifth is forgotten."""
        if len(self.interactions) >= KEPT_INTERACTIONS:
            for old in list(self.interactions.values())[: KEPT_INTERACTIONS // 5]:
                del self.interactions[old.id]
                self.by_token.pop(old.token, None)
        self.interactions[interaction.id] = interaction
        self.by_token[interaction.token] = interaction

    def new_token(self) -> str:
        """Return a secret for one interaction."""
        return secrets.token_urlsafe(48)


def default_world(state: State) -> None:
    """Fill a new state: one guild, four channels, three members and the bot."""
    ada = state.add_user("ada", has_installed=True)
    ben = state.add_user("ben")
    cleo = state.add_user("cleo")
    guild = state.add_guild("Turbo Town", ada)
    moderator = state.add_role(
        guild,
        "Moderator",
        permissions.MANAGE_MESSAGES | permissions.MANAGE_CHANNELS | permissions.MANAGE_GUILD,
    )
    state.add_member(guild, ben, roles=[moderator.id])
    state.add_member(guild, cleo)
    state.add_channel(guild, "general", topic="Say hello")
    state.add_channel(guild, "art", topic="Pictures drawn here")
    state.add_channel(guild, "remix", topic="Pictures drawn over")
    state.add_channel(guild, "after-dark", nsfw=True, topic="Age-restricted")
