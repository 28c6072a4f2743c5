"""/status, /help and /styles: how the bot is, what it can do, which looks it has."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.client import PERMISSIONS
from bot.ratelimit import Allowance
from bot.replies import quote, text_view
from bot.request import Style
from bot.words import say
from cogs.common.options import described, text

if TYPE_CHECKING:
    from bot.client import TurboBot

NEEDED_TO_POST: Final = ("view_channel", "send_messages", "attach_files", "read_message_history")
GIB: Final = 1024**3


class Status(commands.Cog):
    """What members ask about the bot itself."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @app_commands.command(
        name=text("command.status.name"), description=text("command.status.description")
    )
    @described("status")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def status(self, interaction: discord.Interaction[TurboBot]) -> None:
        """Show device, queue, speed, what is left, and permissions that are missing here."""
        locale = str(interaction.locale)
        stats = self.bot.studio.service.scheduler.stats()
        remaining = await self.bot.studio.service.limiter.remaining(
            guild_id=interaction.guild_id, user_id=interaction.user.id
        )
        lines = [
            "## " + say(locale, f"status.{'ready' if stats.ready else 'starting'}"),
            say(
                locale,
                "status.device",
                model=quote(stats.model_name),
                device=quote(", ".join(stats.device_names)),
                memory=f"{stats.peak_memory_bytes / GIB:.1f}",
            ),
            *models_line(self.bot.studio.models, locale=locale),
            say(locale, "status.queue", waiting=stats.waiting, running=stats.running),
            say(
                locale,
                "status.speed",
                p50=f"{(stats.queue_p50_ms + stats.service_p50_ms) / 1000:.1f}",
                p95=f"{(stats.queue_p95_ms + stats.service_p95_ms) / 1000:.1f}",
                drawn=stats.drawn,
            ),
            say(locale, "status.gateway", latency=_milliseconds(self.bot.latency)),
        ]
        if remaining.guild is not None:
            lines.append(_left(locale, "status.guild_left", remaining.guild))
        lines.append(_left(locale, "status.member_left", remaining.member))
        missing = missing_permissions(interaction)
        if missing:
            lines.append(say(locale, "status.missing", permissions=", ".join(missing)))
        await interaction.response.send_message(view=text_view("\n".join(lines)), ephemeral=True)

    @app_commands.command(
        name=text("command.help.name"), description=text("command.help.description")
    )
    @described("help")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def help(self, interaction: discord.Interaction[TurboBot]) -> None:
        """Show what the bot can do."""
        assert self.bot.user is not None
        words = say(str(interaction.locale), "help.text", bot=self.bot.user.display_name)
        await interaction.response.send_message(view=text_view(words), ephemeral=True)

    @app_commands.command(
        name=text("command.styles.name"), description=text("command.styles.description")
    )
    @described("styles")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def styles(self, interaction: discord.Interaction[TurboBot]) -> None:
        """List the style presets."""
        locale = str(interaction.locale)
        lines = [style_line(style) for style in self.bot.studio.styles.values()]
        words = "\n".join(["## " + say(locale, "styles.title"), *lines])
        await interaction.response.send_message(view=text_view(words[:4000]), ephemeral=True)


def models_line(models: Collection[str], *, locale: str) -> list[str]:
    """Return the line that names the models to choose between; none where there is no choice."""
    if len(models) < 2:
        return []
    return [say(locale, "status.models", models=", ".join(quote(name, 60) for name in models))]


def style_line(style: Style) -> str:
    """Return what a style does: its words, and the LoRA it is drawn with."""
    line = f"**{quote(style.name)}** · {quote(style.apply('…'), 120)}"
    if style.adapter is not None:
        line += f" · LoRA {quote(style.adapter.name, 60)} ({quote(f'{style.adapter.weight:g}')})"
    return line


def missing_permissions(interaction: discord.Interaction[Any]) -> list[str]:
    """Return the names of permissions the bot lacks where the interaction came from."""
    if interaction.guild_id is None or not interaction.is_guild_integration():
        return []
    has = interaction.app_permissions
    return [
        name.replace("_", " ").title()
        for name in NEEDED_TO_POST
        if getattr(PERMISSIONS, name) and not getattr(has, name)
    ]


def _left(locale: str, key: str, allowance: Allowance) -> str:
    return say(
        locale,
        key,
        left=allowance.left,
        limit=allowance.limit,
        seconds=allowance.per_seconds,
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}" if seconds == seconds and seconds != float("inf") else "–"


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Status(bot))
