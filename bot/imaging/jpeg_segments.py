"""A JPEG's segments, without decoding anything (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_SEGMENTS: Final = 4096
"""Real files have tens; a colour profile or long XMP in 64 KiB pieces makes hundreds."""

_SOI: Final = b"\xff\xd8"
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_APP1: Final = 0xE1
_APP2: Final = 0xE2
_APP14: Final = 0xEE
_APPLICATION: Final = frozenset((*range(0xE0, 0xF0), 0xFE))
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"

# Within entropy-coded data FF is followed by 00, a restart marker or fill; all else ends it. 01
# (TEM) and restart markers have no length: taken for a segment they would hide what follows.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")

_WINDOW: Final = 1024 * 1024
"""Bytes that are searched at once: no other thread of Python's runs meanwhile."""


class Segment(NamedTuple):
    """One segment: its marker's second byte, its body, and all its bytes.

    A start-of-scan segment's `raw` goes on through its entropy-coded data.
    """

    marker: int
    body: memoryview
    raw: memoryview


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments after the start of image up to its end, or to where the file breaks off.

    What follows the end (a second picture, a phone's short film) is left out. Raises ValueError
    when there are more than MAX_SEGMENTS.
    """
    view = memoryview(data)
    at = len(_SOI)
    for _ in range(MAX_SEGMENTS):
        at = _next_marker(data, at)
        if at == len(data):
            return
        marker = data[at + 1]
        if marker == _EOI:
            yield Segment(marker, view[at + 2 : at + 2], view[at : at + 2])
            return
        end = at + 2 + int.from_bytes(view[at + 2 : at + 4], "big")
        body = view[at + 4 : end]
        if marker == _SOS:
            end = _next_marker(data, end)
        yield Segment(marker, body, view[at:end])
        at = max(end, at + 2)
    raise ValueError("too many JPEG segments")


def _next_marker(data: bytes, at: int) -> int:
    """Return where the next marker begins, at `at` or later; the data's length without one."""
    for start in range(at, len(data), _WINDOW):
        # A marker's second byte may lie behind its window.
        found = _NEXT_MARKER.search(data, start, start + _WINDOW + 1)
        if found is not None:
            return found.start()
    return len(data)


def pixels_only(data: bytes) -> tuple[bytes, int]:
    """Return the file with only what its pixels need, and the number of its scans.

    Kept beside the coding segments are the colour profile and Adobe's note on how the colours are
    coded. Raises ValueError when there are more than MAX_SEGMENTS.
    """
    kept: list[bytes | memoryview] = [_SOI]
    scans = 0
    for marker, body, raw in segments(data):
        scans += marker == _SOS
        is_profile = marker == _APP2 and bytes(body[:12]) == _ICC
        if marker not in _APPLICATION or is_profile or marker == _APP14:
            kept.append(raw)
    return b"".join(kept), scans


def declared_size(data: bytes) -> tuple[int, int]:
    """Return width and height by the first frame header. Raises ValueError without one."""
    for marker, body, _ in segments(data):
        if marker in _FRAMES and len(body) >= 5:
            return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    raise ValueError("no JPEG frame header")


def exif_block(data: bytes) -> bytes | None:
    """Return the first EXIF block, None without one. Raises ValueError like `segments`."""
    for marker, body, _ in segments(data):
        if marker == _SOS:
            return None
        if marker == _APP1 and bytes(body[:6]) == _EXIF:
            return bytes(body)
    return None
