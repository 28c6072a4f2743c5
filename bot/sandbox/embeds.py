"""Checks of embeds against Discord's limits."""

from __future__ import annotations

from typing import Any, Final

from bot.sandbox.form import Form, Path
from bot.sandbox.models import Json

LIMITS: Final = {"title": 256, "description": 4096}


def check_embeds(form: Form, embeds: Any, path: Path = ("embeds",)) -> None:
    """Note every fault of a list of embeds; at most 10, and 6000 characters in all."""
    if not form.count(path, embeds, 0, 10):
        return
    total = 0
    for index, embed in enumerate(embeds):
        here = (*path, index)
        if not form.mapping(here, embed):
            continue
        for key, limit in LIMITS.items():
            if embed.get(key) is not None and form.length((*here, key), embed[key], 0, limit):
                total += len(embed[key])
        total += _text_within(form, here, embed)
        for key in ("image", "thumbnail"):
            media = embed.get(key)
            if media is None or not form.mapping((*here, key), media):
                continue
            url = media.get("url")
            if url and not str(url).startswith(("http://", "https://", "attachment://")):
                form.add((*here, key, "url"), "URL_TYPE_INVALID_SCHEME", "Not a well formed URL.")
    if total > 6000:
        form.add(path, "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _text_within(form: Form, here: Path, embed: Json) -> int:
    """Check author, footer and fields; return their characters."""
    total = 0
    for holder, key, limit in (("author", "name", 256), ("footer", "text", 2048)):
        value = embed.get(holder)
        if (
            value is not None
            and form.mapping((*here, holder), value)
            and form.length((*here, holder, key), value.get(key), 1, limit)
        ):
            total += len(value[key])
    fields = embed.get("fields") or []
    if form.count((*here, "fields"), fields, 0, 25):
        for number, one in enumerate(fields):
            where = (*here, "fields", number)
            if not form.mapping(where, one):
                continue
            for key, limit in (("name", 256), ("value", 1024)):
                if form.length((*where, key), one.get(key), 1, limit):
                    total += len(one[key])
    return total
