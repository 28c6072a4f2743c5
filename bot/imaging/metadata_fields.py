"""The value that says what made a picture, and the checks every reading of it passes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from bot import __version__
from bot.request import MAX_SEED

MAX_TEXT: Final = 4000
"""Characters of a prompt that are written or believed; ours end at a quarter of that."""

MAX_NAME: Final = 100
MAX_LORA_WEIGHT: Final = 10.0

_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Control characters but the newline, line separators, bidi overrides, lone surrogates.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_WHOLE: Final = {
    "seed": (0, MAX_SEED),
    "width": (1, 65_535),
    "height": (1, 65_535),
    "num_inference_steps": (1, 1000),
}
_TEXTS: Final = ("prompt", "negative_prompt", "model", "job_id", "version")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What reproduces one picture.

    `width` and `height` are pixels, `strength` is None where no picture was started from. `lora`
    is the name of the LoRA that was added to the model, by `lora_weight`. Values
    read from a file are within sane ranges, not within what this bot would draw.
    """

    prompt: str
    seed: int
    width: int
    height: int
    num_inference_steps: int
    negative_prompt: str = ""
    guidance_scale: float = 0.0
    strength: float | None = None
    style: str | None = None
    lora: str | None = None
    lora_weight: float | None = None
    model: str = ""
    job_id: str = ""
    version: str = f"turbocord {__version__}"


def clean(text: str, limit: int) -> str:
    """Return text that is safe to show and to encode, at most `limit` characters."""
    return _UNPRINTABLE.sub(" ", text[:limit]).strip()


def model_name(model: str) -> str:
    """Return the last part of a model's name: a file has no business telling the host's folders."""
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return clean(last.removesuffix(".safetensors"), MAX_NAME)


def checked(**fields: Any) -> Metadata | None:
    """Return the Metadata when every field has its type and a sane value, else None.

    Texts are cleaned and cut; numbers out of range are refused, because a picture drawn from a
    clamped number would not be the one that the file shows.
    """
    if not all(isinstance(fields[name], str) for name in _TEXTS):
        return None
    # bool is an int to Python, but `true` is no seed.
    if not all(
        type(fields[name]) is int and low <= fields[name] <= high
        for name, (low, high) in _WHOLE.items()
    ):
        return None
    guidance, strength, style = (fields[name] for name in ("guidance_scale", "strength", "style"))
    if not _within(guidance, 100.0) or not (strength is None or _within(strength, 1.0)):
        return None
    if not (style is None or isinstance(style, str)):
        return None
    lora, lora_weight = fields.get("lora"), fields.get("lora_weight")
    lora = clean(lora, MAX_NAME) if isinstance(lora, str) else ""
    if not lora or not _within_either_way(lora_weight, MAX_LORA_WEIGHT):
        # Told for people alone: what draws it again is the style.
        lora, lora_weight = "", None
    return Metadata(
        prompt=clean(fields["prompt"], MAX_TEXT),
        negative_prompt=clean(fields["negative_prompt"], MAX_TEXT),
        seed=fields["seed"],
        width=fields["width"],
        height=fields["height"],
        num_inference_steps=fields["num_inference_steps"],
        guidance_scale=float(guidance),
        strength=None if strength is None else float(strength),
        style=clean(style, MAX_NAME) or None if style else None,
        lora=lora or None,
        lora_weight=None if lora_weight is None else float(lora_weight),
        model=model_name(fields["model"]),
        job_id=fields["job_id"] if _JOB_ID.fullmatch(fields["job_id"]) else "",
        version=clean(fields["version"], MAX_NAME),
    )


def _within(value: Any, high: float) -> bool:
    """Return whether a value is a number from 0 to `high`; NaN compares false."""
    return type(value) in (int, float) and 0 <= value <= high


def _within_either_way(value: Any, high: float) -> bool:
    return type(value) in (int, float) and -high <= value <= high
