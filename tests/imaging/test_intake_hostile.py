"""Hostile files: every outcome is an RGB picture or a BadPicture, soon and in little memory."""

from __future__ import annotations

import io
import re
import tracemalloc
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from bot.errors import BadPicture
from bot.imaging import gif_blocks, jpeg_segments, png_chunks
from bot.imaging.container import read_container
from bot.imaging.intake import Limits, open_picture
from tests.imaging.pictures import difference, encode, gradient, png_chunk, refusal, with_chunk

FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SMALL = Limits(max_pixels=1_000_000)
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")


def samples() -> Iterator[bytes]:
    picture = gradient(40, 30)
    block = Image.Exif()
    block[0x0112] = 6
    for kind in KINDS:
        yield encode(picture, kind)
    yield encode(picture, "JPEG", progressive=True, exif=block.tobytes())
    yield encode(picture.convert("CMYK"), "JPEG")
    yield encode(picture.quantize(9), "PNG", transparency=3, exif=block.tobytes())
    yield encode(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG")
    yield encode(picture, "WEBP", lossless=True, exif=block.tobytes())
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        yield encode(picture, kind, save_all=True, append_images=[picture.rotate(9)], duration=40)


SAMPLES = list(samples())


def outcome(data: bytes, limits: Limits = SMALL) -> Image.Image | BadPicture:
    try:
        picture = open_picture(data, limits=limits)
    except BadPicture as error:
        return error
    assert picture.mode == "RGB"
    assert picture.width * picture.height <= limits.max_pixels
    return picture


@FUZZ
@given(st.sampled_from(SAMPLES), st.data())
def test_bit_flips(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data)
    spots = st.integers(0, len(data) - 1)
    for spot in draw.draw(st.lists(spots, min_size=1, max_size=6)):
        broken[spot] = draw.draw(st.integers(0, 255))
    outcome(bytes(broken))


@FUZZ
@given(st.sampled_from(SAMPLES), st.data())
def test_pieces_cut_out_doubled_and_spliced(data: bytes, draw: st.DataObject) -> None:
    start, end = sorted(draw.draw(st.tuples(*[st.integers(0, len(data))] * 2)))
    other = draw.draw(st.sampled_from(SAMPLES))
    outcome(data[:start] + data[end:])
    outcome(data[:end] + data[start:])
    outcome(data[:start] + other[start:])
    outcome(data[:start] + other)


@FUZZ
@given(st.sampled_from(SAMPLES[:11]), st.data())
def test_a_truncated_file_is_refused_or_was_already_whole(data: bytes, draw: st.DataObject) -> None:
    cut = outcome(data[: draw.draw(st.integers(0, len(data) - 1))])
    if isinstance(cut, Image.Image):
        assert difference(cut, open_picture(data)) == 0
    else:
        assert cut.code in ("picture_damaged", "picture_unknown", "picture_empty")


@FUZZ
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x40\0\0\0WEBP"]),
    st.binary(max_size=200),
)
def test_a_signature_with_rubbish_behind_it(magic: bytes, rubbish: bytes) -> None:
    outcome(magic + rubbish)


@FUZZ
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_png_may_claim_any_size(width: int, height: int) -> None:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x")
    assert isinstance(outcome(data), BadPicture)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_a_header_may_claim_the_largest_size(kind: str) -> None:
    data = bytearray(encode(gradient(40, 30), kind))
    wide = (0xFFFF).to_bytes(2, "big")
    at = {"JPEG": data.find(b"\xff\xc0") + 5, "WEBP": 26, "GIF": 6, "BMP": 18}[kind]
    data[at : at + 4] = b"\xff\xff\xff\x7f" if kind == "BMP" else wide * 2
    assert refusal(bytes(data)).code in ("picture_too_large", "picture_damaged")


def bomb(width: int, height: int, extra: int = 0) -> bytes:
    """Return a black PNG whose data go on for `extra` bytes beyond its pixels."""
    pack = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    packed = b"".join(pack.compress(row) for _ in range(height))
    packed += pack.compress(bytes(extra)) + pack.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def test_a_small_file_of_a_huge_picture_is_refused_unopened() -> None:
    data = bomb(8200, 8200)
    assert len(data) < 300_000
    tracemalloc.start()
    assert refusal(data).code == "picture_too_large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_data_beyond_the_pixels_are_not_unpacked() -> None:
    picture = open_picture(bomb(16, 16, extra=50_000_000))
    assert picture.size == (16, 16)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"juNk", b"tEXt", b"eXIf"])
def test_a_bomb_in_a_side_chunk_is_never_unpacked(kind: bytes) -> None:
    packed = zlib.compress(bytes(60_000_000), 9)
    start = {b"iTXt": b"key\0\1\0\0\0"}.get(kind, b"key\0\0")
    data = with_chunk(encode(gradient(), "PNG"), kind, start + packed)
    tracemalloc.start()
    picture = open_picture(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert difference(picture, gradient()) == 0
    assert peak < 20_000_000


def test_many_chunks_end_in_a_refusal() -> None:
    png = encode(gradient(), "PNG")
    crowd = png_chunk(b"tEXt", b"") * (png_chunks.MAX_CHUNKS + 1)
    assert refusal(png[:33] + crowd + png[33:]).code == "picture_damaged"
    few = png_chunk(b"tEXt", b"") * 1000
    assert difference(open_picture(png[:33] + few + png[33:]), gradient()) == 0


def test_gif_comments_never_reach_the_decoder() -> None:
    # Pillow joins comment blocks one by one: a file of them would cost quadratic time.
    gif = encode(gradient(), "GIF")
    comments = b"\x21\xfe" + b"\x02xx" * 200_000 + b"\0" + b"\x21\xfe\x01x\0" * 200_000
    start = 13 + (3 << ((gif[10] & 7) + 1))
    data = gif[:start] + comments + gif[start:]
    assert len(gif_blocks.first_frame(data)) <= len(gif)
    assert difference(open_picture(data), open_picture(gif)) == 0


def test_gif_blocks_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gif_blocks, "MAX_BLOCKS", 1000)
    gif = encode(gradient(), "GIF")
    start = 13 + (3 << ((gif[10] & 7) + 1))
    data = gif[:start] + b"\x21\xfe" + b"\x01x" * 2000 + b"\0" + gif[start:]
    assert refusal(data).code == "picture_damaged"
    assert refusal(gif[:start] + b"\x21\xfe\0" * 2000 + gif[start:]).code == "picture_damaged"


