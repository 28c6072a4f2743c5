"""The buttons and the select under a result, and the custom_ids that make them last for ever.

A custom_id is `tc:<action>:<job id>:<picture>`: 100 characters are allowed, 25 are used. Nothing
else is needed to act on a press: the job is in the store, and where the store has lost it, the
picture's own metadata tells what was drawn.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

import discord

from bot.replies import quote
from bot.words import say

if TYPE_CHECKING:
    from bot.client import TurboBot

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


OnPress = Callable[["discord.Interaction[TurboBot]", Press | None], Awaitable[None]]
"""Takes None for an action that this release does not know."""


class Control(
    discord.ui.DynamicItem[discord.ui.Button[Any] | discord.ui.Select[Any]], template=TEMPLATE
):
    """Any control under a result; rebuilt from its custom_id at every press.

    The results cog puts its handler into `on_press` when it is loaded. discord.py only logs what
    `from_custom_id` raises, so parsing raises nothing and the handler answers for every error.
    """

    on_press: ClassVar[OnPress]

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

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the press to the results cog, which answers unknown actions too."""
        await type(self).on_press(interaction, self.press)


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


def chooser(job_id: str, seeds: list[int], chosen: int, *, locale: str) -> Control:
    """Return the select that says which of several pictures the buttons mean."""
    press = Press(Action.CHOOSE, job_id, chosen)
    select: discord.ui.Select[Any] = discord.ui.Select(
        custom_id=press.custom_id,
        placeholder=say(locale, "button.choose"),
        options=[
            discord.SelectOption(
                label=say(locale, "button.picture", number=index + 1),
                description=quote(say(locale, "result.seed", seed=seed)),
                value=str(index),
                default=index == chosen,
            )
            for index, seed in enumerate(seeds)
        ],
    )
    return Control(select, press)


def control_rows(
    job_id: str, seeds: list[int], *, locale: str, chosen: int = 0
) -> list[discord.ui.ActionRow[Any]]:
    """Return the rows under a result with these seeds, acting on picture `chosen`."""
    rows: list[discord.ui.ActionRow[Any]] = []
    if len(seeds) > 1:
        rows.append(discord.ui.ActionRow(chooser(job_id, seeds, chosen, locale=locale)))
    rows.append(
        discord.ui.ActionRow(
            *(button(action, job_id, chosen, locale=locale) for action in UNDER_RESULTS)
        )
    )
    return rows


def cancel_button(job_id: str, *, locale: str) -> discord.ui.ActionRow[Any]:
    """Return the row with the button that leaves the queue."""
    return discord.ui.ActionRow(button(Action.CANCEL, job_id, 0, locale=locale))


def retry_button(job_id: str, *, locale: str) -> discord.ui.ActionRow[Any]:
    """Return the row with the button that asks for the same picture again."""
    return discord.ui.ActionRow(button(Action.RETRY, job_id, 0, locale=locale))
