"""Pictures into files: a PNG that tells how it was made, smaller forms where a limit asks."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from PIL import Image

from bot.imaging.metadata import Metadata, exif_bytes, png_texts, read_metadata
from bot.imaging.png_chunks import with_chunks
from bot.imaging.png_writer import write_png
from bot.request import ImageResult, Picture, Pixels

log = logging.getLogger(__name__)

MIN_BYTES: Final = 64 * 1024
"""A limit that a picture always fits, with its metadata unless the prompts are absurd."""

_QUALITIES: Final = (95, 90, 80, 65)
_SHRINK: Final = 0.75
_LEAST_SIDE: Final = 64
_WEBP_SIDE: Final = 16_383
_LOSSLESS_WORTH: Final = 1.6
"""Lossless WebP saves a fifth to a third of the PNG: further over the limit it is not tried."""


def encode_picture(
    pixels: Pixels, *, metadata: Metadata | None, max_bytes: int
) -> tuple[bytes, str]:
    """Return the file and its extension, at most `max_bytes` long, metadata included.

    `pixels` is uint8 RGB, (height, width, 3). A PNG where it fits, else lossless WebP, else WebP
    at falling quality, else smaller. Raises ValueError for a limit below MIN_BYTES.
    """
    return finish_png(write_png(pixels), metadata=metadata, max_bytes=max_bytes)


def finish_png(png: bytes, *, metadata: Metadata | None, max_bytes: int) -> tuple[bytes, str]:
    """Return a PNG without metadata as `encode_picture` would; it is decoded only if too long."""
    if max_bytes < MIN_BYTES:
        raise ValueError(f"no picture fits {max_bytes} bytes; {MIN_BYTES} is the least")
    told = with_chunks(png, png_texts(metadata)) if metadata else png
    if len(told) <= max_bytes:
        return told, "png"
    with Image.open(io.BytesIO(png), formats=("PNG",)) as opened:
        image = opened.convert("RGB")
    for data in _smaller(image, metadata, tries_lossless=len(told) <= _LOSSLESS_WORTH * max_bytes):
        if len(data) <= max_bytes:
            log.info("picture of %d bytes encoded as WebP of %d", len(told), len(data))
            return data, "webp"
    raise AssertionError("unreachable: the smallest form is below MIN_BYTES")


def _smaller(
    image: Image.Image, metadata: Metadata | None, *, tries_lossless: bool
) -> Iterator[bytes]:
    """Yield ever smaller WebP files, down to a thumbnail at the last quality."""
    exif = exif_bytes(metadata) if metadata else b""
    if max(image.size) > _WEBP_SIDE:
        image = image.reduce(-(-max(image.size) // _WEBP_SIDE))
    if tries_lossless:
        yield _webp(image, exif, quality=20, lossless=True)
    for quality in _QUALITIES:
        yield _webp(image, exif, quality=quality)
    while max(image.size) > _LEAST_SIDE:
        width, height = (max(1, round(side * _SHRINK)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        yield _webp(image, exif, quality=_QUALITIES[-1])
    # Only prompts far beyond what members can send are larger than the picture they made.
    yield _webp(image, b"", quality=_QUALITIES[-1])


def _webp(image: Image.Image, exif: bytes, *, quality: int, lossless: bool = False) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, lossless=lossless, method=4, exif=exif)
    return buffer.getvalue()


def make_filename(job_id: str, seed: int, extension: str) -> str:
    """Return a name of ASCII letters, digits, dots and hyphens that says which picture this is."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", job_id)[:40].strip("-") or "picture"
    return f"turbocord-{safe}-{seed}.{extension}"


def encode_copy(image: Image.Image) -> bytes:
    """Return an RGB picture as a small file that looks the same, with no word about its origin."""
    return _webp(image, b"", quality=_QUALITIES[1])


async def shrink(result: ImageResult, max_bytes: int) -> ImageResult:
    """Return the result with every picture at most `max_bytes` long, for a refused upload.

    Pictures that fit are left as they are. Limits below MIN_BYTES count as MIN_BYTES.
    """
    limit = max(max_bytes, MIN_BYTES)
    pictures = [
        picture
        if len(picture.data) <= limit
        else await asyncio.to_thread(_shrunk, picture, result.request.job_id, limit)
        for picture in result.pictures
    ]
    return replace(result, pictures=tuple(pictures))


async def shrink_file(data: bytes, filename: str, max_bytes: int) -> tuple[bytes, str]:
    """Return a finished picture's file and its name, at most `max_bytes` long, as `shrink` does."""
    limit = max(max_bytes, MIN_BYTES)
    if len(data) <= limit:
        return data, filename
    return await asyncio.to_thread(_fitted, data, limit), f"{PurePath(filename).stem}.webp"


def _fitted(data: bytes, limit: int) -> bytes:
    metadata = read_metadata(data)
    with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as image:
        rgb = image.convert("RGB")
    return next(one for one in _smaller(rgb, metadata, tries_lossless=False) if len(one) <= limit)


def _shrunk(picture: Picture, job_id: str, limit: int) -> Picture:
    data = _fitted(picture.data, limit)
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
        width, height = image.size
    filename = make_filename(job_id, picture.seed, "webp")
    return replace(picture, data=data, filename=filename, width=width, height=height)
