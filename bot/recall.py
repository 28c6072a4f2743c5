"""Remembering what was drawn: requests to plain JSON and back to a Wish.

A job's parameters come back from the store, or from a picture's own metadata, which anyone can
forge: whatever is read here is a wish like any other and passes `bot.policy.resolve` again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from bot.imaging.metadata import Metadata
from bot.request import SIZES, ImageRequest, PictureSource, Wish
from bot.store import Job

NATIVE_SCALES: Final = (2, 1)
"""How many times the named sizes a picture may have: models are made for 512 or 1024 pixels."""


def parameters_of(request: ImageRequest) -> dict[str, Any]:
    """Return what the store keeps of a request: plain JSON, no picture bytes, no signature."""
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "count": request.count,
        "size": request.size.name if request.size else None,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "strength": request.strength,
        "style": request.style.name if request.style else None,
        "lora": request.adapter.name if request.adapter else None,
        "lora_weight": request.adapter.weight if request.adapter else None,
        "model": request.model.name if request.model else None,
        "private": request.private,
        "scale": request.scale,
        "sources": [_source_to_json(source) for source in request.sources],
    }


def _source_to_json(source: PictureSource) -> dict[str, Any]:
    return {
        "url": source.url.partition("?")[0] if source.url else None,
        "filename": source.filename,
        "weight": source.weight,
        "channel_id": source.channel_id,
        "message_id": source.message_id,
        "attachment_id": source.attachment_id,
        "kept": source.keep,
        "kept_as": source.kept_as,
        "spoiler": source.spoiler,
    }


def sources_of(parameters: Mapping[str, Any], job_id: str) -> tuple[PictureSource, ...]:
    """Return the sources of a stored job; they have to be fetched or signed anew."""
    return tuple(
        PictureSource(
            url=source.get("url"),
            filename=str(source.get("filename", "picture")),
            weight=float(source.get("weight", 1.0)),
            channel_id=source.get("channel_id"),
            message_id=source.get("message_id"),
            attachment_id=source.get("attachment_id"),
            keep=bool(source.get("kept")),
            kept_as=_kept_as(source, job_id, position),
            spoiler=bool(source.get("spoiler")),
        )
        for position, source in enumerate(parameters.get("sources", ()))
    )


def _kept_as(source: Mapping[str, Any], job_id: str, position: int) -> tuple[str, int] | None:
    """Return where a copy is: under an earlier job, whose member can delete it, or this one."""
    if source.get("kept_as"):
        earlier, place = source["kept_as"]
        return str(earlier), int(place)
    return (job_id, position) if source.get("kept") else None


def wish_of_job(job: Job, *, models: Collection[str] = ()) -> Wish:
    """Return the wish that a stored job was.

    Its model is asked for again as far as it is still one of `models`; otherwise whoever draws next
    gets the usual one.
    """
    parameters = job.parameters
    size = parameters.get("size")
    model = parameters.get("model")
    return Wish(
        prompt=str(parameters.get("prompt", "")),
        negative_prompt=str(parameters.get("negative_prompt", "")),
        count=int(parameters.get("count", 1)),
        size=size if size in SIZES else None,
        num_inference_steps=int(parameters.get("num_inference_steps", 2)),
        guidance_scale=float(parameters.get("guidance_scale", 0.0)),
        seed=int(parameters.get("seed", 0)),
        strength=float(parameters.get("strength", 0.7)),
        style=parameters.get("style") or "",
        model=model if model in models else None,
        sources=sources_of(parameters, job.job_id),
        private=bool(parameters.get("private", False)),
        scale=int(parameters.get("scale", 1)),
        recalled=True,
    )


def wish_of_metadata(metadata: Metadata, *, models: Collection[str] = ()) -> Wish:
    """Return the wish that a picture's own metadata tells of; its sources are not in there.

    Its model is asked for again if it is one of `models`.
    """
    sizes = {
        (size.width * scale, size.height * scale): size.name
        for scale in NATIVE_SCALES
        for size in SIZES.values()
    }
    return Wish(
        prompt=metadata.prompt,
        negative_prompt=metadata.negative_prompt,
        count=1,
        size=sizes.get((metadata.width, metadata.height)),
        num_inference_steps=metadata.num_inference_steps,
        guidance_scale=metadata.guidance_scale,
        seed=metadata.seed,
        strength=metadata.strength,
        style=metadata.style or "",
        model=metadata.model if metadata.model in models else None,
        recalled=True,
    )
