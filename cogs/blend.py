"""/blend: two to five pictures mixed into one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import BadParameter
from bot.request import MAX_PROMPT, MAX_SEED, MAX_STEPS, PictureSource, Wish
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import SIZE_CHOICES, asker_of, described, source_of, style_names, text

if TYPE_CHECKING:
    from bot.client import TurboBot

BLEND_STRENGTH: Final = 0.6
"""Mixed latents are a soft double exposure; this much of the schedule makes one picture of it."""


class Blend(commands.Cog):
    """Mixing pictures in latent space."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @app_commands.command(
        name=text("command.blend.name"), description=text("command.blend.description")
    )
    @described("blend")
    @app_commands.choices(size=SIZE_CHOICES)
    @app_commands.autocomplete(style=style_names)
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def blend(
        self,
        interaction: discord.Interaction[TurboBot],
        image1: discord.Attachment,
        image2: discord.Attachment,
        image3: discord.Attachment | None = None,
        image4: discord.Attachment | None = None,
        image5: discord.Attachment | None = None,
        prompt: app_commands.Range[str, 0, MAX_PROMPT] = "",
        weights: str | None = None,
        strength: app_commands.Range[float, 0.01, 1.0] = BLEND_STRENGTH,
        size: str | None = None,
        steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
        seed: app_commands.Range[int, 0, MAX_SEED] | None = None,
        style: str | None = None,
        private: bool = False,
    ) -> None:
        """Mix the pictures, then redraw the mixture as the prompt says."""
        given = [one for one in (image1, image2, image3, image4, image5) if one is not None]
        sources = [source_of(one) for one in given]

        async def wish() -> Wish:
            return Wish(
                prompt=prompt,
                size=size,
                num_inference_steps=steps,
                seed=seed,
                strength=strength,
                sources=weighted(sources, weights),
                style=style,
                private=private,
            )

        reply = InteractionReply(interaction, ephemeral=private)
        await self.bot.studio.draw(reply, wish, asker_of(interaction), kind="blend")


def weighted(sources: list[PictureSource], weights: str | None) -> tuple[PictureSource, ...]:
    """Return the sources with weights read from `2, 1, 1`; all equal when none are given.

    Raises BadParameter when the numbers do not match the pictures or are not above 0.
    """
    if weights is None:
        return tuple(sources)
    parts = weights.replace(";", ",").replace(",", " ").split()
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != len(sources) or not all(0 < number < 1000 for number in numbers):
        raise BadParameter("weights_do_not_match", name="weights", count=len(sources))
    return tuple(
        replace(source, weight=number) for source, number in zip(sources, numbers, strict=True)
    )


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Blend(bot))
