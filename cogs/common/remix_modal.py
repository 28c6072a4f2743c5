"""The form that asks what a picture should become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import discord

from bot.errors import BadParameter
from bot.request import MAX_PROMPT, PictureSource, Wish
from bot.words import STRENGTH_LENGTH, say, strength_text
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import asker_of
from cogs.common.panels import Form

if TYPE_CHECKING:
    from bot.client import TurboBot

FORM_SECONDS: Final = 15 * 60
"""A form dismissed is never reported; without a timeout it would be remembered for ever."""


class RemixModal(Form):
    """Prompt, strength, style and, where a message has several pictures, which one."""

    def __init__(
        self,
        bot: TurboBot,
        sources: list[PictureSource],
        *,
        locale: str,
        strength: float,
        style: str | None,
        before: Wish | None = None,
        parent: str | None = None,
        private: bool = False,
    ) -> None:
        super().__init__(title=say(locale, "modal.remix_title"), timeout=FORM_SECONDS)
        self.bot = bot
        self.sources = sources
        self.before = before
        self.parent = parent
        self.private = private
        self.prompt: discord.ui.TextInput[Any] = discord.ui.TextInput(
            style=discord.TextStyle.paragraph,
            max_length=MAX_PROMPT,
            default=before.prompt if before else None,
            placeholder=say(locale, "modal.prompt_hint"),
        )
        if before is not None:
            style = before.style
            if before.sources and before.strength is not None:
                strength = before.strength
        self.strength: discord.ui.TextInput[Any] = discord.ui.TextInput(
            default=strength_text(strength), max_length=STRENGTH_LENGTH
        )
        self.add_item(discord.ui.Label(text=say(locale, "modal.prompt"), component=self.prompt))
        self.add_item(
            discord.ui.Label(
                text=say(locale, "modal.strength"),
                description=say(locale, "command.remix.strength"),
                component=self.strength,
            )
        )
        self.style: discord.ui.Select[Any] = discord.ui.Select(
            required=False,
            min_values=0,
            options=[
                discord.SelectOption(label=name, value=name, default=name == style)
                for name in list(bot.studio.styles)[:25]
            ],
        )
        self.add_item(
            discord.ui.Label(text=say(locale, "settings.field_style"), component=self.style)
        )
        self.which: discord.ui.Select[Any] | None = None
        if len(sources) > 1:
            self.which = discord.ui.Select(
                options=[
                    discord.SelectOption(
                        label=say(locale, "button.picture", number=index + 1),
                        description=source.filename[:100],
                        value=str(index),
                        default=index == 0,
                    )
                    for index, source in enumerate(sources[:25])
                ]
            )
            self.add_item(discord.ui.Label(text=say(locale, "modal.which"), component=self.which))

    def wish(self) -> Wish:
        """Return what the form says. Raises BadParameter for a strength that is no number."""
        typed = self.strength.value.strip().replace(",", ".")
        try:
            strength = float(typed)
        except ValueError:
            raise BadParameter(name="strength", value=typed, allowed="0.01 – 1") from None
        chosen = int(self.which.values[0]) if self.which and self.which.values else 0
        before = self.before or Wish(prompt="")
        return Wish(
            prompt=self.prompt.value,
            negative_prompt=before.negative_prompt,
            num_inference_steps=before.num_inference_steps,
            guidance_scale=before.guidance_scale,
            model=before.model,
            style=self.style.values[0] if self.style.values else "",
            strength=strength,
            sources=(self.sources[chosen],),
            private=self.private,
            recalled=before.recalled,
        )

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Draw what the form says as a new message."""

        async def wish() -> Wish:
            return self.wish()

        await self.bot.studio.draw(
            InteractionReply(interaction, ephemeral=self.private),
            wish,
            asker_of(interaction),
            kind="remix",
            parent=self.parent,
        )
