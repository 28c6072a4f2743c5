"""/settings: what a guild chooses for itself, in a panel only its managers see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import NotAllowed, Snippet
from bot.store import GuildSettings, NsfwPolicy
from bot.words import say
from cogs.common.options import described, permission_names, text
from cogs.common.panels import Panel
from cogs.common.settings_forms import DefaultsForm, LimitsForm, RolesForm, SettingsForm, WordsForm
from cogs.common.settings_merge import merged_ids
from cogs.common.settings_text import MOST_CHOSEN, summary
from cogs.common.sure import SurePanel

if TYPE_CHECKING:
    from bot.client import TurboBot

PANEL_SECONDS: Final = 14 * 60
NEEDED_TO_NOTE: Final = ("view_channel", "send_messages")

DRAWING_CHANNELS: Final = [
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.voice,
    discord.ChannelType.stage_voice,
    discord.ChannelType.forum,
    discord.ChannelType.media,
]
"""Channels where people write; a forum or a media channel stands for its threads."""

Change = Callable[[GuildSettings], GuildSettings]
"""Makes new settings of those that are stored."""


class SettingsPanel(Panel):
    """Selects that act at once, and buttons that open forms for what has to be typed."""

    def __init__(self, bot: TurboBot, guild_id: int, chosen: GuildSettings, *, locale: str) -> None:
        super().__init__(timeout=PANEL_SECONDS)
        self.bot = bot
        self.guild_id = guild_id
        self.chosen = chosen
        self.locale = locale
        self.lay_out()

    def lay_out(self) -> None:
        """Rebuild the panel around the settings as they are."""
        self.clear_items()
        chosen, has_check = self.chosen, self.bot.studio.service.check is not None
        container: discord.ui.Container[Any] = discord.ui.Container(
            discord.ui.TextDisplay(summary(chosen, self.bot.studio, locale=self.locale)),
            discord.ui.ActionRow(Channels(self, chosen.allowed_channel_ids)),
            discord.ui.ActionRow(Roles(self, chosen.allowed_role_ids)),
            *self._bans(),
            discord.ui.ActionRow(AuditChannel(self, chosen.audit_channel_id)),
            discord.ui.ActionRow(Policy(self, chosen.nsfw_policy, disabled=not has_check)),
            *self._models(),
            discord.ui.ActionRow(
                FormButton(self, "defaults", DefaultsForm),
                FormButton(self, "limits", LimitsForm),
                FormButton(self, "role_limits", RolesForm),
                FormButton(self, "words", WordsForm),
            ),
            discord.ui.ActionRow(Reset(self)),
        )
        self.add_item(container)

    def _bans(self) -> list[discord.ui.ActionRow[Any]]:
        """Return the row that bans members and, where some are banned, the one that lets them."""
        bans = [discord.ui.ActionRow(Ban(self))]
        return [*bans, discord.ui.ActionRow(Unban(self))] if self.chosen.banned_user_ids else bans

    def _models(self) -> list[discord.ui.ActionRow[Any]]:
        """Return the row that chooses the model, where there is a choice."""
        if len(self.bot.studio.models) < 2:
            return []
        return [discord.ui.ActionRow(Model(self, self.chosen.default_model))]

    async def change(self, interaction: discord.Interaction[Any], change: Change) -> None:
        """Store the settings as `change` makes them, which count at once, and show them.

        What is changed is what is stored now: another manager may have a panel open too. Raises
        NotAllowed for who may not manage the guild any more, and what `change` raises.
        """
        check_manager(interaction)
        chosen = change(await self.bot.store.get_settings(self.guild_id))
        await self.bot.store.save_settings(self.guild_id, chosen)
        self.chosen = chosen
        self.lay_out()
        await interaction.response.edit_message(view=self)


def check_manager(interaction: discord.Interaction[Any]) -> None:
    """Raise NotAllowed unless the one who acts may manage the guild.

    A server's own command permissions can offer the command to others.
    """
    if not interaction.permissions.manage_guild:
        raise NotAllowed("manage_guild_needed")


class Channels(discord.ui.ChannelSelect[Any]):
    """The channels in which drawing is allowed; none chosen allows all."""

    def __init__(self, panel: SettingsPanel, chosen: frozenset[int]) -> None:
        self.shown = sorted(chosen)[:MOST_CHOSEN]
        super().__init__(
            custom_id=panel.id_of("channels"),
            placeholder=say(panel.locale, "settings.channels"),
            channel_types=DRAWING_CHANNELS,
            min_values=0,
            max_values=MOST_CHOSEN,
            default_values=[discord.Object(one) for one in self.shown],
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store what was added to those shown, and what was taken away."""
        ids = [one.id for one in self.values]

        def change(now: GuildSettings) -> GuildSettings:
            return replace(
                now, allowed_channel_ids=merged_ids(now.allowed_channel_ids, self.shown, ids)
            )

        await self.panel.change(interaction, change)


