"""Words and message parts: errors become sentences, results become Components V2 messages."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from bot.errors import Refused, Snippet, TurbocordError
from bot.imaging.metadata import Metadata
from bot.imaging.metadata_fields import clean
from bot.request import ImageRequest, ImageResult, Picture
from bot.words import has, say, steps_text

SHOWN_PROMPT = 300
MESSAGE_TEXT = 3900
"""Characters of text in a message; Discord takes 4000, and line breaks count."""

ALT_TEXT = 1024
CODE_DETAILS = {"name", "near", "job_id"}
"""Details that the sentences put between backticks."""

REPLY_COLOUR = discord.Colour(0x7C5CFF)

_MARKDOWN = re.compile(r"([\\*_~|`>#\-\[\]()<:+=.])")


def quote(text: str, limit: int = SHOWN_PROMPT) -> str:
    """Return member text as it was typed, but inert: no formatting, link, timestamp or mention.

    Newlines become spaces, so that headings and quotes cannot start, and so do control characters
    and those that turn the direction of writing; every character Discord's markdown reads is
    escaped; a zero-width space after `@` keeps `@everyone` plain text.
    """
    flat = " ".join(clean(text, len(text)).split())
    if len(flat) > limit:
        flat = flat[: limit - 1].rstrip() + "…"
    return _MARKDOWN.sub(r"\\\1", flat).replace("@", "@\u200b")


def inline_code(text: str, limit: int = 60) -> str:
    """Return member text fit to stand between backticks, where escapes would show."""
    flat = " ".join(clean(text, len(text)).replace("`", "'").split())
    return flat[:limit].replace("@", "@\u200b") or "–"


def when(seconds: float, now: float) -> str:
    """Return Discord's relative timestamp for `seconds` after `now` (Unix time)."""
    return f"<t:{math.ceil(now + seconds)}:R>"


def error_text(error: BaseException, *, locale: str, now: float, job_id: str = "") -> str:
    """Return the sentence a member reads for `error`.

    Anything that is not one of ours, or has no sentence, becomes the general apology with the
    job's id, by which the operator finds it in the log.
    """
    if isinstance(error, TurbocordError) and has(f"error.{error.code}"):
        details = dict(error.details)
        retry_after = getattr(error, "retry_after", None)
        if retry_after is not None:
            details["when"] = Snippet(when(retry_after, now))
        for name, value in details.items():
            if isinstance(value, str) and not isinstance(value, Snippet):
                details[name] = inline_code(value) if name in CODE_DETAILS else quote(value)
        details.setdefault("job_id", job_id)
        return say(locale, f"error.{error.code}", **details)
    return say(locale, "error.internal", job_id=job_id)


def is_refusal(error: BaseException) -> bool:
    """Return whether the member can do something about `error`, so that nobody else need see it."""
    return isinstance(error, Refused)


def parameters_line(
    request: ImageRequest, *, locale: str, seconds: float | None, author_id: int | None
) -> str:
    """Return the small line under a result: what reproduces it, how long it took, for whom."""
    parts: list[str] = []
    if request.size is not None:
        parts.append(f"{request.size.width}×{request.size.height}")
    parts.append(steps_text(request.num_inference_steps, locale=locale))
    if request.sources:
        parts.append(say(locale, "result.strength", strength=f"{request.strength:g}"))
    if request.guidance_scale:
        parts.append(say(locale, "result.guidance", guidance=f"{request.guidance_scale:g}"))
    if request.style is not None:
        parts.append(say(locale, "result.style", style=quote(request.style.name)))
    if request.model is not None and request.model.key:
        parts.append(quote(request.model.name, 60))
    parts.append(say(locale, "result.seed", seed=request.seed))
    if seconds is not None:
        parts.append(say(locale, "result.seconds", seconds=f"{seconds:.1f}"))
    if author_id is not None:
        parts.append(f"<@{author_id}>")
    return "-# " + " · ".join(parts)


