"""/remix and the message menus: a picture from a picture, and what a picture tells of itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import BadPicture
from bot.imaging.metadata import Metadata
from bot.replies import MESSAGE_TEXT, info_text, text_view
from bot.request import MAX_COUNT, MAX_GUIDANCE, MAX_PROMPT, MAX_SEED, MAX_STEPS, Wish
from bot.words import say
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import (
    SIZE_CHOICES,
    asker_of,
    described,
    offer_models,
    source_of,
    style_names,
    text,
)
from cogs.common.pictures import pictures_in
from cogs.common.remix_modal import RemixModal

if TYPE_CHECKING:
    from bot.client import TurboBot


class Remix(commands.Cog):
    """Image to image."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot
        offer_models(self.remix, bot.studio.models)
        self._menus = [
            app_commands.ContextMenu(name=text("menu.remix"), callback=self.remix_message),
            app_commands.ContextMenu(name=text("menu.info"), callback=self.picture_info),
        ]

    async def cog_load(self) -> None:
        """Add the message menus, which discord.py does not collect from cogs."""
        for menu in self._menus:
            menu.allowed_installs = app_commands.AppInstallationType(guild=True, user=True)
            menu.allowed_contexts = app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=True
            )
            self.bot.tree.add_command(menu)

    async def cog_unload(self) -> None:
        """Take the message menus away again."""
        for menu in self._menus:
            self.bot.tree.remove_command(menu.name, type=menu.type)

    async def remix_message(
        self, interaction: discord.Interaction[TurboBot], message: discord.Message
    ) -> None:
        """Ask what the picture of `message` should become."""
        pictures = pictures_in(message)
        if not pictures:
            raise BadPicture("no_picture_there")
        defaults = await self.bot.studio.defaults_for(interaction.guild_id)
        await interaction.response.send_modal(
            RemixModal(
                self.bot,
                pictures,
                locale=str(interaction.locale),
                strength=defaults.strength,
                style=defaults.style,
            )
        )

    async def picture_info(
        self, interaction: discord.Interaction[TurboBot], message: discord.Message
    ) -> None:
        """Show how the picture of `message` was made, to the one who asks."""
        pictures = pictures_in(message)
        if not pictures:
            raise BadPicture("no_picture_there")
        await interaction.response.defer(ephemeral=True, thinking=True)
        locale = str(interaction.locale)
        found = await asyncio.gather(
            *(self.bot.studio.read_metadata(one) for one in pictures[:MAX_COUNT]),
            return_exceptions=True,
        )
        faults = [one for one in found if isinstance(one, BaseException)]
        # Of several, those that are there are told of.
        if len(faults) == len(found) or not all(isinstance(one, BadPicture) for one in faults):
            raise faults[0]
        known = [one for one in found if isinstance(one, Metadata)]
        told = [info_text(one, locale=locale, limit=MESSAGE_TEXT // len(known)) for one in known]
        message_text = "\n\n".join(told) or say(locale, "info.nothing")
        await interaction.edit_original_response(view=text_view(message_text))

    @app_commands.command(
        name=text("command.remix.name"), description=text("command.remix.description")
    )
    @described("remix")
    @app_commands.choices(size=SIZE_CHOICES)
    @app_commands.autocomplete(style=style_names)
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def remix(
        self,
        interaction: discord.Interaction[TurboBot],
        image: discord.Attachment,
        prompt: app_commands.Range[str, 1, MAX_PROMPT],
        strength: app_commands.Range[float, 0.01, 1.0] | None = None,
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
        """Redraw `image` as the prompt says."""
        wish = Wish(
            prompt=prompt,
            negative_prompt=negative_prompt or "",
            count=count,
            size=size,
            num_inference_steps=steps,
            guidance_scale=guidance,
            seed=seed,
            strength=strength,
            sources=(source_of(image),),
            style=style,
            model=model,
            private=private,
        )
        reply = InteractionReply(interaction, ephemeral=private)
        await self.bot.studio.draw(reply, wish, asker_of(interaction), kind="remix")


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Remix(bot))
