"""The forms behind the settings panel's buttons."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import discord

from bot.errors import BadParameter
from bot.ratelimit import Quota
from bot.request import SIZES
from bot.store import GuildSettings
from bot.store.guild_settings import MAX_ROLE_QUOTAS
from bot.words import STRENGTH_LENGTH, say, strength_text
from cogs.common.panels import Form
from cogs.common.settings_merge import merged_words, with_changes
from cogs.common.settings_text import blocklist_of, number, quota_of

if TYPE_CHECKING:
    from cogs.settings import SettingsPanel

FORM_SECONDS: Final = 15 * 60

MAX_TYPED: Final = 4000
"""Discord's own limit for a text field."""

ROOM: Final = 500
"""Characters of a full field left to type in."""

TextField = discord.ui.TextInput[Any]


class SettingsForm(Form):
    """A form that turns typed text into the next settings."""

    def __init__(self, panel: SettingsPanel, name: str) -> None:
        super().__init__(title=say(panel.locale, f"settings.{name}")[:45], timeout=FORM_SECONDS)
        self.panel = panel
        self.shown = panel.chosen

    def field(
        self, name: str, value: object, *, note: str | None = None, **options: Any
    ) -> discord.ui.TextInput[Any]:
        """Add an optional text field, with a note under its label, and return it."""
        typed: discord.ui.TextInput[Any] = discord.ui.TextInput(
            default=None if value is None else str(value), required=False, **options
        )
        label = say(self.panel.locale, f"settings.field_{name}")[:45]
        self.add_item(discord.ui.Label(text=label, description=note, component=typed))
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
        await self.panel.change(interaction, self.changed)


class DefaultsForm(SettingsForm):
    """What members get who say nothing."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "defaults")
        # An empty field leaves it to the operator, whose own shows through.
        now = panel.chosen
        operator = panel.bot.studio.ceilings_under(now)
        self.steps = self.field(
            "steps", now.default_steps, max_length=2, placeholder=str(operator.num_inference_steps)
        )
        strength = now.default_strength
        self.strength = self.field(
            "strength",
            None if strength is None else strength_text(strength),
            max_length=STRENGTH_LENGTH,
            placeholder=strength_text(operator.strength),
        )
        self.count = self.field(
            "count", now.default_count, max_length=1, placeholder=str(operator.count)
        )
        sizes = [(say(panel.locale, f"size.{name}"), name) for name in SIZES]
        self.size = self.choice("size", sizes, now.default_size)
        styles = [(name, name) for name in panel.bot.studio.styles]
        self.style = self.choice("style", styles, now.default_style)

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the typed defaults."""
        ceiling = self.panel.bot.studio.ceilings_under(chosen)
        steps = number("steps", self.steps.value, 1, ceiling.max_steps)
        count = number("count", self.count.value, 1, ceiling.max_count)
        return with_changes(
            chosen,
            self.shown,
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
        now, studio = panel.chosen, panel.bot.studio
        operator, limiter = studio.ceilings_under(now), studio.service.limiter

        def quota(name: str, chosen: tuple[int, int] | None, ceiling: Quota) -> TextField:
            shown = f"{chosen[0]}/{chosen[1]}" if chosen else None
            placeholder = f"{ceiling.count}/{ceiling.per_seconds}"
            return self.field(name, shown, max_length=15, placeholder=placeholder)

        self.max_steps = self.field(
            "max_steps", now.max_steps, max_length=2, placeholder=str(operator.max_steps)
        )
        self.max_count = self.field(
            "max_count", now.max_count, max_length=1, placeholder=str(operator.max_count)
        )
        self.guild_quota = quota("guild_quota", now.guild_quota, limiter.guild)
        self.member_quota = quota("member_quota", now.member_quota, limiter.member)

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the typed limits."""
        studio = self.panel.bot.studio
        ceiling, limiter = studio.ceilings_under(chosen), studio.service.limiter
        steps = number("max_steps", self.max_steps.value, 1, ceiling.max_steps)
        count = number("max_count", self.max_count.value, 1, ceiling.max_count)
        return with_changes(
            chosen,
            self.shown,
            max_steps=int(steps) if steps else None,
            max_count=int(count) if count else None,
            guild_quota=quota_of("guild", self.guild_quota.value, limiter.guild),
            member_quota=quota_of("member", self.member_quota.value, limiter.member),
        )


class RolesForm(SettingsForm):
    """Limits of their own for members with certain roles; an empty field takes them back."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "role_limits")
        self.roles: discord.ui.RoleSelect[Any] = discord.ui.RoleSelect(
            min_values=1, max_values=MAX_ROLE_QUOTAS
        )
        label = say(panel.locale, "settings.field_roles")[:45]
        self.add_item(discord.ui.Label(text=label, component=self.roles))
        ceiling = panel.bot.studio.service.limiter.member
        self.quota = self.field(
            "role_quota",
            None,
            max_length=15,
            placeholder=f"{ceiling.count}/{ceiling.per_seconds}",
        )

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with the roles' limits. Raises BadParameter."""
        ceiling = self.panel.bot.studio.service.limiter.member
        quota = quota_of("member", self.quota.value, ceiling)
        ids = {role.id for role in self.roles.values}
        guild = self.panel.bot.get_guild(self.panel.guild_id)
        kept = [
            one
            for one in chosen.role_quotas
            # A role that was deleted cannot be chosen any more, to take its limit back.
            if one[0] not in ids and (guild is None or guild.get_role(one[0]) is not None)
        ]
        added = [(role, *quota) for role in ids] if quota else []
        if len(kept) + len(added) > MAX_ROLE_QUOTAS:
            count = len(kept) + len(added)
            raise BadParameter("too_many_roles", count=count, limit=MAX_ROLE_QUOTAS)
        return replace(chosen, role_quotas=tuple(sorted(kept + added)))


class WordsForm(SettingsForm):
    """The words that are not drawn here, one a line."""

    def __init__(self, panel: SettingsPanel) -> None:
        super().__init__(panel, "words")
        words = panel.chosen.blocklist
        self.shown_words = first_words(words)
        more = len(words) - len(self.shown_words)
        self.words = self.field(
            "words",
            "\n".join(self.shown_words) or None,
            note=say(panel.locale, "settings.more_words", count=more) if more else None,
            style=discord.TextStyle.paragraph,
            max_length=MAX_TYPED,
        )

    def changed(self, chosen: GuildSettings) -> GuildSettings:
        """Return the settings with what was changed of the blocklist. Raises BadParameter."""
        typed = blocklist_of(self.words.value)
        return replace(chosen, blocklist=merged_words(chosen.blocklist, self.shown_words, typed))


def first_words(blocklist: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many words as fit into the form with room to type more."""
    ends = accumulate(len(word) + 1 for word in blocklist)
    return tuple(word for word, end in zip(blocklist, ends, strict=True) if end <= MAX_TYPED - ROOM)
