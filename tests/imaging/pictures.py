"""Pictures made on the spot: nothing here is read from a file."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bot.errors import BadPicture
from bot.imaging.intake import open_picture


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    """Red grows to the right, green downwards: every corner differs, so turns can be told."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([red, green, np.full_like(red, 40)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def refusal(data: bytes, **options: Any) -> BadPicture:
    with pytest.raises(BadPicture) as caught:
        open_picture(data, **options)
    return caught.value


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the largest difference of any sample."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the PNG with one more chunk right after its header."""
    return png[:33] + png_chunk(kind, body) + png[33:]