def alt_text(request: ImageRequest, *, locale: str) -> str:
    """Return what a screen reader says for a picture."""
    return " ".join(request.prompt.split())[:ALT_TEXT] or say(locale, "result.picture")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that can be sent more than once.

    A discord.File is read up and a view is bound by sending, so every try needs new ones.
    """

    view: Callable[[], discord.ui.LayoutView]
    files: Callable[[], list[discord.File]]


def files_of(
    pictures: Sequence[Picture], request: ImageRequest, *, locale: str
) -> list[discord.File]:
    """Return fresh upload objects for the pictures, marked as spoilers where they are."""
    return [
        discord.File(
            io.BytesIO(picture.data),
            filename=picture.filename,
            spoiler=picture.spoiler,
            description=alt_text(request, locale=locale),
        )
        for picture in pictures
    ]


def result_parts(
    result: ImageResult, *, locale: str, note: str | None = None
) -> tuple[discord.ui.MediaGallery[Any], discord.ui.TextDisplay[Any]]:
    """Return what a finished request shows: its gallery, and the text under it."""
    request = result.request
    gallery: discord.ui.MediaGallery[Any] = discord.ui.MediaGallery(
        *(
            discord.MediaGalleryItem(
                f"attachment://{'SPOILER_' if picture.spoiler else ''}{picture.filename}",
                description=alt_text(request, locale=locale),
                spoiler=picture.spoiler,
            )
            for picture in result.pictures
        )
    )
    lines = [f"**{quote(request.prompt)}**"] if request.prompt.strip() else []
    if request.negative_prompt:
        lines.append(
            "-# " + say(locale, "result.without", negative=quote(request.negative_prompt, 150))
        )
    lines.append(
        parameters_line(
            request,
            locale=locale,
            seconds=result.timings.total_ms / 1000,
            author_id=None if request.private else request.user_id,
        )
    )
    if result.held_back:
        lines.append("-# " + say(locale, "result.held_back", count=result.held_back))
    if note:
        lines.append(f"-# {note}")
    return gallery, discord.ui.TextDisplay("\n".join(lines))


def result_view(
    result: ImageResult,
    *,
    locale: str,
    rows: Sequence[discord.ui.ActionRow[Any]] = (),
    note: str | None = None,
) -> discord.ui.LayoutView:
    """Return the message of a finished request: gallery, prompt, parameters, rows of controls."""
    view = discord.ui.LayoutView(timeout=None)
    container: discord.ui.Container[Any] = discord.ui.Container(
        *result_parts(result, locale=locale, note=note),
        accent_colour=REPLY_COLOUR,
    )
    for row in rows:
        container.add_item(row)
    view.add_item(container)
    return view


def result_message(
    result: ImageResult,
    *,
    locale: str,
    rows: Callable[[], Sequence[discord.ui.ActionRow[Any]]] = tuple,
    note: str | None = None,
) -> Outgoing:
    """Return a finished request as a message that can be sent more than once."""
    return Outgoing(
        view=lambda: result_view(result, locale=locale, rows=rows(), note=note),
        files=lambda: files_of(result.pictures, result.request, locale=locale),
    )


def text_message(text: str) -> Outgoing:
    """Return one sentence as a message that can be sent more than once."""
    return Outgoing(view=lambda: text_view(text), files=list)


def text_view(text: str) -> discord.ui.LayoutView:
    """Return a message of one sentence.

    Sentences travel as Components V2 too: a deferred reply may become a picture later, and the
    flag cannot be mixed with plain content.
    """
    view = discord.ui.LayoutView(timeout=None)
    view.add_item(discord.ui.TextDisplay(text))
    return view


def waiting_view(text: str, row: discord.ui.ActionRow[Any]) -> discord.ui.LayoutView:
    """Return the message of a request that waits, with a way to leave the queue."""
    view = text_view(text)
    view.add_item(row)
    return view


def info_text(metadata: Metadata, *, locale: str, limit: int = MESSAGE_TEXT) -> str:
    """Return what a picture's own metadata tells, quoted, for it can be anyone's text.

    It has at most `limit` characters, escapes included, where that is enough for all but prompts.
    """
    shown = SHOWN_PROMPT
    while len(text := _info_text(metadata, shown, locale=locale)) > limit and shown > 10:
        shown -= 10
    return text


def _info_text(metadata: Metadata, shown: int, *, locale: str) -> str:
    """Return it with at most `shown` characters of each prompt."""
    lines = [f"**{quote(metadata.prompt, shown)}**"] if metadata.prompt else []
    if metadata.negative_prompt:
        negative = quote(metadata.negative_prompt, shown)
        lines.append(say(locale, "result.without", negative=negative))
    facts = [
        f"{metadata.width}×{metadata.height}",
        steps_text(metadata.num_inference_steps, locale=locale),
        say(locale, "result.guidance", guidance=f"{metadata.guidance_scale:g}"),
        say(locale, "result.seed", seed=metadata.seed),
    ]
    if metadata.strength is not None:
        facts.append(say(locale, "result.strength", strength=f"{metadata.strength:g}"))
    if metadata.style:
        facts.append(say(locale, "result.style", style=quote(metadata.style, 60)))
    if metadata.model:
        facts.append(quote(metadata.model, 60))
    if metadata.lora and metadata.lora_weight is not None:
        facts.append(f"LoRA {quote(metadata.lora, 60)} ({quote(f'{metadata.lora_weight:g}')})")
    lines.append(" · ".join(facts))
    return "\n".join(lines)
