"""Endpoints that tell about the application, users and guilds."""

from __future__ import annotations

from typing import Final

from bot.sandbox import wire
from bot.sandbox.errors import missing_access, unknown
from bot.sandbox.models import Guild, Json
from bot.sandbox.ratelimits import Bucket
from bot.sandbox.rest.pipeline import NO_CONTENT, Call, Endpoint, Handler, Reply
from bot.sandbox.state import GUILD_MEMBERS_INTENT, MESSAGE_CONTENT_INTENT, PRESENCES_INTENT

IDENTIFIES_A_DAY: Final = 1000
FLAGS: Final = {
    PRESENCES_INTENT: 1 << 13,
    GUILD_MEMBERS_INTENT: 1 << 15,
    MESSAGE_CONTENT_INTENT: 1 << 19,
}
"""The application flag, of the limited kind, that says a privileged intent is switched on."""


async def me(call: Call) -> Reply:
    """Return the bot's user."""
    extra = {"verified": True, "mfa_enabled": True, "locale": "en-US", "email": None, "flags": 0}
    return Reply(wire.user_json(call.core.state.bot) | extra)


async def application(call: Call) -> Reply:
    """Return the application."""
    core, state = call.core, call.core.state
    owner = next((user for user in state.users.values() if not user.bot), state.bot)
    flags = sum(flag for intent, flag in FLAGS.items() if state.privileged_intents & intent)
    return Reply(
        {
            "id": str(state.application_id),
            "name": state.bot.username,
            "icon": None,
            "description": "",
            "type": None,
            "bot": wire.user_json(state.bot),
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": wire.user_json(owner),
            "team": None,
            "verify_key": "0" * 64,
            "summary": "",
            "flags": flags,
            "flags_new": str(flags),
            "explicit_content_filter": 0,
            "approximate_user_authorization_count": 0,
            "eligible_oauth2_scopes": ["bot", "applications.commands"],
            "hook": True,
            "redirect_uris": [],
            "interactions_endpoint_url": None,
            "role_connections_verification_url": None,
            "approximate_guild_count": sum(1 for _ in core.bot_guilds()),
            "approximate_user_install_count": sum(u.has_installed for u in state.users.values()),
            "integration_types_config": {"0": {}, "1": {}},
        }
    )


async def gateway(call: Call) -> Reply:
    """Return the gateway's address."""
    return Reply({"url": call.core.gateway.url})


async def gateway_bot(call: Call) -> Reply:
    """Return the gateway's address, shards recommended and sessions left today."""
    core = call.core
    guilds = sum(1 for _ in core.bot_guilds())
    return Reply(
        {
            "url": core.gateway.url,
            "shards": guilds // 1000 + 1,
            "session_start_limit": {
                "total": IDENTIFIES_A_DAY,
                "remaining": max(0, IDENTIFIES_A_DAY - core.gateway.identifies),
                "reset_after": 86_400_000,
                "max_concurrency": 1,
            },
        }
    )


async def get_user(call: Call) -> Reply:
    """Return a user."""
    user = call.core.state.users.get(call.id("user_id"))
    if user is None:
        raise unknown("user")
    return Reply(wire.user_json(user))


def _guild(call: Call) -> Guild:
    guild = call.core.state.guild(call.id("guild_id"))
    if not call.core.bot_in(guild.id):
        raise missing_access()
    return guild


async def get_guild(call: Call) -> Reply:
    """Return a guild."""
    guild = _guild(call)
    data = wire.guild_json(call.core.state, guild)
    if call.query.get("with_counts", "").lower() in ("1", "true"):
        data["approximate_member_count"] = len(guild.members)
        data["approximate_presence_count"] = len(guild.members)
    return Reply(data)


async def list_guilds(call: Call) -> Reply:
    """Return the guilds the bot is in, in brief."""
    after = call.query.get("after", "0")
    guilds = [g for g in call.core.bot_guilds() if g.id > int(after if after.isdecimal() else 0)]
    return Reply([_brief(guild) for guild in guilds[: call.number("limit", 200, 1, 200)]])


def _brief(guild: Guild) -> Json:
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "banner": None,
        "owner": False,
        "permissions": str(guild.roles[guild.id].permissions),
        "features": [],
    }


async def leave_guild(call: Call) -> Reply:
    """Leave a guild."""
    guild = _guild(call)
    call.core.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id)}, guild_id=guild.id)
    del guild.members[call.core.state.application_id]
    return NO_CONTENT


async def guild_channels(call: Call) -> Reply:
    """Return a guild's channels."""
    state = call.core.state
    return Reply([wire.channel_json(state, one) for one in _guild(call).channels.values()])


async def guild_roles(call: Call) -> Reply:
    """Return a guild's roles."""
    return Reply([wire.role_json(role) for role in _guild(call).roles.values()])


async def get_member(call: Call) -> Reply:
    """Return one member of a guild."""
    member = _guild(call).members.get(call.id("user_id"))
    if member is None:
        raise unknown("member")
    return Reply(wire.member_json(call.core.state, member))


async def list_members(call: Call) -> Reply:
    """Return a guild's members; needs the members intent switched on."""
    guild = _guild(call)
    if not call.core.state.privileged_intents & GUILD_MEMBERS_INTENT:
        raise missing_access()
    members = list(guild.members.values())[: call.number("limit", 1, 1, 1000)]
    return Reply([wire.member_json(call.core.state, member) for member in members])


def _get(path: str, handler: Handler, *, needs_token: bool = True) -> Endpoint:
    major = "guild_id" if "{guild_id}" in path else None
    bucket = Bucket(f"GET {path}", 30, 10.0)
    return Endpoint("GET", path, handler, bucket, needs_token=needs_token, major=major)


ENDPOINTS: Final = [
    _get("/users/@me", me),
    _get("/users/@me/guilds", list_guilds),
    _get("/users/{user_id}", get_user),
    _get("/oauth2/applications/@me", application),
    _get("/applications/@me", application),
    _get("/gateway", gateway, needs_token=False),
    _get("/gateway/bot", gateway_bot),
    _get("/guilds/{guild_id}", get_guild),
    _get("/guilds/{guild_id}/channels", guild_channels),
    _get("/guilds/{guild_id}/roles", guild_roles),
    _get("/guilds/{guild_id}/members", list_members),
    _get("/guilds/{guild_id}/members/{user_id}", get_member),
    Endpoint("DELETE", "/users/@me/guilds/{guild_id}", leave_guild, Bucket("leave", 5, 5.0)),
]
