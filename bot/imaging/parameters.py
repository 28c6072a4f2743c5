"""The `parameters` text of AUTOMATIC1111-style programs: prompts, then one line of settings.

The form is that of stable-diffusion-webui's `infotext_utils.py`: values with a comma, colon or
newline are JSON strings; the last line holds the settings.
"""

from __future__ import annotations

import json
import re
from typing import Final

from bot.imaging.metadata_fields import MAX_NAME, MAX_TEXT, Metadata, checked, clean, model_name

SAMPLER: Final = "Euler a"

_NEGATIVE: Final = "Negative prompt:"
_MAX_LINE: Final = 8000
# Bounded repeats keep a hostile line linear.
_SETTING: Final = re.compile(
    r"(?P<name>\w[\w \-/]{0,60}):\s{0,4}"
    r'(?P<value>"(?:\\.|[^\\"]){0,400}"|[^,]{0,400})(?:,|$)'
)


def to_parameters(metadata: Metadata) -> str:
    """Return the text: prompt, negative prompt where there is one, settings.

    A prompt of several lines, one of which starts like the negative prompt, is put on one line:
    a reader could not tell the two apart.
    """
    lines = [_one_prompt(metadata.prompt)]
    if metadata.negative_prompt:
        lines.append(f"{_NEGATIVE} {_one_prompt(metadata.negative_prompt)}")
    settings: dict[str, object] = {
        "Steps": metadata.num_inference_steps,
        "Sampler": SAMPLER,
        "CFG scale": f"{metadata.guidance_scale:g}",
        "Seed": metadata.seed,
        "Size": f"{metadata.width}x{metadata.height}",
        "Model": model_name(metadata.model) or "unknown",
    }
    if metadata.strength is not None:
        settings["Denoising strength"] = f"{metadata.strength:g}"
    if metadata.style:
        settings["Style"] = clean(metadata.style, MAX_NAME)
    if metadata.lora and metadata.lora_weight is not None:
        settings["LoRA"] = f"{clean(metadata.lora, MAX_NAME)}:{metadata.lora_weight:g}"
    settings["Version"] = metadata.version
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in settings.items()))
    return "\n".join(lines)


def from_parameters(text: str) -> Metadata | None:
    """Return what the text says; None where it does not say steps, seed and size."""
    *prompts, last = text.strip().split("\n")
    settings = {
        match["name"]: _unquoted(match["value"]) for match in _SETTING.finditer(last[:_MAX_LINE])
    }
    width, _, height = settings.get("Size", "").partition("x")
    at = next(
        (at for at, line in enumerate(prompts) if line.strip().startswith(_NEGATIVE)),
        len(prompts),
    )
    lora, _, lora_weight = settings.get("LoRA", "").rpartition(":")
    return checked(
        prompt="\n".join(prompts[:at]),
        negative_prompt="\n".join(prompts[at:]).strip().removeprefix(_NEGATIVE),
        seed=_integer(settings.get("Seed")),
        width=_integer(width),
        height=_integer(height),
        num_inference_steps=_integer(settings.get("Steps")),
        guidance_scale=_number(settings.get("CFG scale", "0")),
        strength=_number(settings.get("Denoising strength")),
        style=settings.get("Style"),
        lora=lora,
        lora_weight=_number(lora_weight),
        model=settings.get("Model", ""),
        job_id="",
        version=settings.get("Version", ""),
    )


def _one_prompt(text: str) -> str:
    text = clean(text, MAX_TEXT)
    if re.search(rf"^\s*{_NEGATIVE}", text, re.MULTILINE):
        return " ".join(text.split())
    return text


def _quoted(value: object) -> str:
    """Return a setting's value, as a JSON string where its own characters would end it."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _integer(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,20}", text) else None


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,20})?", text) else None
