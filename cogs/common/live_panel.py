"""The live panel: an ephemeral message that redraws itself at every press."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import discord

from bot.journal import Posted
from bot.replies import error_text, files_of, result_parts
from bot.request import (
    SIZES,
    ImageResult,
    PictureSource,
    Wish,
)
from bot.words import say
from cogs.common.delivery import ALREADY_ACKNOWLEDGED, with_retries
from cogs.common.interaction_reply import line_of
from cogs.common.live_controls import Choice, drawing_buttons, going_on_buttons
from cogs.common.options import asker_of
from cogs.common.panels import Panel
from cogs.common.posted import posted_of

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.engine.ticket import Ticket

log = logging.getLogger(__name__)

PANEL_SECONDS: Final = 14 * 60
DEFER_AFTER: Final = 2.0
STRENGTHS: Final = (0.3, 0.45, 0.6, 0.7, 0.85, 1.0)


@dataclass(frozen=True, slots=True)
class LiveState:
    """What the panel's controls are set to."""

    prompt: str
    seed: int
    strength: float = 0.7
    steps: int = 2
    size: str = "square"
    style: str = ""
    source: PictureSource | None = None

    def wish(self) -> Wish:
        """Return the wish the controls make."""
        return Wish(
            prompt=self.prompt,
            seed=self.seed,
            strength=self.strength,
            num_inference_steps=self.steps,
            size=self.size,
            style=self.style,
            sources=(self.source,) if self.source else (),
            private=True,
        )


class LiveReply:
    """The `Reply` of one press: the picture replaces the panel's in one REST call."""

    def __init__(
        self, panel: LivePanel, interaction: discord.Interaction[Any], *, defer_at: float
    ) -> None:
        """`defer_at` is the event loop's time at which the press must be acknowledged."""
        self.panel = panel
        self.interaction = interaction
        self.defer_at = defer_at
        self.line = line_of(interaction)
        self._deferring: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def open(self, *, soon: bool) -> None:
        """Acknowledge late presses without changing anything; the picture then edits."""
        self._deferring = asyncio.create_task(self._defer())

    def hasten(self) -> None:
        """Leave it at that: the press is acknowledged in good time."""

    async def acknowledged(self) -> None:
        """Wait for nothing: a panel redraws one press at a time."""

    async def _defer(self) -> None:
        await asyncio.sleep(self.defer_at - asyncio.get_running_loop().time())
        async with self._lock:
            if not self.interaction.response.is_done():
                await self.interaction.response.defer()

    def queued(self, ticket: Ticket, job_id: str) -> None:
        """Say nothing: the old picture stays until the new one comes."""

    async def deliver(self, result: ImageResult) -> Posted:
        """Put the picture into the panel."""
        self.panel.show(result)
        message = await self._update(result)
        self.panel.shown(result)
        return posted_of(message, result)

    async def refuse(self, error: BaseException, job_id: str) -> None:
        """Put the sentence into the panel, under the picture that stays."""
        text = error_text(error, locale=self.panel.locale, now=time.time(), job_id=job_id)
        self.panel.tell(text)
        await self._update(None)

    def close(self) -> None:
        """Leave it at the acknowledgement: an unanswered press must have one all the same."""

    async def _update(self, result: ImageResult | None) -> discord.Message:
        """Edit the panel; without a result its attachments stay as they are."""

        async def send() -> discord.Message:
            files: dict[str, Any] = {}
            answer: discord.InteractionCallbackResponse[Any] | None = None
            if result is not None:
                files["attachments"] = files_of(
                    result.pictures, result.request, locale=self.panel.locale
                )
            async with self._lock:
                if not self.interaction.response.is_done():
                    try:
                        answer = await self.interaction.response.edit_message(
                            view=self.panel, **files
                        )
                    except discord.HTTPException as error:
                        # Cut off after Discord had taken it: the edit below mends the rest.
                        if error.code != ALREADY_ACKNOWLEDGED:
                            raise
                        answer = None
                if answer is None:
                    return await self.interaction.edit_original_response(view=self.panel, **files)
            assert isinstance(answer.resource, discord.InteractionMessage)
            return answer.resource

        if self._deferring is not None:
            self._deferring.cancel()
        return await with_retries("live panel", send)


