"""The rungs of the delivery ladder: by the interaction's token, in the channel, by direct message.

No rung may leave a second copy. An edit can be repeated; a message in a channel carries a nonce,
by which Discord returns the first copy instead of making another; a follow-up has neither, so
before one is repeated, what may have arrived is looked for, as far as it can be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Final

import aiohttp
import discord

from bot.replies import Outgoing
from cogs.common.delivery import Rung, may_have_worked
from cogs.common.pictures import pictures_in

ORIGINAL: Final = "@original"

LOOK_BACK: Final = 30
"""How many of a channel's latest messages are looked through for an answer."""


class NotThere(discord.ClientException):
    """The message that was looked for has not arrived."""


async def send_once(
    place: discord.abc.Messageable, message: Outgoing, nonce: str, **options: Any
) -> discord.Message:
    """Send a message of which Discord keeps one copy however often this is called.

    `nonce` has at most 25 characters; Discord remembers it for a few minutes (`enforce_nonce`).
    """
    return await place.send(view=message.view(), files=message.files(), nonce=nonce, **options)


def channel_rungs(
    place: discord.PartialMessageable,
    message: Outgoing,
    nonce: str,
    *,
    waiting_id: int | None,
) -> list[Rung[discord.Message]]:
    """Return the ways by the bot's own token, for answers that everyone may see.

    The "thinking" message can be edited that way too, after the interaction's token has ended.
    """
    rungs: list[Rung[discord.Message]] = []
    if waiting_id is not None:
        waiting = place.get_partial_message(waiting_id)
        rungs.append(
            (
                "waiting message",
                lambda: waiting.edit(view=message.view(), attachments=message.files()),
            )
        )
    rungs.append(("channel message", lambda: send_once(place, message, nonce)))
    return rungs


class TokenWays:
    """The ways to answer an interaction by its token, once it is acknowledged."""

    def __init__(
        self,
        webhook: discord.Webhook,
        message: Outgoing,
        *,
        edit: Callable[[], Awaitable[discord.Message]],
        hidden: bool,
        place: discord.PartialMessageable | None = None,
    ) -> None:
        """`place` is where a follow-up that everyone may see can be looked for."""
        self.webhook = webhook
        self._edit = edit
        self.message = message
        self.hidden = hidden
        self._place = None if hidden else place
        self._may_be_there = False
        self._may_be_posted = False

    def rungs(self) -> list[Rung[discord.Message]]:
        """Return them, best first."""
        return [("original response", self.edit), ("follow-up", self.follow_up)]

    async def edit(self) -> discord.Message:
        """Put the answer into the original response."""
        try:
            return await self._edit()
        except asyncio.CancelledError:
            # The time for the call is up; what was sent may have arrived all the same.
            self._may_be_there = True
            raise
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            self._may_be_there = self._may_be_there or may_have_worked(error)
            raise

    async def follow_up(self) -> discord.Message:
        """Send a message of its own, unless the answer turns out to be there already."""
        if self._may_be_there:
            try:
                return await self._look()
            except (NotThere, discord.NotFound):
                self._may_be_there = False
        if self._may_be_posted and self._place is not None:
            try:
                return await self._look_in(self._place)
            except (NotThere, discord.Forbidden, discord.NotFound):
                self._may_be_posted = False
        try:
            return await self.webhook.send(
                view=self.message.view(),
                files=self.message.files(),
                ephemeral=self.hidden,
                wait=True,
            )
        except asyncio.CancelledError:
            self._may_be_posted = True
            raise
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            self._may_be_posted = self._may_be_posted or may_have_worked(error)
            raise

    async def _look(self) -> discord.Message:
        """Return the original response if it carries the answer. Raises NotThere."""
        found = await self.webhook.fetch_message(
            ORIGINAL,  # type: ignore[arg-type]  # Discord takes the word for an id here
        )
        if carries(found, self.message):
            return found
        raise NotThere("the original response does not carry the answer")

    async def _look_in(self, place: discord.PartialMessageable) -> discord.Message:
        """Return the follow-up if the channel's latest messages have it. Raises NotThere."""
        async for found in place.history(limit=LOOK_BACK):
            if found.author.bot and carries(found, self.message):
                return found
        raise NotThere("no message in the channel carries the answer")


def carries(found: discord.Message, message: Outgoing) -> bool:
    """Return whether a message on Discord is the one that was to be sent."""
    names = {one.filename for one in message.files()}
    if names:
        return names <= {one.filename for one in pictures_in(found)}
    wanted = {
        part.content
        for part in message.view().walk_children()
        if isinstance(part, discord.ui.TextDisplay)
    }
    parts = chain.from_iterable(_walk(component) for component in found.components)
    return bool(wanted) and wanted <= {
        part.content for part in parts if isinstance(part, discord.TextDisplay)
    }


def _walk(component: Any) -> list[Any]:
    """Return a component and all it holds."""
    inner = [_walk(child) for child in getattr(component, "children", ())]
    return [component, *chain.from_iterable(inner)]
