"""The parts of one sandbox, put together; every handler gets this and finds the others by it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from bot.sandbox.cdn import Cdn
from bot.sandbox.clock import Clock
from bot.sandbox.events import EventHub
from bot.sandbox.faults import Faults
from bot.sandbox.gateway import Gateway
from bot.sandbox.models import Guild
from bot.sandbox.ratelimits import RateLimits
from bot.sandbox.registry import Registry
from bot.sandbox.state import State
from bot.sandbox.traffic import Traffic

MAX_REQUEST_BYTES: Final = 1 << 29


def fake_token(application_id: int) -> str:
    """Return a token of Discord's shape, three parts of which the first is the id, that is none."""
    head = base64.urlsafe_b64encode(str(application_id).encode()).decode().rstrip("=")
    return f"{head}.SNDBOX.not-a-token-of-discord-but-the-sandbox"


class Core:
    """One sandbox without its sockets."""

    def __init__(
        self,
        clock: Clock,
        *,
        bot_name: str,
        token: str | None,
        privileged_intents: int,
        rate_limits: bool,
        heartbeat_interval_s: float,
        keep_bytes: int,
        keep_traffic: int,
    ) -> None:
        self.clock = clock
        self.base_url = ""
        self.state = State(clock, bot_name=bot_name, privileged_intents=privileged_intents)
        self.token = token or fake_token(self.state.application_id)
        self.registry = Registry(self.state)
        self.cdn = Cdn(clock, keep_bytes=keep_bytes)
        self.traffic = Traffic(clock, keep=keep_traffic)
        self.rate_limits = RateLimits(clock, enabled=rate_limits)
        self.faults = Faults(clock)
        self.events = EventHub(self)
        self.gateway = Gateway(self, heartbeat_interval_s=heartbeat_interval_s)

    def bot_guilds(self) -> Iterator[Guild]:
        """Walk over the guilds the bot is in."""
        bot_id = self.state.application_id
        return (guild for guild in self.state.guilds.values() if bot_id in guild.members)

    def bot_in(self, guild_id: int | None) -> bool:
        """Say whether the bot is a member of a guild."""
        guild = self.state.guilds.get(guild_id or 0)
        return guild is not None and self.state.application_id in guild.members

    def bot_hears(self, channel_id: int) -> bool:
        """Say whether the gateway tells the bot of messages in a channel."""
        channel = self.state.channels.get(channel_id)
        return channel is not None and bool(
            self.state.may(self.state.application_id, channel) & (1 << 10)
        )
