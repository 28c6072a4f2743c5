"""Errors and results in the visitor's words, as plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from bot.errors import TurbocordError
from bot.request import ImageResult
from bot.words import DEFAULT_LOCALE, has, languages, say, steps_text

IN_SECONDS: Final[Mapping[str, str]] = {"en": "in {seconds} s", "zh-CN": "{seconds} 秒后"}
"""Discord's relative timestamps, which the sentences are written around, in plain words."""


def locale_of(accept_language: str) -> str:
    """Return the catalogue for a browser's Accept-Language; its order counts, its weights not."""
    for part in accept_language.split(","):
        tag = part.split(";")[0].strip()
        if tag in languages():
            return tag
        primary = tag.split("-")[0]
        for language in languages():
            if language.split("-")[0] == primary:
                return language
    return DEFAULT_LOCALE


def error_sentence(error: BaseException, *, locale: str, job_id: str) -> str:
    """Return what a visitor reads for `error`; what is not ours becomes the general apology."""
    if not isinstance(error, TurbocordError) or not has(f"error.{error.code}"):
        return _plain(say(locale, "error.internal", job_id=job_id))
    details = {"job_id": job_id, **error.details}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        words = IN_SECONDS.get(locale, IN_SECONDS[DEFAULT_LOCALE])
        details["when"] = words.format(seconds=math.ceil(retry_after))
    return _plain(say(locale, f"error.{error.code}", **details))


def _plain(text: str) -> str:
    """Return a sentence without the marks that only Discord shows as something else."""
    return text.replace("`", "")


def caption(result: ImageResult, *, locale: str) -> str:
    """Return the line under a picture: how long it took and what makes it again."""
    request, timings = result.request, result.timings
    picture = result.pictures[0]
    parts = [
        f"{timings.total_ms:.0f} ms ({timings.pipeline_ms:.0f} ms model)",
        f"{picture.width}×{picture.height}",
        steps_text(request.num_inference_steps, locale=locale),
    ]
    if request.sources:
        parts.append(say(locale, "result.strength", strength=f"{request.strength:g}"))
    if request.guidance_scale:
        parts.append(say(locale, "result.guidance", guidance=f"{request.guidance_scale:g}"))
    parts.append(say(locale, "result.seed", seed=picture.seed))
    return " · ".join(parts)
