"""What made a picture, written into its file and read back from a stranger's.

Two forms side by side: the `parameters` text that AUTOMATIC1111-style programs read, and our own
JSON under the key `turbocord`. Ours wins when both are there: the text cannot tell a prompt that
quotes another's parameters from the parameters.
"""

from __future__ import annotations

import itertools
import json
import logging
from typing import Final

from PIL import PngImagePlugin

from bot.imaging import jpeg_segments, png_chunks, webp_chunks
from bot.imaging.exif import ExifBlock, write_exif
from bot.imaging.metadata_fields import MAX_TEXT, Metadata, checked, clean, model_name
from bot.imaging.parameters import from_parameters, to_parameters

__all__ = [
    "Metadata",
    "exif_bytes",
    "from_json",
    "from_parameters",
    "png_info",
    "read_metadata",
    "to_json",
    "to_parameters",
]

log = logging.getLogger(__name__)

SCHEMA: Final = 1
PARAMETERS_KEY: Final = "parameters"
OWN_KEY: Final = "turbocord"

MAX_BYTES: Final = 128 * 1024
"""Bytes of one text, unpacked, that are read; longer ones are passed over."""

_TEXT_CHUNKS: Final = 64


def to_json(metadata: Metadata) -> str:
    """Return our own form: one ASCII JSON object whose `schema` says how to read it."""
    fields = {
        "schema": SCHEMA,
        "prompt": clean(metadata.prompt, MAX_TEXT),
        "negative_prompt": clean(metadata.negative_prompt, MAX_TEXT),
        "seed": metadata.seed,
        "width": metadata.width,
        "height": metadata.height,
        "num_inference_steps": metadata.num_inference_steps,
        "guidance_scale": metadata.guidance_scale,
        "strength": metadata.strength,
        "style": metadata.style,
        "lora": metadata.lora,
        "lora_weight": metadata.lora_weight,
        "model": model_name(metadata.model),
        "job_id": metadata.job_id,
        "version": metadata.version,
    }
    return json.dumps(fields, allow_nan=False, separators=(",", ":"))


def from_json(text: str | bytes) -> Metadata | None:
    """Return what our own JSON says; None for anything else, a wrong type or a wild value."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    schema = fields.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        return None
    return checked(
        prompt=fields.get("prompt"),
        negative_prompt=fields.get("negative_prompt", ""),
        seed=fields.get("seed"),
        width=fields.get("width"),
        height=fields.get("height"),
        num_inference_steps=fields.get("num_inference_steps"),
        guidance_scale=fields.get("guidance_scale", 0.0),
        strength=fields.get("strength"),
        style=fields.get("style"),
        lora=fields.get("lora"),
        lora_weight=fields.get("lora_weight"),
        model=fields.get("model", ""),
        job_id=fields.get("job_id", ""),
        version=fields.get("version", ""),
    )


def png_info(metadata: Metadata) -> PngImagePlugin.PngInfo:
    """Return the text chunks of a PNG: `parameters` and our JSON."""
    info = PngImagePlugin.PngInfo()
    info.add_text(PARAMETERS_KEY, to_parameters(metadata))
    info.add_text(OWN_KEY, to_json(metadata))
    return info


def exif_bytes(metadata: Metadata) -> bytes:
    """Return the EXIF block of a WebP or JPEG: `parameters` as user comment and our JSON."""
    return write_exif(parameters=to_parameters(metadata), own_json=to_json(metadata))


def read_metadata(data: bytes) -> Metadata | None:
    """Return what a PNG, WebP or JPEG says of its making; None where it says nothing usable.

    Never raises, whatever the bytes, and unpacks at most MAX_BYTES a text. The words are a
    stranger's: cleaned of control characters, but to be quoted wherever they are shown.
    """
    try:
        parameters, own = _texts(data)
    except ValueError as error:
        log.debug("no metadata read: %s", error)
        return None
    metadata = from_json(own) if own else None
    if metadata is None and parameters:
        metadata = from_parameters(parameters)
    return metadata


def _texts(data: bytes) -> tuple[str | None, str | bytes | None]:
    """Return the `parameters` text and our JSON, unread. Raises ValueError from a broken file."""
    if data.startswith(png_chunks.SIGNATURE):
        texts = _png_texts(data)
        return texts.get(PARAMETERS_KEY), texts.get(OWN_KEY)
    if data.startswith(b"\xff\xd8\xff"):
        exif = jpeg_segments.exif_block(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        exif = webp_chunks.exif_block(data)
    else:
        exif = None
    if not exif or len(exif) > 4 * MAX_BYTES:
        return None, None
    block = ExifBlock(exif)
    return block.user_comment(), block.maker_note()


def _png_texts(data: bytes) -> dict[str, str]:
    """Return our two keys from the first text chunks, wherever in the file they stand."""
    texts: dict[str, str] = {}
    found = (chunk for chunk in png_chunks.chunks(data) if chunk.kind in _READERS)
    for chunk in itertools.islice(found, _TEXT_CHUNKS):
        key, _, rest = bytes(chunk.body[: MAX_BYTES + 128]).partition(b"\0")
        if key.decode("latin-1") in (PARAMETERS_KEY, OWN_KEY):
            text = _READERS[chunk.kind](rest)
            if text is not None:
                texts.setdefault(key.decode("latin-1"), text)
    return texts


def _plain(rest: bytes) -> str | None:
    return rest.decode("latin-1") if len(rest) <= MAX_BYTES else None


def _compressed(rest: bytes) -> str | None:
    text = png_chunks.inflate(rest[1:], MAX_BYTES) if rest[:1] == b"\0" else None
    return text.decode("latin-1") if text is not None else None


def _international(rest: bytes) -> str | None:
    """Return iTXt's text: flag, method, language, translated key, then UTF-8."""
    flag, body = rest[:1], rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if flag == b"\1":
        unpacked = png_chunks.inflate(body, MAX_BYTES)
        return None if unpacked is None else unpacked.decode("utf-8", errors="replace")
    return body.decode("utf-8", errors="replace") if len(body) <= MAX_BYTES else None


_READERS: Final = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}
