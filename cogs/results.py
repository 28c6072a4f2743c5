"""What the controls under a result do: reroll, vary, remix, upscale, delete, choose."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import discord
from discord.ext import commands

from bot.client import answer_failure
from bot.errors import BadPicture, NotAllowed, TurbocordError
from bot.recall import wish_of_job, wish_of_metadata
from bot.request import PictureSource, Wish
from cogs.common.controls import Action, Control, Press, point_at
from cogs.common.interaction_reply import InteractionReply
from cogs.common.options import asker_of
from cogs.common.pictures import pictures_in, pictures_under, refreshed
from cogs.common.remix_modal import RemixModal

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.store import Job

log = logging.getLogger(__name__)

VARY_STRENGTH = 0.45
UPSCALE_STRENGTH = 0.25
UPSCALE = 2

FORM_WAIT = 1.5
"""Seconds a picture may take to tell how it was made; a form must be opened within three."""


class Results(commands.Cog):
    """Everything that goes on from a finished picture."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    async def cog_load(self) -> None:
        """Take over presses on controls of every message ever sent."""
        self.bot.add_dynamic_items(Control)

    async def cog_unload(self) -> None:
        """Let go of the presses."""
        self.bot.remove_dynamic_items(Control)

    async def pressed(
        self, interaction: discord.Interaction[TurboBot], press: Press | None
    ) -> None:
        """Answer one press; whatever goes wrong becomes a sentence."""
        try:
            if press is None:
                raise NotAllowed("request_forgotten")
            await self._act(interaction, press)
        except Exception as error:
            await answer_failure(interaction, error)

    async def _act(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        match press.action:
            case Action.CHOOSE:
                await self._choose(interaction, press)
            case Action.DELETE:
                await self._delete(interaction, press)
            case Action.REMIX:
                await self._ask(interaction, press)
            case Action.REROLL | Action.VARY | Action.UPSCALE:
                await self._draw_again(interaction, press)
            case Action.CANCEL:
                await self._cancel(interaction, press)
            case Action.RETRY:
                await self._retry(interaction, press)

    # Finding what the press is about

    async def _job(self, interaction: discord.Interaction[TurboBot], press: Press) -> Job | None:
        """Return the stored job behind a press, or None when the store has lost it.

        A custom_id can be forged by any app user; a job counts only under its own message, which
        may have gone to its member by direct message, and a private one only for its own member.
        Where no message is known, as under an error, it counts in its guild and for its member.
        """
        try:
            job = await self.bot.store.get_job(press.job_id)
        except TurbocordError as error:
            log.warning("store away during a press: %s", error)
            return None
        if job is None or interaction.message is None:
            return None
        own = job.user_id == interaction.user.id
        if job.message_id is not None:
            is_there = job.message_id == interaction.message.id
        else:
            by_mail = own and interaction.guild_id is None
            is_there = job.guild_id == interaction.guild_id or by_mail
        return job if is_there and (own or not job.parameters.get("private")) else None

    def _picture(self, interaction: discord.Interaction[TurboBot], press: Press) -> PictureSource:
        """Return the chosen picture of the pressed message, freshly signed by Discord."""
        pictures = pictures_under(interaction)
        if not pictures:
            raise BadPicture("picture_gone")
        return pictures[min(press.picture, len(pictures) - 1)]

    async def _remembered(
        self, interaction: discord.Interaction[TurboBot], press: Press, source: PictureSource
    ) -> Wish:
        """Return what was drawn: from the store, else from the picture's own metadata.

        That tells whether there was a picture it was drawn from, but not which; the result then
        stands in for it.
        """
        job = await self._job(interaction, press)
        if job is not None:
            return wish_of_job(job, models=self.bot.studio.models)
        told = await self._told_by(source)
        if told is None:
            raise BadPicture("picture_forgotten")
        return told

    async def _told_by(self, source: PictureSource) -> Wish | None:
        """Return what was drawn as far as the picture tells. Raises BadPicture if it is gone."""
        metadata = await self.bot.studio.read_metadata(source)
        if metadata is None:
            return None
        wish = wish_of_metadata(metadata, models=self.bot.studio.models)
        return wish if metadata.strength is None else replace(wish, sources=(source,))

    async def _known(
        self, interaction: discord.Interaction[TurboBot], press: Press, source: PictureSource
    ) -> Wish | None:
        """Return what was drawn, or None where nothing tells in time for a form to be opened."""
        job = await self._job(interaction, press)
        if job is not None:
            return wish_of_job(job, models=self.bot.studio.models)
        try:
            async with asyncio.timeout(FORM_WAIT):
                return await self._told_by(source)
        except (TurbocordError, TimeoutError) as error:
            log.info("what a form is to be filled in with cannot be read: %r", error)
            return None

    # Acting

    async def _ask(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        """Open the remix form on the chosen picture, filled in with what is known of it."""
        assert interaction.message is not None
        defaults = await self.bot.studio.defaults_for(interaction.guild_id)
        source = self._picture(interaction, press)
        before = await self._known(interaction, press, source)
        await interaction.response.send_modal(
            RemixModal(
                self.bot,
                [source],
                locale=str(interaction.locale),
                strength=defaults.strength,
                style=defaults.style,
                before=before,
                parent=press.job_id,
                private=interaction.message.flags.ephemeral,
            )
        )

    async def _draw_again(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        source = self._picture(interaction, press)
        ephemeral = bool(interaction.message and interaction.message.flags.ephemeral)
        reply = InteractionReply(interaction, ephemeral=ephemeral)

        async def wish() -> Wish:
            before = await self._remembered(interaction, press, source)
            return replace(await self._again(before, press.action, source), private=ephemeral)

        await self.bot.studio.draw(
            reply, wish, asker_of(interaction), kind=str(press.action), parent=press.job_id
        )

    async def _again(self, before: Wish, action: Action, source: PictureSource) -> Wish:
        """Return the wish that a press makes of the one before."""
        if action is Action.REROLL:
            sources = tuple([await refreshed(self.bot, one) for one in before.sources])
            return replace(before, seed=None, sources=sources)
        if action is Action.VARY:
            return replace(
                before, seed=None, count=1, size=None, strength=VARY_STRENGTH, sources=(source,)
            )
        if before.scale >= UPSCALE:
            raise NotAllowed("upscaled_already")
        return replace(
            before, count=1, size=None, scale=UPSCALE, strength=UPSCALE_STRENGTH, sources=(source,)
        )

    async def _retry(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        """Draw what the engine failed on or had no time for, as it was asked for, same seed."""
        job = await self._job(interaction, press)
        if job is None:
            raise NotAllowed("request_forgotten")
        before = wish_of_job(job, models=self.bot.studio.models)

        async def wish() -> Wish:
            sources = [await refreshed(self.bot, one) for one in before.sources]
            return replace(before, sources=tuple(sources))

        await self.bot.studio.draw(
            InteractionReply(interaction, ephemeral=before.private),
            wish,
            asker_of(interaction),
            kind=str(press.action),
            parent=press.job_id,
        )

    async def _choose(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        """Point the message's controls at the chosen picture: one REST call.

        They are kept as they are otherwise: their words are in the language of who drew it, and
        the store may have lost what they tell.
        """
        assert interaction.message is not None
        assert interaction.data is not None
        values = cast("list[str]", interaction.data.get("values") or ["0"])
        chosen = int(values[0]) if values[0].isdecimal() else 0
        view = discord.ui.LayoutView.from_message(interaction.message, timeout=None)
        point_at(view, max(0, min(chosen, len(pictures_in(interaction.message)) - 1)))
        await interaction.response.edit_message(view=view)

    async def _delete(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        """Delete the message for its author or a moderator."""
        assert interaction.message is not None
        job = await self._job(interaction, press)
        author = job.user_id if job else await author_of(interaction.message)
        if interaction.user.id != author and not interaction.permissions.manage_messages:
            raise NotAllowed("only_author_deletes")
        await interaction.response.defer()
        await interaction.delete_original_response()

    async def _cancel(self, interaction: discord.Interaction[TurboBot], press: Press) -> None:
        """Take a waiting request out of the queue for the member who made it."""
        if not self.bot.studio.abandon(press.job_id, user_id=interaction.user.id):
            raise NotAllowed("nothing_to_cancel")
        await interaction.response.defer()
        await interaction.delete_original_response()


async def author_of(message: discord.Message) -> int | None:
    """Return who asked for a result, by what it answers: an interaction, or a mention."""
    if message.interaction_metadata is not None:
        return message.interaction_metadata.user.id
    if message.reference is None or message.reference.message_id is None:
        return None
    try:
        mention = await message.channel.fetch_message(message.reference.message_id)
    except discord.HTTPException as error:
        log.info("the message a result answers is not readable: HTTP %d", error.status)
        return None
    return mention.author.id


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Results(bot))
