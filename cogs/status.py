"""/status, /help and /styles: how the bot is, what it can do, which looks it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.replies import quote, text_view
from bot.request import Style
from bot.store import GuildSettings
from bot.words import say
from cogs.common.options import asker_of, described, left_text, permission_names, text

if TYPE_CHECKING:
    from bot.client import TurboBot

NEEDED_TO_POST: Final = ("view_channel", "send_messages", "attach_files", "read_message_history")
NEEDED_IN_THREADS: Final = tuple(
    "send_messages_in_threads" if name == "send_messages" else name for name in NEEDED_TO_POST
)
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
        rules = await self.bot.studio.rules_for(interaction.guild_id)
        remaining = await self.bot.studio.remaining_for(asker_of(interaction))
        lines = [
            "## " + say(locale, f"status.{'ready' if stats.ready else 'starting'}"),
            say(
                locale,
                "status.device",
                model=quote(stats.model_name),
                device=quote(devices_text(stats.device_names)),
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
            *check_lines(self.bot, rules, locale=locale),
        ]
        if remaining.guild is not None:
            lines.append(left_text(locale, "status.guild_left", remaining.guild))
        lines.append(left_text(locale, "status.member_left", remaining.member))
        missing = missing_permissions(interaction)
        if missing:
            names = permission_names(missing, locale=locale)
            lines.append(say(locale, "status.missing", permissions=names))
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
    """Return the permissions the bot lacks where the interaction came from."""
    if interaction.guild_id is None or not interaction.is_guild_integration():
        return []
    in_thread = isinstance(interaction.channel, discord.Thread)
    needed = NEEDED_IN_THREADS if in_thread else NEEDED_TO_POST
    return [name for name in needed if not getattr(interaction.app_permissions, name)]


def devices_text(names: Sequence[str]) -> str:
    """Return the names of the devices, those of one name counted."""
    counted = Counter(names)
    return ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in counted.items())


def check_lines(bot: TurboBot, rules: GuildSettings, *, locale: str) -> list[str]:
    """Return whether pictures are judged, and what becomes of those for adults."""
    check = bot.studio.service.check
    if check is None:
        return [say(locale, "status.check_off")]
    policy = say(locale, f"settings.policy_{rules.nsfw_policy}")
    return [
        say(locale, "status.check_on", device=quote(check.stats().device_name)),
        say(locale, "settings.line_nsfw", policy=policy),
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}" if seconds == seconds and seconds != float("inf") else "–"


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Status(bot))