class LivePanel(Panel):
    """Picture, selects and buttons; every press redraws, presses in a hurry coalesce to the last.

    `result` is the picture that its member sees, `shared` the one that was shared last.
    One press renders at a time. A press that waited and is no longer the newest acknowledges
    itself without drawing, so ten presses in a second cost two pictures.
    """

    def __init__(
        self,
        bot: TurboBot,
        state: LiveState,
        *,
        locale: str,
        styles: Sequence[str],
        max_steps: int,
    ) -> None:
        super().__init__(timeout=PANEL_SECONDS)
        self.bot = bot
        self.state = state
        self.locale = locale
        self.styles = styles
        self.max_steps = max_steps
        self.result: ImageResult | None = None
        self.shared: ImageResult | None = None
        self.note: str | None = None
        self._newest = 0
        self._turn = asyncio.Lock()

    async def pressed(self, interaction: discord.Interaction[Any], state: LiveState) -> None:
        """Take the new state and redraw, unless a later press has come meanwhile."""
        self.state = state
        self._newest += 1
        mine = self._newest
        # Waiting for its turn and drawing share the time until a press must be acknowledged.
        defer_at = asyncio.get_running_loop().time() + DEFER_AFTER
        try:
            async with asyncio.timeout_at(defer_at):
                await self._turn.acquire()
        except TimeoutError:
            await interaction.response.defer()
            await self._turn.acquire()
        try:
            if mine != self._newest:
                if not interaction.response.is_done():
                    await interaction.response.defer()
                return
            reply = LiveReply(self, interaction, defer_at=defer_at)
            asker = asker_of(interaction)
            await self.bot.studio.draw(reply, self.state.wish(), asker, kind="live")
        finally:
            self._turn.release()

    def show(self, result: ImageResult) -> None:
        """Lay the panel out around a new picture, which is on its way."""
        self.note = None
        self.lay_out(result)

    def shown(self, result: ImageResult) -> None:
        """Note that a picture has arrived: from now on it is gone on from and shared."""
        self.result = result

    def tell(self, text: str) -> None:
        """Lay the panel out with a sentence under the old picture."""
        self.note = text
        self.lay_out(self.result)

    def lay_out(self, result: ImageResult | None) -> None:
        """Rebuild the panel from a result, note and state."""
        self.clear_items()
        container: discord.ui.Container[Any] = discord.ui.Container()
        if result is not None:
            for part in result_parts(result, locale=self.locale):
                container.add_item(part)
        if self.note:
            container.add_item(discord.ui.TextDisplay(self.note))
        for select in self._selects():
            container.add_item(discord.ui.ActionRow(select))
        container.add_item(discord.ui.ActionRow(*drawing_buttons(self)))
        container.add_item(discord.ui.ActionRow(*going_on_buttons(self, result)))
        self.add_item(container)

    def _selects(self) -> list[discord.ui.Select[Any]]:
        state = self.state
        strengths = sorted({*STRENGTHS, round(state.strength, 2)})
        steps = range(1, max(self.max_steps, state.steps) + 1)
        selects = [
            Choice(
                self,
                "strength",
                [(f"{one:g}", one) for one in strengths],
                round(state.strength, 2),
                disabled=state.source is None,
            ),
            Choice(self, "steps", [(str(one), one) for one in steps], state.steps),
            Choice(
                self, "size", [(say(self.locale, f"size.{one}"), one) for one in SIZES], state.size
            ),
        ]
        if self.styles:
            none = (say(self.locale, "live.no_style"), "")
            selects.append(
                Choice(self, "style", [none, *((one, one) for one in self.styles)], state.style)
            )
        return list(selects)
