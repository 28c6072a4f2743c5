"""What is fuzzed: each target takes any bytes and fails where a promise is broken."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bot.blocklist import blocked_word
from bot.config import load_settings
from bot.errors import BadParameter, BadPicture, StartupError, TurbocordError
from bot.flags import parse_prompt
from bot.imaging.intake import Limits, fit, open_picture
from bot.imaging.metadata import read_metadata
from bot.policy import Defaults, resolve
from bot.ratelimit import Quota, RateLimiter
from bot.recall import wish_of_metadata
from bot.replies import error_text, info_text
from bot.request import Asker, Wish
from bot.store import GuildSettings
from bot.studio import Studio
from bot.styles import load_styles
from cogs.common.controls import TEMPLATE, Action, Press
from cogs.common.settings_text import blocklist_of, number, quota_of, summary
from tests.fuzz import seeds

LIMITS = Limits(max_pixels=300_000, max_side=4096, max_scan_pixels=3_000_000)
SLOWEST_SECONDS = 5.0
"""No input may take longer, whatever it is and however loaded the machine."""

ASKER = Asker(user_id=7, guild_id=70, channel_id=700)
STYLES = load_styles()
QUOTA = Quota(120, 60)
NO_STORE: Any = None
NO_ENGINE: Any = SimpleNamespace(limiter=RateLimiter(guild=QUOTA, member=QUOTA), check=None)
STUDIO = Studio(service=NO_ENGINE, journal=NO_STORE, defaults=Defaults(), styles=STYLES)
"""Tells what holds in a guild, and draws nothing."""

MESSAGE_CHARACTERS = 4000
PING = re.compile(r"@(everyone|here)|<@[!&]?\d|<#\d|<t:\d")


def intake(data: bytes) -> None:
    """A picture comes out as plain RGB within the limits, or a BadPicture."""
    began = time.perf_counter()
    try:
        picture = open_picture(data, limits=LIMITS)
        fitted = fit(picture, 64, 64)
    except BadPicture as error:
        _sentence(error)
    else:
        assert picture.mode == fitted.mode == "RGB"
        assert picture.width * picture.height <= LIMITS.max_pixels
        assert not picture.info
    assert time.perf_counter() - began < SLOWEST_SECONDS


def metadata(data: bytes) -> None:
    """What a picture tells is nothing, or sane, quoted where it is shown, and checked as a wish."""
    found = read_metadata(data)
    if found is None:
        return
    shown = info_text(found, locale="en-US")
    assert len(shown) <= MESSAGE_CHARACTERS
    assert_harmless(shown)
    _resolved(wish_of_metadata(found))


def flags(data: bytes) -> None:
    """A mention's text is a wish that passes the rules, or a BadParameter that names the flag."""
    text = data.decode("utf-8", errors="replace")[:MESSAGE_CHARACTERS]
    try:
        wish = parse_prompt(text)
    except BadParameter as error:
        _sentence(error)
    else:
        blocked_word(wish.prompt, ("gore", "two words", ""))
        _resolved(wish)


def custom_id(data: bytes) -> None:
    """A custom_id is ours to the letter, or not ours at all."""
    text = data.decode("utf-8", errors="replace")[:100]
    match = TEMPLATE.fullmatch(text)
    if match is None:
        return
    assert text.isascii(), "digits of another alphabet are no digits of ours"
    if match["action"] in list(Action):
        press = Press(Action(match["action"]), match["job"], int(match["picture"]))
        assert TEMPLATE.fullmatch(press.custom_id)
        assert len(press.custom_id) <= 100


def settings(data: bytes) -> None:
    """Settings are read or refused by name, wherever they come from."""
    text = data.decode("utf-8", errors="replace")
    _environment(text)
    _stored(text)
    _typed(text[:4000])


def _environment(text: str) -> None:
    lines = (line.partition("=") for line in text.splitlines()[:50])
    try:
        load_settings(
            **{name: value for name, found, value in lines if found and name.isidentifier()}
        )
    except StartupError as error:
        _sentence(error)


def _stored(text: str) -> None:
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(stored, dict):
        chosen = GuildSettings.from_json(stored)
        assert GuildSettings.from_json(chosen.to_json()) == chosen
        assert_harmless(summary(chosen, STUDIO, locale="en-US"), mentions=True)


def _typed(text: str) -> None:
    """What a manager typed into a form is stored, or refused as a BadParameter."""
    for read in (
        lambda: GuildSettings(default_strength=number("strength", text, 0.01, 1.0)),
        lambda: GuildSettings(guild_quota=quota_of("guild", text, QUOTA)),
        lambda: GuildSettings(blocklist=blocklist_of(text)),
    ):
        try:
            chosen = read()
        except BadParameter as error:
            _sentence(error)
        else:
            assert GuildSettings.from_json(chosen.to_json()) == chosen


def _resolved(wish: Wish) -> None:
    try:
        request = resolve(wish, ASKER, Defaults(), STYLES)
    except BadParameter as error:
        _sentence(error)
    else:
        assert 1 <= request.num_inference_steps <= 400
        assert math.isfinite(request.guidance_scale)
        assert 0.01 <= request.strength <= 1.0


def _sentence(error: TurbocordError) -> None:
    """Say an error as its member reads it: one harmless message, in every language."""
    for locale in ("en-US", "zh-CN"):
        shown = error_text(error, locale=locale, now=0.0, job_id="0123456789ab")
        assert 0 < len(shown) <= MESSAGE_CHARACTERS
        assert_harmless(shown)


def assert_harmless(shown: str, *, mentions: bool = False) -> None:
    """Check that a stranger's words ping nobody and break out of no quotation."""
    assert shown == shown.encode("utf-8", errors="replace").decode("utf-8"), "a lone surrogate"
    assert "\u202e" not in shown
    assert "\x00" not in shown
    assert mentions or not PING.search(shown), shown


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz and what its inputs look like."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


TARGETS = {
    "intake": Target(intake, seeds.pictures),
    "metadata": Target(metadata, lambda: [*seeds.described(), *seeds.pictures()[:3]]),
    "flags": Target(flags, seeds.prompts),
    "custom_id": Target(custom_id, seeds.custom_ids),
    "settings": Target(settings, seeds.settings),
}
