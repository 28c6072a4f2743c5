"""The live panel's selects, buttons and form; each makes a new state and presses the panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import discord

from bot.errors import NotAllowed
from bot.request import MAX_PROMPT, ImageResult, PictureSource, random_seed
from bot.words import say
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import asker_of
from cogs.common.panels import Form

if TYPE_CHECKING:
    from cogs.common.live_panel import LivePanel, LiveState

FORM_SECONDS: Final = 10 * 60


class Choice(discord.ui.Select[Any]):
    """A select over one field of the state; options are pairs of label and value."""

    def __init__(
        self,
        panel: LivePanel,
        field: str,
        options: Sequence[tuple[str, Any]],
        chosen: Any,
        *,
        disabled: bool = False,
    ) -> None:
        self.panel = panel
        self.field = field
        self.meanings = {str(index): value for index, (_, value) in enumerate(options)}
        name = say(panel.locale, f"live.{field}")
        super().__init__(
            custom_id=panel.id_of(field),
            disabled=disabled,
            placeholder=name,
            options=[
                discord.SelectOption(
                    label=f"{name}: {label}"[:100], value=str(index), default=value == chosen
                )
                for index, (label, value) in enumerate(options[:25])
            ],
        )

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Redraw with the chosen value."""
        value = self.meanings[self.values[0]]
        state: LiveState = replace(self.panel.state, **{self.field: value})
        await self.panel.pressed(interaction, state)


class Redraw(discord.ui.Button[Any]):
    """A button that changes the state and redraws."""

    def __init__(
        self,
        panel: LivePanel,
        key: str,
        emoji: str,
        change: Callable[[LiveState], LiveState],
        *,
        disabled: bool = False,
    ) -> None:
        super().__init__(
            label=say(panel.locale, key),
            emoji=emoji,
            custom_id=panel.id_of(key),
            disabled=disabled,
        )
        self.panel = panel
        self.change = change

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Redraw with the changed state."""
        await self.panel.pressed(interaction, self.change(self.panel.state))


def drawing_buttons(panel: LivePanel) -> list[discord.ui.Button[Any]]:
    """Return the buttons that redraw: new seed, less and more strength, edit prompt, swap."""
    step = 0.1
    idle = panel.state.source is None  # strength is how far to go from a source

    def nudged(state: LiveState, by: float) -> LiveState:
        return replace(state, strength=min(1.0, max(0.1, round(state.strength + by, 2))))

    return [
        Redraw(panel, "live.seed", "🎲", lambda state: replace(state, seed=random_seed())),
        Redraw(panel, "live.less", "➖", lambda state: nudged(state, -step), disabled=idle),
        Redraw(panel, "live.more", "➕", lambda state: nudged(state, step), disabled=idle),
        EditPrompt(panel),
    ]


def going_on_buttons(panel: LivePanel, result: ImageResult | None) -> list[discord.ui.Button[Any]]:
    """Return the buttons that go on from `result`: swap it in or out as source, share it."""
    if panel.state.source is None:
        swap = Redraw(
            panel, "live.swap", "🔁", lambda state: swapped(panel, state), disabled=not result
        )
    else:
        swap = Redraw(panel, "live.unswap", "↩️", lambda state: replace(state, source=None))
    return [swap, Share(panel, disabled=result is None or result is panel.shared)]


def swapped(panel: LivePanel, state: LiveState) -> LiveState:
    """Return the state with the shown picture as the source."""
    assert panel.result is not None
    picture = panel.result.pictures[0]
    source = PictureSource(data=picture.data, filename=picture.filename, keep=True)
    return replace(state, source=source)


class EditPrompt(discord.ui.Button[Any]):
    """Opens the form with the prompt."""

    def __init__(self, panel: LivePanel) -> None:
        super().__init__(
            label=say(panel.locale, "live.edit"),
            emoji="✏️",
            custom_id=panel.id_of("live.edit"),
            style=discord.ButtonStyle.primary,
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Show the form."""
        await interaction.response.send_modal(PromptForm(self.panel))


class PromptForm(Form):
    """Asks for the panel's prompt."""

    def __init__(self, panel: LivePanel) -> None:
        super().__init__(title=say(panel.locale, "live.edit"), timeout=FORM_SECONDS)
        self.panel = panel
        self.prompt: discord.ui.TextInput[Any] = discord.ui.TextInput(
            style=discord.TextStyle.paragraph,
            max_length=MAX_PROMPT,
            default=panel.state.prompt,
        )
        self.add_item(
            discord.ui.Label(text=say(panel.locale, "modal.prompt"), component=self.prompt)
        )

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Redraw with the new prompt."""
        await self.panel.pressed(interaction, replace(self.panel.state, prompt=self.prompt.value))


class Share(discord.ui.Button[Any]):
    """Posts the picture to the channel, with the buttons that last; each picture once.

    What is shared costs nothing, so one panel must not fill a channel.
    """

    def __init__(self, panel: LivePanel, *, disabled: bool) -> None:
        super().__init__(
            label=say(panel.locale, "live.share"),
            emoji="📣",
            custom_id=panel.id_of("live.share"),
            style=discord.ButtonStyle.success,
            disabled=disabled,
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Post the picture as a message of its own."""
        panel, result = self.panel, self.panel.result
        assert result is not None
        if panel.shared is result:
            raise NotAllowed("shared_already")
        panel.shared = result
        outcome = await panel.bot.studio.share(
            InteractionReply(interaction), result, asker_of(interaction), kind="share"
        )
        if outcome.result is None and panel.shared is result:
            panel.shared = None
