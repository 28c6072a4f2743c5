"""The part of the client that arranges the world, orders faults and reads the wire."""

from __future__ import annotations

from typing import Any

from bot.sandbox.client_http import ControlHttp, Json, Name, as_object


class WorldClient(ControlHttp):
    """Creates and changes people and places, moves the clock, breaks things."""

    async def traffic(
        self, *, after: int = 0, kind: str | None = None, broken_only: bool = False
    ) -> list[Json]:
        """Return the log of the wire, newest last."""
        query = {"after": after, "kind": kind, "broken": 1 if broken_only else None}
        return list(await self.call("GET", "/traffic", query=query))

    async def create_user(self, name: str, **options: Any) -> Json:
        """Create a person; options are locale and has_installed."""
        return as_object(await self.call("POST", "/users", {"name": name} | options))

    async def set_user(self, user: Name, **options: Any) -> Json:
        """Change a person's locale, has_installed or accepts_dms."""
        return as_object(await self.call("PATCH", f"/users/{user}", options))

    async def create_guild(self, name: str, **options: Any) -> Json:
        """Create a guild; options are owner, channels, members and bot."""
        return as_object(await self.call("POST", "/guilds", {"name": name} | options))

    async def set_guild(self, guild: Name, **options: Any) -> Json:
        """Change a guild's name, premium_tier, locale, or whether the bot is in it."""
        return as_object(await self.call("PATCH", f"/guilds/{guild}", options))

    async def set_member(self, guild: Name, user: Name, **options: Any) -> Json:
        """Change a member's permissions or nick, or whether they are present."""
        return as_object(await self.call("PATCH", f"/guilds/{guild}/members/{user}", options))

    async def create_channel(self, guild: Name, name: str, **options: Any) -> Json:
        """Create a text channel; options are nsfw and topic."""
        body = {"guild": guild, "name": name} | options
        return as_object(await self.call("POST", "/channels", body))

    async def set_channel(self, channel: Name, *, guild: Name = None, **options: Any) -> Json:
        """Change a channel's name, nsfw or topic."""
        query = {"guild": guild}
        return as_object(await self.call("PATCH", f"/channels/{channel}", options, query=query))

    async def delete_channel(self, channel: Name, *, guild: Name = None) -> None:
        """Delete a channel."""
        await self.call("DELETE", f"/channels/{channel}", query={"guild": guild})

    async def set_overwrite(
        self, channel: Name, target: Name, *, allow: int = 0, deny: int = 0, guild: Name = None
    ) -> Json:
        """Allow or deny permissions to a role or member in one channel."""
        path = f"/channels/{channel}/overwrites/{target}"
        body = {"allow": allow, "deny": deny}
        return as_object(await self.call("PUT", path, body, query={"guild": guild}))

    async def settings(self, **options: Any) -> Json:
        """Change privileged_intents or rate_limits; return what is set."""
        return as_object(await self.call("PATCH", "/settings", options))

    async def advance(self, seconds: float) -> float:
        """Move the sandbox's clock forward; return its time."""
        return float((await self.call("POST", "/clock", {"advance": seconds}))["now"])

    async def fault(self, target: str, kind: str, **options: Any) -> Json:
        """Put a fault in force for "rest" or "cdn"; see `bot.sandbox.faults.Fault`."""
        return as_object(
            await self.call("POST", "/faults", {"target": target, "kind": kind} | options)
        )

    async def faults(self) -> list[Json]:
        """Return the faults in force with their counts."""
        return list(await self.call("GET", "/faults"))

    async def clear_faults(self) -> None:
        """Take every fault out of force."""
        await self.call("DELETE", "/faults")

    async def gateway_fault(self, kind: str, **options: Any) -> int:
        """Deal a blow to the gateway's connections; return how many it hit."""
        found = await self.call("POST", "/faults/gateway", {"kind": kind} | options)
        return int(found["connections"])

    async def expire(self, interaction_id: Name) -> None:
        """Make an interaction's token worthless."""
        await self.call("POST", "/faults/expire", {"interaction": interaction_id})
