"""Which pictures a message has, and by which address each is fetched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import discord

from cogs.common.pictures import pictures_in

PROXY = "https://images-ext-1.discordapp.net/external/abc/https/inside.example/a.png"
INSIDE = "http://10.0.0.1/a.png"


def message(*embeds: dict[str, Any], snapshots: tuple[Any, ...] = ()) -> Any:
    """Return what is read of a message that has nothing but embeds and forwards."""
    return SimpleNamespace(
        id=1,
        channel=SimpleNamespace(id=2),
        guild=None,
        flags=discord.MessageFlags(),
        attachments=[],
        components=[],
        embeds=[discord.Embed.from_dict(one) for one in embeds],  # type: ignore[arg-type]
        message_snapshots=list(snapshots),
    )


def test_an_embed_s_picture_is_taken_by_discord_s_proxy() -> None:
    """The address itself is its author's choice: it could lead into the host's own network."""
    both = {"image": {"url": INSIDE, "proxy_url": PROXY}}
    small = {"thumbnail": {"url": INSIDE, "proxy_url": PROXY}}
    forwarded = SimpleNamespace(attachments=[], components=[], embeds=message(both).embeds)
    for seen in (message(both), message(small), message(snapshots=(forwarded,))):
        (found,) = pictures_in(seen)
        assert found.url == PROXY


def test_an_embed_that_no_proxy_has_is_no_picture() -> None:
    assert pictures_in(message({"image": {"url": INSIDE}}, {"title": "words"})) == []


def test_of_an_embed_with_two_the_larger_counts() -> None:
    embed = {
        "image": {"url": INSIDE, "proxy_url": PROXY},
        "thumbnail": {"url": INSIDE, "proxy_url": f"{PROXY}?small"},
    }
    (found,) = pictures_in(message(embed))
    assert found.url == PROXY