class Roles(discord.ui.RoleSelect[Any]):
    """The roles that may draw; none chosen allows everyone."""

    def __init__(self, panel: SettingsPanel, chosen: frozenset[int]) -> None:
        self.shown = sorted(chosen)[:MOST_CHOSEN]
        super().__init__(
            custom_id=panel.id_of("roles"),
            placeholder=say(panel.locale, "settings.roles"),
            min_values=0,
            max_values=MOST_CHOSEN,
            default_values=[discord.Object(one) for one in self.shown],
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store what was added to those shown, and what was taken away."""
        ids = [one.id for one in self.values]

        def change(now: GuildSettings) -> GuildSettings:
            return replace(now, allowed_role_ids=merged_ids(now.allowed_role_ids, self.shown, ids))

        await self.panel.change(interaction, change)


class Ban(discord.ui.UserSelect[Any]):
    """Members who may not draw from now on; always empty, because there may be any number."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(
            custom_id=panel.id_of("ban"),
            placeholder=say(panel.locale, "settings.ban"),
            max_values=MOST_CHOSEN,
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Ban those who were chosen too."""
        ids = [one.id for one in self.values]

        def change(now: GuildSettings) -> GuildSettings:
            return replace(now, banned_user_ids=merged_ids(now.banned_user_ids, (), ids))

        await self.panel.change(interaction, change)


class Unban(discord.ui.UserSelect[Any]):
    """Banned members who may draw again."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(
            custom_id=panel.id_of("unban"),
            placeholder=say(panel.locale, "settings.unban"),
            max_values=MOST_CHOSEN,
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Let those who were chosen draw."""
        ids = [one.id for one in self.values]

        def change(now: GuildSettings) -> GuildSettings:
            return replace(now, banned_user_ids=merged_ids(now.banned_user_ids, ids, ()))

        await self.panel.change(interaction, change)


class AuditChannel(discord.ui.ChannelSelect[Any]):
    """The channel that gets a line for every picture; none chosen turns it off."""

    def __init__(self, panel: SettingsPanel, chosen: int | None) -> None:
        super().__init__(
            custom_id=panel.id_of("audit"),
            placeholder=say(panel.locale, "settings.audit"),
            channel_types=[discord.ChannelType.text],
            min_values=0,
            max_values=1,
            default_values=[discord.Object(chosen)] if chosen else [],
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store the choice."""
        chosen = self.values[0].id if self.values else None
        missing = missing_in(self.values[0].resolve()) if self.values else []
        if missing:
            names = permission_names(missing, locale=self.panel.locale)
            raise NotAllowed("audit_channel_closed", channel=Snippet(f"<#{chosen}>"), names=names)
        await self.panel.change(interaction, lambda now: replace(now, audit_channel_id=chosen))


def missing_in(channel: object) -> list[str]:
    """Return the permissions the bot lacks to write into `channel`; none where it cannot tell."""
    if not isinstance(channel, discord.TextChannel):
        return []
    has = channel.permissions_for(channel.guild.me)
    return [name for name in NEEDED_TO_NOTE if not getattr(has, name)]


class Policy(discord.ui.Select[Any]):
    """What happens to pictures that the picture check finds unfit for everyone.

    Without a check there are none, and nothing to choose.
    """

    def __init__(self, panel: SettingsPanel, chosen: NsfwPolicy, *, disabled: bool) -> None:
        super().__init__(
            custom_id=panel.id_of("policy"),
            options=[
                discord.SelectOption(
                    label=say(panel.locale, f"settings.nsfw_{policy}"),
                    value=policy,
                    default=policy is chosen,
                )
                for policy in NsfwPolicy
            ],
            disabled=disabled,
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store the choice."""
        policy = NsfwPolicy(self.values[0])
        await self.panel.change(interaction, lambda now: replace(now, nsfw_policy=policy))


class Model(discord.ui.Select[Any]):
    """The model that draws where a member names none; the first choice leaves it to the operator.

    Values are numbers, because a name may be longer than Discord lets a value be.
    """

    def __init__(self, panel: SettingsPanel, chosen: str | None) -> None:
        self.names = list(panel.bot.studio.models)
        labels = [say(panel.locale, "settings.model_operators", model=self.names[0])]
        labels += [say(panel.locale, "settings.model_chosen", model=name) for name in self.names]
        now = self.names.index(chosen) + 1 if chosen in self.names else 0
        super().__init__(
            custom_id=panel.id_of("model"),
            options=[
                discord.SelectOption(label=label[:100], value=str(number), default=number == now)
                for number, label in enumerate(labels[:MOST_CHOSEN])
            ],
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store the choice."""
        number = int(self.values[0])
        chosen = self.names[number - 1] if number else None
        await self.panel.change(interaction, lambda now: replace(now, default_model=chosen))


class FormButton(discord.ui.Button[Any]):
    """Opens one of the forms."""

    def __init__(
        self,
        panel: SettingsPanel,
        name: str,
        form: Callable[[SettingsPanel], SettingsForm],
    ) -> None:
        super().__init__(label=say(panel.locale, f"settings.{name}"), custom_id=panel.id_of(name))
        self.panel = panel
        self.form = form

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Show the form."""
        await interaction.response.send_modal(self.form(self.panel))


class Reset(discord.ui.Button[Any]):
    """Goes back to the operator's settings, after asking: nothing brings the guild's back."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(
            label=say(panel.locale, "settings.reset"),
            style=discord.ButtonStyle.danger,
            custom_id=panel.id_of("reset"),
        )
        self.panel = panel

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Put the question in place of the panel."""
        check_manager(interaction)
        sure = SurePanel(self.panel, "settings", self.reset, locale=self.panel.locale)
        await interaction.response.edit_message(view=sure)

    async def reset(self, interaction: discord.Interaction[Any]) -> None:
        """Forget every choice of the guild."""
        await self.panel.change(interaction, lambda _: GuildSettings())


class Settings(commands.Cog):
    """The guild's own rules."""

    def __init__(self, bot: TurboBot) -> None:
        self.bot = bot

    @app_commands.command(
        name=text("command.settings.name"), description=text("command.settings.description")
    )
    @described("settings")
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.guild_only()
    @app_commands.allowed_installs(guilds=True, users=False)
    async def settings(self, interaction: discord.Interaction[TurboBot]) -> None:
        """Show the panel."""
        check_manager(interaction)
        assert interaction.guild_id is not None
        chosen = await self.bot.store.get_settings(interaction.guild_id)
        panel = SettingsPanel(
            self.bot, interaction.guild_id, chosen, locale=str(interaction.locale)
        )
        await interaction.response.send_message(view=panel, ephemeral=True)


async def setup(bot: TurboBot) -> None:
    """Add the cog; called by discord.py's extension loader."""
    await bot.add_cog(Settings(bot))