def test_jpeg_segments_that_pile_up_never_reach_the_decoder() -> None:
    # Pillow joins EXIF segments one by one, and lists the others.
    jpeg = encode(gradient(), "JPEG")
    exif = b"\xff\xe1\x00\x0aExif\0\0xx"
    some = jpeg[:2] + exif * 2000 + b"\xff\xfe\x00\x04hi" * 1000 + jpeg[2:]
    assert b"Exif" not in read_container(some, "JPEG").data
    assert difference(open_picture(some), open_picture(jpeg)) == 0
    assert refusal(jpeg[:2] + exif * 5000 + jpeg[2:]).code == "picture_damaged"


def test_a_long_search_of_a_jpeg_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search holds Python's lock: over the largest download it would stop the event loop."""
    pattern, searched = jpeg_segments._NEXT_MARKER, list[int]()

    def search(data: bytes, start: int, end: int) -> re.Match[bytes] | None:
        searched.append(min(end, len(data)) - start)
        return pattern.search(data, start, end)

    monkeypatch.setattr(jpeg_segments, "_NEXT_MARKER", SimpleNamespace(search=search))
    scan = b"\xff\xd8\xff\xda\x00\x02"
    for fill in (b"\xff\x00", b"\xff\xff"):
        data = scan + fill * 3_000_000
        assert jpeg_segments.pixels_only(data) == (data, 1)
    assert sum(searched) > 12_000_000
    assert max(searched) <= 2**20 + 1


def test_markers_are_seen_wherever_they_lie() -> None:
    """The search goes by windows, at whose edge a marker may lie."""
    for filled in range(2**20 - 4, 2**20 + 4):
        data = b"\xff\xd8\xff\xda\x00\x02" + bytes(filled) + b"\xff\xd9"
        assert [one.marker for one in jpeg_segments.segments(data)] == [0xDA, 0xD9]


def test_a_film_behind_a_phone_picture_is_not_counted_as_its_scans() -> None:
    film = b"\xff\xda\x00\x02" * 5000
    data = encode(gradient(), "JPEG") + film
    assert read_container(data, "JPEG").scans == 1
    assert open_picture(data, limits=Limits(max_scan_pixels=64 * 48)).size == (64, 48)


def test_an_animation_of_many_frames_costs_one() -> None:
    frames = [gradient(32, 32).rotate(turn) for turn in range(100)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert len(gif_blocks.first_frame(data)) < len(data) / 25
    assert open_picture(data).size == (32, 32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"PK\x03\x04" + bytes(50), b"<script>alert(1)</script>", b"%PDF"])
def test_polyglots_are_only_their_picture(kind: str, tail: bytes) -> None:
    data = encode(gradient(), kind)
    seen = outcome(data + tail)
    if isinstance(seen, Image.Image):
        assert difference(seen, open_picture(data)) == 0


@pytest.mark.parametrize("name", ["BMP", "TIFF", "PPM", "PCX", "TGA", "ICO", "SGI"])
def test_only_the_sniffed_decoder_ever_runs(name: str) -> None:
    data = encode(gradient(32, 32), name)
    for magic in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"):
        assert isinstance(outcome(magic + data[len(magic) :]), BadPicture)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_decoder_is_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would offer a damaged file to all of its forty decoders in turn."""
    asked: list[Any] = []
    really = Image.open

    def watched(stream: Any, **options: Any) -> Any:
        asked.append(options.get("formats"))
        return really(stream, **options)

    monkeypatch.setattr(Image, "open", watched)
    open_picture(encode(gradient(), kind))
    assert asked == [(kind,)]


def test_the_whole_process_still_refuses_truncated_files() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_hostile_exif_block_is_survived() -> None:
    loop = b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x12\x01\x04\0\xff\xff\xff\xff\x08\0\0\0" * 600
    for block in (loop, loop[:30], b"II*\0\xff\xff\xff\xff", b"MM\0*", b"", bytes(100)):
        data = with_chunk(encode(gradient(), "PNG"), b"eXIf", block)
        assert difference(open_picture(data), gradient()) == 0


def test_exif_values_are_not_copied_for_the_asking() -> None:
    # Every entry claims nearly the whole block as its value.
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\7\0" + (900_000).to_bytes(4, "little") + b"\x08\0\0\0"
        for tag in range(1000)
    )
    block = b"II*\0\x08\0\0\0" + (1000).to_bytes(2, "little") + entries + bytes(1_000_000)
    data = with_chunk(encode(gradient(), "PNG"), b"eXIf", block)
    tracemalloc.start()
    open_picture(data)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_memory_errors_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", none_left)
    assert refusal(encode(gradient(), "BMP")).code == "picture_too_large"


def test_what_is_logged_does_not_quote_the_file(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    refusal(b"GIF89a" + b"secret words" * 10)
    refusal(io.BytesIO(b"\x89PNG\r\n\x1a\nsecret words").getvalue())
    assert len([record for record in caplog.records if "damaged" in record.message]) == 2
    assert "secret" not in caplog.text
