"""Presses that nobody is there for any more end in a sentence.

Panels and forms end some minutes after their last press, and with the process; what stands in the
channel or on a member's screen outlives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord.ext import commands

from bot.client import answer_failure
from bot.errors import NotAllowed

if TYPE_CHECKING:
    from bot.client import TurboBot

ON_CONTROLS = (discord.InteractionType.component, discord.InteractionType.modal_submit)


class Leftovers(commands.Cog):
    """Answers what no panel, form or lasting control took, here or in another process."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[TurboBot]) -> None:
        """Say that the controls have ended, unless somebody acts on the press."""
        if interaction.type not in ON_CONTROLS:
            return
        if await self.bot.arrivals.take_if_left(interaction.id):
            await answer_failure(interaction, NotAllowed("controls_ended"))


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Leftovers(bot))
