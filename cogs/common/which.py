"""Asking which of several pictures a mention means, with a select that lasts like the buttons.

Its custom_id names the mention, which says all the rest: the mention is read again at the press.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import discord

from bot.client import answer_failure
from bot.errors import SeveralPictures
from bot.replies import Outgoing, waiting_view
from bot.words import say

if TYPE_CHECKING:
    from bot.client import TurboBot

TEMPLATE: Final = re.compile(r"tc:which:(?P<mention>\d{1,20})")
MOST_OFFERED: Final = 25

OnChoice = Callable[["discord.Interaction[TurboBot]", int, int], Awaitable[None]]
"""Takes a press with the mention's id and the chosen picture's place."""


class WhichPicture(discord.ui.DynamicItem[discord.ui.Select[Any]], template=TEMPLATE):
    """The select under the question; the mentions cog puts its handler into `on_choice`."""

    on_choice: ClassVar[OnChoice]

    def __init__(self, select: discord.ui.Select[Any], mention_id: int) -> None:
        super().__init__(select)
        self.mention_id = mention_id

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],
        item: discord.ui.Item[Any],
        match: re.Match[str],
        /,
    ) -> WhichPicture:
        """Return the select for a press."""
        assert isinstance(item, discord.ui.Select)
        return cls(item, int(match["mention"]))

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Act on a choice only if no other process, and no earlier copy of it, has."""
        took: bool = await interaction.client.takes(interaction.id)
        return took

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the choice to the mentions cog; whatever goes wrong becomes a sentence."""
        assert interaction.data is not None
        values = cast("list[str]", interaction.data.get("values") or ["0"])
        chosen = int(values[0]) if values[0].isdecimal() else 0
        try:
            await type(self).on_choice(interaction, self.mention_id, chosen)
        except Exception as error:
            await answer_failure(interaction, error)


def question(error: SeveralPictures, mention_id: int, *, locale: str) -> Outgoing:
    """Return the message that asks which of the pictures is meant."""

    def view() -> discord.ui.LayoutView:
        select: discord.ui.Select[Any] = discord.ui.Select(
            custom_id=f"tc:which:{mention_id}",
            placeholder=say(locale, "modal.which"),
            options=[
                discord.SelectOption(
                    label=say(locale, "button.picture", number=index + 1),
                    description=name[:100],
                    value=str(index),
                )
                for index, name in enumerate(error.names[:MOST_OFFERED])
            ],
        )
        row: discord.ui.ActionRow[Any] = discord.ui.ActionRow(WhichPicture(select, mention_id))
        return waiting_view(say(locale, "error.several_pictures", count=len(error.names)), row)

    return Outgoing(view=view, files=list)
