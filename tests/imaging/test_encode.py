"""Encoding: lossless where it fits, always under the limit, always with its metadata."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.engine.null import photo_like
from bot.imaging import png_chunks
from bot.imaging.encode import MIN_BYTES, encode_picture, finish_png, make_filename, shrink
from bot.imaging.metadata import Metadata, read_metadata
from bot.imaging.png_writer import write_png
from bot.request import ImageRequest, ImageResult, Picture, Pixels, Timings

MIB = 1024 * 1024
METADATA = Metadata("a cat", 7, 512, 512, 2, model="starter", job_id="a1b2c3")


def noise(width: int = 512, height: int = 512) -> Pixels:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def soft(width: int = 512, height: int = 512) -> Pixels:
    """Return a picture about as hard to pack as a photograph."""
    image = Image.fromarray(noise(width // 4, height // 4)).resize((width, height))
    return np.asarray(image)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_png_holds_the_very_pixels() -> None:
    pixels = soft(448, 576)
    data, extension = encode_picture(pixels, metadata=METADATA, max_bytes=10 * MIB)
    assert extension == "png"
    assert opened(data).format == "PNG"
    assert (np.asarray(opened(data)) == pixels).all()
    assert read_metadata(data) == METADATA


@given(
    width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99), flat=st.booleans()
)
def test_a_png_of_any_size_holds_the_very_pixels(
    width: int, height: int, seed: int, flat: bool
) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels = np.full_like(values, seed) if flat else values
    png = write_png(pixels)
    png_chunks.check_whole(png)
    assert (np.asarray(opened(png)) == pixels).all()


@pytest.mark.parametrize("picture", [soft(), photo_like(512, 512)], ids=["soft", "photo"])
def test_the_fast_png_is_about_as_small_as_pillow_s(picture: Pixels) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_type=zlib.Z_RLE)
    assert len(write_png(picture)) < 1.08 * len(buffer.getvalue())


@pytest.mark.parametrize("limit", [10 * MIB, 600_000, 200_000, MIN_BYTES])
def test_a_png_from_elsewhere_is_finished_as_one_made_here(limit: int) -> None:
    made_here = encode_picture(soft(), metadata=METADATA, max_bytes=limit)
    assert finish_png(write_png(soft()), metadata=METADATA, max_bytes=limit) == made_here
    assert len(made_here[0]) <= limit
    assert read_metadata(made_here[0]) == METADATA


def test_metadata_comes_before_the_pixels_in_any_script() -> None:
    """Readers that stop at the first pixels find it."""
    for prompt, kind in (("a café", b"tEXt"), ("一只猫", b"iTXt")):
        metadata = replace(METADATA, prompt=prompt)
        data, _ = encode_picture(soft(64, 64), metadata=metadata, max_bytes=MIB)
        kinds = [chunk.kind for chunk in png_chunks.chunks(data)]
        # Our own JSON is ASCII whatever it says.
        assert kinds == [b"IHDR", kind, b"tEXt", b"IDAT", b"IEND"]
        assert read_metadata(data) == metadata
        assert prompt in opened(data).info["parameters"]


def test_damage_to_any_byte_of_a_png_is_noticed() -> None:
    png = write_png(soft(8, 8))
    for at in range(len(png)):
        for broken in (png[:at], png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]):
            with pytest.raises(ValueError, match="PNG"):
                png_chunks.check_whole(broken)


def test_lossless_webp_comes_before_any_loss() -> None:
    pixels = soft()
    png, _ = encode_picture(pixels, metadata=METADATA, max_bytes=10 * MIB)
    data, extension = encode_picture(pixels, metadata=METADATA, max_bytes=len(png) - 1)
    assert extension == "webp"
    assert (np.asarray(opened(data)) == pixels).all()
    assert read_metadata(data) == METADATA


def test_quality_falls_before_size_does() -> None:
    sizes: list[int] = []
    error: list[float] = []
    for limit in (500_000, 300_000, 200_000, 140_000):
        data, extension = encode_picture(noise(), metadata=METADATA, max_bytes=limit)
        assert (extension, len(data) <= limit) == ("webp", True)
        assert read_metadata(data) == METADATA
        image = opened(data)
        sizes.append(image.width)
        if image.size == (512, 512):
            error.append(float(np.abs(np.asarray(image, float) - noise()).mean()))
    assert sizes[0] == 512
    assert sizes[-1] < 512
    assert sizes == sorted(sizes, reverse=True)
    assert error == sorted(error)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(MIN_BYTES, 200_000))
def test_every_size_fits_every_limit(width: int, height: int, limit: int) -> None:
    data, extension = encode_picture(noise(width, height), metadata=METADATA, max_bytes=limit)
    assert len(data) <= limit
    assert opened(data).format == extension.upper()


def test_the_widest_pictures_and_the_longest_prompts_fit() -> None:
    data, _ = encode_picture(noise(17_000, 12), metadata=METADATA, max_bytes=MIN_BYTES)
    assert len(data) <= MIN_BYTES
    wordy = replace(METADATA, prompt="🐈" * 1000, negative_prompt="🐕" * 1000)
    data, _ = encode_picture(noise(), metadata=wordy, max_bytes=MIN_BYTES)
    assert len(data) <= MIN_BYTES
    assert read_metadata(data) == wordy
    absurd = replace(METADATA, prompt="🐈" * 4000, negative_prompt="🐕" * 4000)
    data, _ = encode_picture(noise(), metadata=absurd, max_bytes=MIN_BYTES)
    assert len(data) <= MIN_BYTES


def test_a_limit_nothing_can_meet_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture fits"):
        encode_picture(noise(), metadata=None, max_bytes=MIN_BYTES - 1)


def test_no_metadata_is_fine() -> None:
    for limit in (10 * MIB, MIN_BYTES):
        data, _ = encode_picture(noise(), metadata=None, max_bytes=limit)
        assert read_metadata(data) is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.integers(0, 2**53 - 1))
def test_filenames_are_safe_everywhere(job_id: str, seed: int) -> None:
    name = make_filename(job_id, seed, "png")
    assert name.isascii()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
    assert name.endswith(f"-{seed}.png")
    assert ".." not in name


def test_a_filename_says_which_picture_it_is() -> None:
    assert make_filename("a1b2c3", 7, "png") == "turbocord-a1b2c3-7.png"


async def test_shrinking_a_result_keeps_what_fits_and_what_it_says() -> None:
    request = ImageRequest(prompt="a cat", user_id=1, seed=7, job_id="a1b2c3")
    big, _ = encode_picture(noise(), metadata=METADATA, max_bytes=10 * MIB)
    small, _ = encode_picture(np.zeros((64, 64, 3), np.uint8), metadata=None, max_bytes=MIB)
    webp, _ = encode_picture(noise(), metadata=METADATA, max_bytes=300_000)
    pictures = (
        Picture(big, "turbocord-a1b2c3-7.png", 512, 512, 7),
        Picture(small, "turbocord-a1b2c3-8.png", 64, 64, 8),
        Picture(webp, "turbocord-a1b2c3-9.webp", 512, 512, 9),
    )
    result = ImageResult(request, pictures, Timings(), "starter")
    shrunk = await shrink(result, 100_000)
    assert shrunk.pictures[1] is pictures[1]
    for before, after in zip(pictures, shrunk.pictures, strict=True):
        assert len(after.data) <= 100_000
        assert after.seed == before.seed
        assert opened(after.data).size == (after.width, after.height)
    assert shrunk.pictures[0].filename == "turbocord-a1b2c3-7.webp"
    assert read_metadata(shrunk.pictures[0].data) == METADATA
    assert read_metadata(shrunk.pictures[2].data) == METADATA
    assert (await shrink(result, 10 * MIB)).pictures == pictures
    tiny = await shrink(result, 5)
    assert all(len(picture.data) <= MIN_BYTES for picture in tiny.pictures)
