"""/live: a panel that redraws as its controls are pressed, seen by its member alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.journal import Posted
from bot.replies import Outgoing, files_of
from bot.request import MAX_PROMPT, ImageResult, random_seed
from cogs.common.interaction_reply import InteractionReply
from cogs.common.live_panel import LivePanel, LiveState
from cogs.common.options import asker_of, described, text

if TYPE_CHECKING:
    from bot.client import TurboBot


class OpeningReply(InteractionReply):
    """The first picture of a panel: like any private answer, with the panel around it."""

    def __init__(self, interaction: discord.Interaction[TurboBot], panel: LivePanel) -> None:
        super().__init__(interaction, ephemeral=True)
        self.panel = panel
        self._sent: ImageResult | None = None

    async def deliver(self, result: ImageResult) -> Posted:
        """Open the panel. Raises DeliveryFailed."""
        posted = await super().deliver(result)
        assert self._sent is not None
        self.panel.shown(self._sent)
        return posted

    def message(self, result: ImageResult) -> Outgoing:
        """Return the panel with its first picture, which may have been made smaller to fit."""
        self._sent = result
        self.panel.show(result)
        return Outgoing(
            view=lambda: self.panel,
            files=lambda: files_of(result.pictures, result.request, locale=self.locale),
        )


class Live(commands.Cog):
    """The instant page, as a panel."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @app_commands.command(
        name=text("command.live.name"), description=text("command.live.description")
    )
    @described("live")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def live(
        self,
        interaction: discord.Interaction[TurboBot],
        prompt: app_commands.Range[str, 1, MAX_PROMPT],
    ) -> None:
        """Open a panel that starts with `prompt`."""
        asker, studio = asker_of(interaction), self.bot.studio
        defaults = await studio.defaults_for(asker.guild_id)
        state = LiveState(
            prompt=prompt,
            seed=random_seed(),
            strength=defaults.strength,
            steps=defaults.num_inference_steps,
            size=defaults.size,
            style=defaults.style or "",
        )
        panel = LivePanel(
            self.bot,
            state,
            locale=str(interaction.locale),
            styles=tuple(studio.styles),
            max_steps=defaults.max_steps,
        )
        reply = OpeningReply(interaction, panel)
        await studio.draw(reply, state.wish(), asker, kind="live")


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Live(bot))
