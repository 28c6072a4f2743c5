"""The options slash commands share: their descriptions, choices, and who is asking."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import discord
from discord import app_commands
from discord.app_commands import locale_str

from bot.ratelimit import Allowance
from bot.request import SIZES, Asker, PictureSource
from bot.words import DEFAULT_LOCALE, catalogue, say, span_text

if TYPE_CHECKING:
    from bot.client import TurboBot

C = TypeVar("C", bound=Callable[..., Any])


def text(key: str) -> locale_str:
    """Return the English words of `key`, carrying the key for the translator."""
    return locale_str(say(DEFAULT_LOCALE, key), key=key)


def described(command: str) -> Callable[[C], C]:
    """Describe every option of `command` from the catalogue table `command.<command>`."""
    prefix = f"command.{command}."
    options = {
        key.removeprefix(prefix): text(key)
        for key in catalogue(DEFAULT_LOCALE)
        if key.startswith(prefix) and key.count(".") == prefix.count(".")
    }
    options.pop("name", None)
    options.pop("description", None)
    shared = {
        key.removeprefix("option."): text(key)
        for key in catalogue(DEFAULT_LOCALE)
        if key.startswith("option.")
    }

    def decorate(function: C) -> C:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        known = {name: words for name, words in (shared | options).items() if name in names}
        return app_commands.describe(**known)(function)

    return decorate


SIZE_CHOICES = [app_commands.Choice(name=text(f"size.{name}"), value=name) for name in SIZES]


def offer_models(command: app_commands.Command[Any, ..., Any], models: Collection[str]) -> None:
    """Offer `models` as the choices of the option `model`, or take it away if there is one alone.

    What can be chosen is known only once the bot is put together. `command` is the cog's own copy.
    """
    # discord.py has no public way to change an option; without it here, the callback's default
    # holds.
    option = command._params.pop("model")
    if len(models) > 1:
        option = copy.copy(option)
        option.choices = [app_commands.Choice(name=name[:100], value=name) for name in models]
        command._params["model"] = option


def asker_of(interaction: discord.Interaction[TurboBot]) -> Asker:
    """Return who asks by `interaction`."""
    user = interaction.user
    member = user if isinstance(user, discord.Member) else None
    return Asker(
        user_id=user.id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        parent_channel_id=parent_of(interaction.channel),
        role_ids=frozenset(role.id for role in member.roles) if member else frozenset(),
        age_restricted=is_age_restricted(interaction.channel),
        manages_guild=interaction.permissions.manage_guild,
        max_bytes=interaction.filesize_limit,
        # A user install is used in any number of guilds: each would bring an allowance of its own.
        by_guild=interaction.is_guild_integration(),
    )


def is_age_restricted(channel: object) -> bool:
    """Return whether Discord shows `channel` to adults alone; a thread is as its channel is."""
    tell = getattr(channel, "is_nsfw", None)
    return bool(tell and tell())


def parent_of(channel: object) -> int | None:
    """Return the id of the channel a thread hangs on, else None."""
    return channel.parent_id if isinstance(channel, discord.Thread) else None


def source_of(attachment: discord.Attachment) -> PictureSource:
    """Return a picture to fetch; what Discord says of it is a claim that intake checks."""
    # It hangs on no message, so nobody can be asked for it again.
    return PictureSource(
        url=attachment.url,
        filename=attachment.filename,
        claimed_bytes=attachment.size,
        keep=True,
        spoiler=attachment.is_spoiler(),
    )


def permission_names(names: Iterable[str], *, locale: str) -> str:
    """Return permissions as Discord's own settings call them."""
    return ", ".join(say(locale, f"permission.{name}") for name in names)


def left_text(locale: str, key: str, allowance: Allowance) -> str:
    """Return what is left of a limit."""
    return say(
        locale,
        key,
        left=allowance.left,
        limit=allowance.limit,
        span=span_text(allowance.per_seconds, locale=locale),
    )


async def style_names(
    interaction: discord.Interaction[TurboBot], current: str
) -> list[app_commands.Choice[str]]:
    """Return the styles whose name contains what has been typed so far; 25 is Discord's most."""
    wanted = current.strip().casefold()
    names = [name for name in interaction.client.studio.styles if wanted in name]
    return [app_commands.Choice(name=name, value=name) for name in names[:25]]
