"""A WebP's chunks, without decoding anything (RFC 9649, section 2)."""

from __future__ import annotations

from typing import Final

MAX_CHUNKS: Final = 65_536


def declared_size(data: bytes) -> tuple[int, int]:
    """Return the canvas's width and height. Raises ValueError where the first chunk has none."""
    kind = data[12:16]
    if len(data) >= 30:
        if kind == b"VP8X":
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
        if kind == b"VP8 ":
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
        if kind == b"VP8L":
            bits = _little(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ValueError("no WebP header")


def exif_block(data: bytes) -> bytes | None:
    """Return the EXIF chunk's bytes, None without one among the first MAX_CHUNKS."""
    at = 12
    for _ in range(MAX_CHUNKS):
        size = _little(data[at + 4 : at + 8])
        if at + 8 > len(data):
            return None
        if data[at : at + 4] == b"EXIF":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return None


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
