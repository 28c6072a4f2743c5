"""The buttons and the select under a result, and the custom_ids that make them last for ever.

A custom_id is `tc:<action>:<job id>:<picture>`: 100 characters are allowed, 25 are used. Nothing
else is needed to act on a press: the job is in the store, and where the store has lost it, the
picture's own metadata tells what was drawn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import discord

from bot.replies import quote
from bot.words import say

TEMPLATE: Final = re.compile(r"tc:(?P<action>[a-z]+):(?P<job>[0-9a-f]{12}):(?P<picture>[0-9]{1,2})")


class Action(StrEnum):
    """What a press under a result asks for."""

    REROLL = "reroll"
    VARY = "vary"
    REMIX = "remix"
    UPSCALE = "upscale"
    DELETE = "delete"
    CHOOSE = "choose"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Press:
    """One press, as its custom_id tells it; forged ids parse too, so nothing here is trusted."""

    action: Action
    job_id: str
    picture: int

    @property
    def custom_id(self) -> str:
        """The custom_id that parses back to this press."""
        return f"tc:{self.action}:{self.job_id}:{self.picture}"


class Control(
    discord.ui.DynamicItem[discord.ui.Button[Any] | discord.ui.Select[Any]], template=TEMPLATE
):
    """Any control under a result; rebuilt from its custom_id at every press.

    The results cog of the bot that hears the press handles it. discord.py only logs what
    `from_custom_id` raises, so parsing raises nothing and the handler answers for every error.
    """

    def __init__(
        self, item: discord.ui.Button[Any] | discord.ui.Select[Any], press: Press | None
    ) -> None:
        super().__init__(item)
        self.press = press

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],
        item: discord.ui.Item[Any],
        match: re.Match[str],
        /,
    ) -> Control:
        """Return the control for a press; an action we do not know parses to None."""
        assert isinstance(item, discord.ui.Button | discord.ui.Select)
        try:
            press = Press(Action(match["action"]), match["job"], int(match["picture"]))
        except ValueError:
            press = None
        return cls(item, press)

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Act on a press only if no other process, and no earlier copy of it, has.

        Only the process that draws a request can take it out of the queue: the others let it go
        first.
        """
        press, bot = self.press, interaction.client
        eager = (
            press is None
            or press.action is not Action.CANCEL
            or bot.studio.is_working_on(press.job_id)
        )
        took: bool = await bot.takes(interaction.id, eager=eager)
        return took

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the press to the results cog, which answers unknown actions too."""
        await interaction.client.get_cog("Results").pressed(interaction, self.press)


_STYLES: Final = {
    Action.REROLL: ("🎲", discord.ButtonStyle.secondary),
    Action.VARY: ("✨", discord.ButtonStyle.secondary),
    Action.REMIX: ("🖌️", discord.ButtonStyle.primary),
    Action.UPSCALE: ("🔍", discord.ButtonStyle.secondary),
    Action.DELETE: ("🗑️", discord.ButtonStyle.danger),
    Action.CANCEL: ("✖️", discord.ButtonStyle.secondary),
    Action.RETRY: ("🔁", discord.ButtonStyle.primary),
}

UNDER_RESULTS: Final = (
    Action.REROLL,
    Action.VARY,
    Action.REMIX,
    Action.UPSCALE,
    Action.DELETE,
)


def button(action: Action, job_id: str, picture: int, *, locale: str) -> Control:
    """Return one of the buttons under a result."""
    emoji, style = _STYLES[action]
    press = Press(action, job_id, picture)
    return Control(
        discord.ui.Button(
            label=say(locale, f"button.{action}"),
            emoji=emoji,
            style=style,
            custom_id=press.custom_id,
        ),
        press,
    )


def chooser(job_id: str, seeds: list[int], *, locale: str) -> Control:
    """Return the select that says which of several pictures the buttons mean."""
    press = Press(Action.CHOOSE, job_id, 0)
    select: discord.ui.Select[Any] = discord.ui.Select(
        custom_id=press.custom_id,
        placeholder=say(locale, "button.choose"),
        options=[
            discord.SelectOption(
                label=say(locale, "button.picture", number=index + 1),
                description=quote(say(locale, "result.seed", seed=seed)),
                value=str(index),
                default=index == 0,
            )
            for index, seed in enumerate(seeds)
        ],
    )
    return Control(select, press)


def control_rows(job_id: str, seeds: list[int], *, locale: str) -> list[discord.ui.ActionRow[Any]]:
    """Return the rows under a result with these seeds, acting on the first picture."""
    rows: list[discord.ui.ActionRow[Any]] = []
    if len(seeds) > 1:
        rows.append(discord.ui.ActionRow(chooser(job_id, seeds, locale=locale)))
    rows.append(
        discord.ui.ActionRow(
            *(button(action, job_id, 0, locale=locale) for action in UNDER_RESULTS)
        )
    )
    return rows


def point_at(view: discord.ui.LayoutView, picture: int) -> None:
    """Make the controls of a message act on `picture`; all they say stays as it is."""
    for item in view.walk_children():
        if not isinstance(item, discord.ui.Button | discord.ui.Select):
            continue
        match = TEMPLATE.fullmatch(item.custom_id or "")
        if match is None:
            continue
        item.custom_id = f"tc:{match['action']}:{match['job']}:{picture}"
        if isinstance(item, discord.ui.Select):
            for option in item.options:
                option.default = option.value == str(picture)


def cancel_button(job_id: str, *, locale: str) -> discord.ui.ActionRow[Any]:
    """Return the row with the button that leaves the queue."""
    return discord.ui.ActionRow(button(Action.CANCEL, job_id, 0, locale=locale))


def retry_button(job_id: str, *, locale: str) -> discord.ui.ActionRow[Any]:
    """Return the row with the button that asks for the same picture again."""
    return discord.ui.ActionRow(button(Action.RETRY, job_id, 0, locale=locale))
