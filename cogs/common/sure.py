"""The question before what cannot be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import discord

from bot.words import say
from cogs.common.panels import Panel

SURE_SECONDS: Final = 10 * 60

Act = Callable[[discord.Interaction[Any]], Awaitable[None]]


class SurePanel(Panel):
    """A question in place of a page, with a way forward and a way back.

    Its words are `sure`, `sure_yes` and `sure_no` of a table of the message catalogues.
    """

    def __init__(self, page: Panel, table: str, act: Act, *, locale: str) -> None:
        super().__init__(timeout=SURE_SECONDS)
        self.add_item(discord.ui.TextDisplay(say(locale, f"{table}.sure")))
        self.add_item(
            discord.ui.ActionRow(
                GoAhead(act, say(locale, f"{table}.sure_yes")),
                GoBack(page, say(locale, f"{table}.sure_no")),
            )
        )


class GoAhead(discord.ui.Button[Any]):
    """Does what was asked about."""

    def __init__(self, act: Act, label: str) -> None:
        super().__init__(label=label, emoji="🗑️", style=discord.ButtonStyle.danger)
        self.act = act

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Do it."""
        await self.act(interaction)


class GoBack(discord.ui.Button[Any]):
    """Leaves everything as it is."""

    def __init__(self, page: Panel, label: str) -> None:
        super().__init__(label=label)
        self.page = page

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Show the page as it was."""
        await interaction.response.edit_message(view=self.page)
