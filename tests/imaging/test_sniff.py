"""Every kind of file is told by its bytes, and refused by its name where we cannot read it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import BadPicture
from bot.imaging.sniff import sniff
from tests.imaging.pictures import encode, gradient


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"])
def test_readable_formats_are_told_from_their_bytes(kind: str) -> None:
    assert sniff(encode(gradient(), kind)) == kind


@pytest.mark.parametrize(
    ("head", "code", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "picture_heic", None),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "picture_heic", None),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "picture_heic", None),
        (b"II*\0\x08\0\0\0", "picture_format", "TIFF or camera RAW"),
        (b"8BPS\0\x01", "picture_format", "Photoshop"),
        (b"\xff\x0a\xfa\x1f", "picture_format", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "picture_format", "JPEG 2000"),
        (b"\0\0\x01\0\x01\0", "picture_format", "ICO"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture_format", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "picture_format", "SVG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "picture_format", "camera RAW"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "picture_video", "MP4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "picture_video", "QuickTime"),
        (b"\x1aE\xdf\xa3\x01", "picture_video", "WebM or Matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "picture_video", "AVI"),
        (b"%PDF-1.7\n", "picture_document", "PDF"),
        (b"PK\x03\x04\x14\0", "picture_document", "ZIP or office"),
        (b"<!DOCTYPE html><html>", "picture_document", "HTML"),
        (b"<?xml version='1.0'?><feed/>", "picture_document", "XML"),
        (b"ID3\x04", "picture_document", "MP3"),
        (b"MZ\x90\0", "picture_document", "program"),
        (b"hello there", "picture_unknown", None),
        (b"BMW is a car maker, this is text", "picture_unknown", None),
        (b"\0", "picture_unknown", None),
    ],
)
def test_other_files_are_refused_by_name(head: bytes, code: str, name: str | None) -> None:
    with pytest.raises(BadPicture) as caught:
        sniff(head)
    assert caught.value.code == code
    assert caught.value.details.get("format") == name


def test_avif_is_found_among_the_compatible_brands() -> None:
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_a_format_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(BadPicture):
        assert sniff(data) in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")
