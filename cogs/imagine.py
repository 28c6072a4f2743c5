"""/imagine: a picture from words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.request import MAX_COUNT, MAX_GUIDANCE, MAX_PROMPT, MAX_SEED, MAX_STEPS, Wish
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import SIZE_CHOICES, asker_of, described, offer_models, style_names, text

if TYPE_CHECKING:
    from bot.client import TurboBot


class Imagine(commands.Cog):
    """Text to image."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot
        offer_models(self.imagine, bot.studio.models)

    @app_commands.command(
        name=text("command.imagine.name"), description=text("command.imagine.description")
    )
    @described("imagine")
    @app_commands.choices(size=SIZE_CHOICES)
    @app_commands.autocomplete(style=style_names)
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def imagine(
        self,
        interaction: discord.Interaction[TurboBot],
        prompt: app_commands.Range[str, 1, MAX_PROMPT],
        negative_prompt: app_commands.Range[str, 1, MAX_PROMPT] | None = None,
        count: app_commands.Range[int, 1, MAX_COUNT] | None = None,
        size: str | None = None,
        steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
        guidance: app_commands.Range[float, 0.0, MAX_GUIDANCE] | None = None,
        seed: app_commands.Range[int, 0, MAX_SEED] | None = None,
        style: str | None = None,
        model: str | None = None,
        private: bool = False,
    ) -> None:
        """Draw what the prompt says."""
        wish = Wish(
            prompt=prompt,
            negative_prompt=negative_prompt or "",
            count=count,
            size=size,
            num_inference_steps=steps,
            guidance_scale=guidance,
            seed=seed,
            style=style,
            model=model,
            private=private,
        )
        reply = InteractionReply(interaction, ephemeral=private)
        await self.bot.studio.draw(reply, wish, asker_of(interaction), kind="imagine")


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Imagine(bot))
