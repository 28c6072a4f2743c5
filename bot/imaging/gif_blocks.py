"""A GIF's blocks, without decoding anything (GIF89a specification, sections 17 to 27)."""

from __future__ import annotations

from typing import Final

MAX_BLOCKS: Final = 1_000_000
"""Full 255-byte blocks would make 243 MiB; walking this many takes about a tenth of a second."""

_EXTENSION: Final = 0x21
_GRAPHIC_CONTROL: Final = 0xF9
_IMAGE: Final = 0x2C
_TRAILER: Final = b";"


def first_frame(data: bytes) -> bytes:
    """Return the file with its first frame alone: no comments, no extensions, no later frames.

    A file that breaks off within that frame comes back as it breaks off. Raises ValueError
    without any frame or with more than MAX_BLOCKS before the end of the first.
    """
    start = 13 + _colour_table(data, 10)
    kept = data[:start]
    control = b""
    at = start
    blocks_left = MAX_BLOCKS
    while at < len(data):
        begin = at
        if data[at] == _IMAGE:
            at += 10 + _colour_table(data, at + 9) + 1
            at, _ = _skip_blocks(data, at, blocks_left)
            return kept + control + data[begin:at] + _TRAILER
        if data[at] != _EXTENSION:
            break
        at, blocks_left = _skip_blocks(data, at + 2, blocks_left - 1)
        if data[begin + 1 : begin + 2] == bytes([_GRAPHIC_CONTROL]):
            control = data[begin:at]
    raise ValueError("no GIF frame")


def _colour_table(data: bytes, flags_at: int) -> int:
    """Return the length in bytes of the colour table that the flags announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int, blocks_left: int) -> tuple[int, int]:
    """Return where the sub-blocks that start at `at` end, and how many more may come."""
    while at < len(data) and data[at] and blocks_left > 0:
        at += 1 + data[at]
        blocks_left -= 1
    if blocks_left <= 0:
        raise ValueError("too many GIF blocks")
    return at + 1, blocks_left
