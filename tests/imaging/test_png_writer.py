"""The PNG writer: any decoder reads the very pixels back, whichever filter was chosen."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.engine.null import photo_like
from bot.imaging.png_chunks import chunks
from bot.imaging.png_writer import AVERAGE, PAETH, best_filter, filtered, write_png
from bot.request import Pixels


def decoded(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def drawing() -> Pixels:
    """Return slopes in every direction with edges between, as a flat drawing has them."""
    y, x = np.mgrid[0:512, 0:512]
    planes = np.stack((x // 3, y // 3, (x + y) // 5), axis=-1)
    planes[(x - 256) ** 2 + (y - 256) ** 2 < 150**2] //= 2
    return planes.astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 8, 255]),
)
def test_the_pixels_come_back(width: int, height: int, seed: int, spread: int) -> None:
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, spread, (height, width, 3), np.uint8, endpoint=True)
    assert (decoded(write_png(pixels)) == pixels).all()


@pytest.mark.parametrize("kind", [AVERAGE, PAETH])
def test_both_filters_are_those_of_the_specification(kind: int) -> None:
    pixels = np.random.default_rng(kind).integers(0, 256, (9, 7, 3), np.uint8)
    rows = filtered(pixels.reshape(9, 21), kind)
    data = write_png(pixels)
    parts = {chunk.kind: bytes(chunk.body) for chunk in chunks(data)}
    forced = data.replace(parts[b"IDAT"], b"", 1)
    assert forced != data
    body = zlib.compress(rows.tobytes())
    chunk = len(body).to_bytes(4, "big") + b"IDAT" + body
    chunk += zlib.crc32(b"IDAT" + body).to_bytes(4, "big")
    at = data.index(b"IDAT") - 4
    assert (decoded(data[:at] + chunk + data[-12:]) == pixels).all()


def test_each_kind_of_picture_gets_the_filter_that_suits_it() -> None:
    photo, flat = photo_like(512, 512), drawing()
    assert best_filter(photo.reshape(512, -1)) == AVERAGE
    assert best_filter(flat.reshape(512, -1)) == PAETH


def test_the_file_is_no_larger_than_pillows_fastest() -> None:
    pixels = photo_like(512, 512)
    theirs = io.BytesIO()
    Image.fromarray(pixels).save(theirs, "PNG", compress_type=zlib.Z_RLE)
    assert len(write_png(pixels)) <= len(theirs.getvalue())


def test_other_layouts_in_memory_are_written_as_they_look() -> None:
    pixels = np.asfortranarray(drawing())[::2, ::-1]
    data = write_png(pixels)
    assert (decoded(data) == pixels).all()
    assert [chunk.kind for chunk in chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]
