"""/me: a member's limits, history, kept pictures, and the button that forgets them."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.imaging.encode import shrink_file
from bot.replies import quote, text_view
from bot.store import JobState
from bot.studio import PASSING
from bot.words import say
from cogs.common.options import asker_of, described, left_text, text
from cogs.common.panels import Panel
from cogs.common.posted import link_to
from cogs.common.sure import SurePanel

if TYPE_CHECKING:
    from bot.client import TurboBot
    from bot.store import Job

HISTORY: Final = 8
KEPT_AT_ONCE: Final = 5
PANEL_SECONDS: Final = 10 * 60


class MePanel(Panel):
    """A member's own page."""

    def __init__(self, bot: TurboBot, words: str, *, kept: int, locale: str) -> None:
        super().__init__(timeout=PANEL_SECONDS)
        self.bot = bot
        self.locale = locale
        self.add_item(discord.ui.TextDisplay(words))
        row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
        if kept:
            row.add_item(FetchKept(self))
        row.add_item(Forget(self))
        self.add_item(row)


class FetchKept(discord.ui.Button[Any]):
    """Hands over pictures that could not be delivered when they were drawn."""

    def __init__(self, panel: MePanel) -> None:
        super().__init__(
            label=say(panel.locale, "me.fetch"),
            emoji="📥",
            style=discord.ButtonStyle.primary,
            custom_id=panel.id_of("fetch"),
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Send the kept pictures to their member and let go of them."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        store, user_id = self.panel.bot.store, interaction.user.id
        words = say(self.panel.locale, "me.here")
        # One at a time: one that cannot be sent must not hold the others back.
        for one in (await store.kept_pictures(user_id))[:KEPT_AT_ONCE]:
            data = await store.read_picture(one.picture_id, user_id=user_id)
            if data is None:
                continue
            # It was made for where it was asked, which may allow more than where it is fetched.
            data, filename = await shrink_file(data, one.filename, interaction.filesize_limit)
            file = discord.File(io.BytesIO(data), filename=filename)
            await interaction.followup.send(words, file=file, ephemeral=True)
            await store.drop_picture(one.picture_id, user_id=user_id)
            words = ""
        if words:
            await interaction.followup.send(
                say(self.panel.locale, "me.nothing_kept"), ephemeral=True
            )


class Forget(discord.ui.Button[Any]):
    """Deletes everything the store has of a member, after asking: nothing brings it back."""

    def __init__(self, panel: MePanel) -> None:
        super().__init__(
            label=say(panel.locale, "me.forget"),
            emoji="🗑️",
            style=discord.ButtonStyle.danger,
            custom_id=panel.id_of("forget"),
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Put the question in place of the page."""
        panel = self.panel
        sure = SurePanel(panel, "me", self.forget, locale=panel.locale)
        await interaction.response.edit_message(view=sure)

    async def forget(self, interaction: discord.Interaction[Any]) -> None:
        """Delete the member's jobs and what is kept of them; what hangs on Discord stays theirs."""
        deleted = await self.panel.bot.store.delete_jobs_of_user(interaction.user.id)
        words = say(self.panel.locale, "me.forgotten", count=deleted)
        await interaction.response.edit_message(view=text_view(words))


class Member(commands.Cog):
    """What the bot knows of a member, for that member alone."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @app_commands.command(name=text("command.me.name"), description=text("command.me.description"))
    @described("me")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def me(self, interaction: discord.Interaction[TurboBot]) -> None:
        """Show limits and history."""
        locale, user_id = str(interaction.locale), interaction.user.id
        remaining = await self.bot.studio.remaining_for(asker_of(interaction))
        jobs = await self.bot.store.jobs_of_user(user_id, limit=HISTORY, without=PASSING)
        kept = [
            one
            for one in await self.bot.store.kept_pictures(user_id)
            if one.expires_at > time.time()
        ]
        lines = [
            "## " + say(locale, "me.title"),
            left_text(locale, "status.member_left", remaining.member),
            *(history_line(self.bot, job, locale=locale) for job in jobs),
        ]
        if kept:
            lines.append(say(locale, "me.kept", count=len(kept)))
        panel = MePanel(self.bot, "\n".join(lines), kept=len(kept), locale=locale)
        await interaction.response.send_message(view=panel, ephemeral=True)


def history_line(bot: TurboBot, job: Job, *, locale: str) -> str:
    """Return one line of a member's history, with a link where the picture hangs for all to see."""
    prompt = quote(str(job.parameters.get("prompt", "")), 80) or "–"
    line = f"- <t:{int(job.created_at)}:R> **{prompt}**"
    if job.state is not JobState.DONE:
        return f"{line} · {say(locale, f'me.state_{job.state}')}"
    if job.message_id and job.channel_id and not job.parameters.get("private"):
        url = link_to(bot, job.guild_id, job.channel_id, job.message_id)
        line += f" · [{say(locale, 'me.see')}]({url})" if url else ""
    return line


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Member(bot))
