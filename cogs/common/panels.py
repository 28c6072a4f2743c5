"""What panels and forms have in common: a press is acted on once, and errors end in a sentence."""

from __future__ import annotations

import secrets
from typing import Any, Self

import discord

from bot.client import answer_failure


class Panel(discord.ui.LayoutView):
    """A view of ours; every view with controls is one."""

    def __init__(self, *, timeout: float) -> None:
        """`timeout` is in seconds, from the last press."""
        super().__init__(timeout=timeout)
        self._key = secrets.token_hex(8)

    def id_of(self, control: str) -> str:
        """Return a control's custom_id, which stays when the panel is redrawn.

        Whoever presses what they see while the redrawn panel is on its way must be understood.
        """
        return f"{self._key}:{control}"

    def clear_items(self) -> Self:
        """Take all items out; those on screen are understood until others stand in their place.

        discord.py would drop a press on them while the redrawn panel is on its way.
        """
        shown = self.children
        super().clear_items()
        for item in shown:
            item._update_view(self)
        return self

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Act on a press only if no other process, and no earlier copy of it, has."""
        took: bool = await interaction.client.takes(interaction.id)
        return took

    async def on_error(
        self, interaction: discord.Interaction[Any], error: Exception, item: discord.ui.Item[Any]
    ) -> None:
        """Answer where discord.py would only log."""
        await answer_failure(interaction, error)


class Form(discord.ui.Modal):
    """A modal of ours; every modal is one."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Act on a form only if no other process, and no earlier copy of it, has."""
        took: bool = await interaction.client.takes(interaction.id)
        return took

    async def on_error(  # type: ignore[override]  # a Modal's has no item
        self, interaction: discord.Interaction[Any], error: Exception, /
    ) -> None:
        """Answer where discord.py would only log."""
        await answer_failure(interaction, error)
