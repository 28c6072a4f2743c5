"""The forms behind the settings panel's buttons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import discord

from bot.errors import BadParameter
from bot.request import SIZES
from bot.store import GuildSettings
from bot.words import say
from cogs.common.panels import Form
from cogs.common.settings_text import number, quota_of

if TYPE_CHECKING:
    from cogs.settings import SettingsPanel

FORM_SECONDS: Final = 15 * 60


class SettingsForm(Form):
    """A form that turns typed text into the next settings."""

    def __init__(self, panel: SettingsPanel, name: str) -> None:
        super().__init__(title=say(panel.locale, f"settings.{name}")[:45], timeout=FORM_SECONDS)
        self.panel = panel

    def field(self, name: str, value: object, **options: Any) -> discord.ui.TextInput[Any]:
        """Add an optional text field and return it."""
        typed: discord.ui.TextInput[Any] = discord.ui.TextInput(
            default=None if value is None else str(value), required=False, **options
        )
        label = say(self.panel.locale, f"settings.field_{name}")[:45]
        self.add_item(discord.ui.Label(text=label, component=typed))
        return typed

    def choice(
        self, name: str, options: list[tuple[str, str]], chosen: str | None
    ) -> discord.ui.Select[Any]:
        """Add an optional select of label and value and return it."""
        select: discord.ui.Select[Any] = discord.ui.Select(
            required=False,
            min_values=0,
            options=[
                discord.SelectOption(label=label[:100], value=value, default=value == chosen)
                for label, value in options[:25]
            ],
        )
        label = say(self.panel.locale, f"settings.field_{name}")[:45]
        self.add_item(discord.ui.Label(text=label, component=select))
        return select

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings the form makes. Raises BadParameter."""
        raise NotImplementedError

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Store what was typed."""
        try:
            chosen = self.changed(self.panel.chosen)
        except ValueError as error:
            raise BadParameter(name=self.title, value=str(error), allowed="–") from None
        await self.panel.save(interaction, chosen)


class DefaultsForm(SettingsForm):
    """What members get who say nothing."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "defaults")
        now = panel.chosen
        self.steps = self.field("steps", now.default_steps, max_length=2)
        self.strength = self.field("strength", now.default_strength, max_length=4)
        self.count = self.field("count", now.default_count, max_length=1)
        sizes = [(say(panel.locale, f"size.{name}"), name) for name in SIZES]
        self.size = self.choice("size", sizes, now.default_size)
        styles = [(name, name) for name in panel.bot.studio.styles]
        self.style = self.choice("style", styles, now.default_style)

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the typed defaults."""
        ceiling = self.panel.bot.studio.defaults
        steps = number("steps", self.steps.value, 1, ceiling.max_steps)
        count = number("count", self.count.value, 1, ceiling.max_count)
        return replace(
            chosen,
            default_steps=int(steps) if steps else None,
            default_strength=number("strength", self.strength.value, 0.01, 1.0),
            default_count=int(count) if count else None,
            default_size=self.size.values[0] if self.size.values else None,
            default_style=self.style.values[0] if self.style.values else None,
        )


class LimitsForm(SettingsForm):
    """How much members may ask for, within the operator's ceilings."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "limits")
        now = panel.chosen

        def shown(quota: tuple[int, int] | None) -> str | None:
            return f"{quota[0]}/{quota[1]}" if quota else None

        self.max_steps = self.field("max_steps", now.max_steps, max_length=2)
        self.max_count = self.field("max_count", now.max_count, max_length=1)
        self.guild_quota = self.field("guild_quota", shown(now.guild_quota), placeholder="120/60")
        self.member_quota = self.field("member_quota", shown(now.member_quota), placeholder="20/60")

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the typed limits."""
        ceiling = self.panel.bot.studio.defaults
        steps = number("max_steps", self.max_steps.value, 1, ceiling.max_steps)
        count = number("max_count", self.max_count.value, 1, ceiling.max_count)
        return replace(
            chosen,
            max_steps=int(steps) if steps else None,
            max_count=int(count) if count else None,
            guild_quota=quota_of("guild", self.guild_quota.value),
            member_quota=quota_of("member", self.member_quota.value),
        )


class WordsForm(SettingsForm):
    """The words that are not drawn here, one a line."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "words")
        self.words = self.field(
            "words",
            "\n".join(panel.chosen.blocklist) or None,
            style=discord.TextStyle.paragraph,
            max_length=4000,
        )

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the typed blocklist."""
        lines = (line.strip() for line in self.words.value.splitlines())
        return replace(chosen, blocklist=tuple(dict.fromkeys(line for line in lines if line)))
