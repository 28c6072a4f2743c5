"""The bot's token, and with --online what Discord says about it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import aiohttp

from bot import __version__
from bot.config import Settings
from bot.doctor.check import Check, fail, ok, warn

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_SHAPE: Final = re.compile(r"[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}")
_NEW_TOKEN: Final = "Copy a new one from the developer portal (Bot › Reset Token)."

# Flags of an application: the intent as granted to verified bots, and as switched on by others.
MESSAGE_CONTENT: Final = 1 << 18 | 1 << 19
ADMINISTRATOR: Final = 1 << 3
PERMISSIONS: Final = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Send Messages in Threads": 1 << 38,
}
"""What posting a picture takes (Discord's permission bits)."""


def check_token(token: str) -> Check:
    """Check the token's shape alone; nothing of it is shown but the id it begins with."""
    if not token:
        return fail("Token", "DISCORD_TOKEN is not set", f"{_NEW_TOKEN[:-1]} into .env.")
    if token != token.strip() or token.lower().startswith("bot ") or token[0] in "\"'":
        advice = "Write the token alone: no quotes, no spaces, no 'Bot' before it."
        return fail("Token", "DISCORD_TOKEN has something around the token", advice)
    bot_id = _bot_id(token)
    if _SHAPE.fullmatch(token) is None or bot_id is None:
        detail = f"DISCORD_TOKEN, {len(token)} characters, does not look like a bot's token"
        advice = f"{_NEW_TOKEN} The client secret and the public key are other things."
        return fail("Token", detail, advice)
    return ok("Token", f"well formed, of the bot {bot_id}")


def check_intent(settings: Settings) -> Check:
    """Say what the message content setting means, without asking Discord."""
    if settings.message_content:
        return warn(
            "Intents",
            "message content is asked for; whether it is enabled is not known",
            "Enable it in the developer portal (Bot › Privileged Gateway Intents), or check with "
            "--online.",
        )
    return ok("Intents", "none that is privileged; replies remix the bot's own pictures only")


async def check_account(settings: Settings) -> list[Check]:
    """Ask Discord about the token, the intent and the permissions in each guild."""
    headers = {
        "Authorization": f"Bot {settings.token.get_secret_value()}",
        "User-Agent": f"DiscordBot (turbocord, {__version__})",
    }
    base = f"{settings.api_base}/api/v10"
    async with aiohttp.ClientSession(headers=headers, timeout=TIMEOUT) as session:
        status, me = await _ask(session, f"{base}/users/@me")
        if status == 401:
            return [fail("Account", "Discord does not accept the token", _NEW_TOKEN)]
        if status != 200:
            return [_unreachable(settings, status)]
        account = ok("Account", f"{me.get('username')} ({me.get('id')})")
        status, application = await _ask(session, f"{base}/applications/@me")
        if status != 200:
            status, application = await _ask(session, f"{base}/oauth2/applications/@me")
        intent = _intent(settings, application if status == 200 else {})
        status, guilds = await _ask(session, f"{base}/users/@me/guilds?limit=200")
        if status != 200:
            unknown = warn("Permissions", f"Discord answered {status}", "Try again later.")
            return [account, intent, unknown]
        return [account, intent, check_permissions(guilds)]


def check_permissions(guilds: list[dict[str, Any]]) -> Check:
    """Check what the bot's roles allow in each guild; channels may still take some of it away."""
    if not guilds:
        advice = "Invite it with the scopes bot and applications.commands."
        return warn("Permissions", "the bot is in no guild", advice)
    lacking = []
    for guild in guilds:
        has = int(guild.get("permissions", 0))
        names = [name for name, bit in PERMISSIONS.items() if not has & (bit | ADMINISTRATOR)]
        if names:
            lacking.append(f"{guild.get('name')} lacks {', '.join(names)}")
    if lacking:
        shown = "; ".join(lacking[:5])
        more = f"; and {len(lacking) - 5} more guilds" if len(lacking) > 5 else ""
        advice = "Give the bot's role these permissions, or invite it again with them."
        return warn("Permissions", shown + more, advice)
    return ok("Permissions", f"all that are needed, in {len(guilds)} guilds")


def _intent(settings: Settings, application: dict[str, Any]) -> Check:
    flags = application.get("flags")
    if not settings.message_content or not isinstance(flags, int):
        return check_intent(settings)
    if flags & MESSAGE_CONTENT:
        return ok("Intents", "message content is asked for and enabled")
    return fail(
        "Intents",
        "message content is asked for, but not enabled for this application",
        "Enable it in the developer portal (Bot › Privileged Gateway Intents), or set "
        "TURBOCORD_MESSAGE_CONTENT=false.",
    )


def _unreachable(settings: Settings, status: int) -> Check:
    if status:
        detail = f"{settings.api_base} answered {status}"
        return fail("Account", detail, "Try again later; Discord may be having an outage.")
    advice = "Check the network, a proxy or a firewall, and TURBOCORD_API_BASE."
    return fail("Account", f"{settings.api_base} cannot be reached", advice)


async def _ask(session: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    """Return the status and the answer; status 0 says that there was none."""
    try:
        async with session.get(url) as response:
            return response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return 0, {}


def _bot_id(token: str) -> str | None:
    """Return the bot's id, which the first part of a token is in base64."""
    first = token.partition(".")[0]
    try:
        decoded = base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    text = decoded.decode("ascii", errors="replace")
    return text if text.isdigit() else None
