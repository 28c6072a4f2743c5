"""A picture file without what a decoder need not see.

Comments, text, further frames, thumbnails and unknown blocks are where formats hide unbounded
work. What is left decides the pixels; orientation and colour profile are handed on beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.imaging import gif_blocks, jpeg_segments, png_chunks, webp_chunks
from bot.imaging.sniff import Format


@dataclass(frozen=True, slots=True)
class Container:
    """What is given to the decoder, and what is known before it runs.

    `size` is the width and height the header states, None where the decoder tells them without
    reserving memory. `scans` is how often a JPEG's decoder goes over the whole picture.
    """

    data: bytes
    size: tuple[int, int] | None = None
    scans: int = 1
    exif: bytes | None = None
    profile: bytes | None = None


def read_container(data: bytes, kind: Format) -> Container:
    """Return the stripped file. Raises ValueError where its structure is broken."""
    if kind == "PNG":
        return Container(
            png_chunks.pixels_only(data),
            size=png_chunks.declared_size(data),
            exif=png_chunks.exif_block(data),
            profile=png_chunks.colour_profile(data),
        )
    if kind == "JPEG":
        pixels, scans = jpeg_segments.pixels_only(data)
        return Container(
            pixels,
            size=jpeg_segments.declared_size(data),
            scans=scans,
            exif=jpeg_segments.exif_block(data),
        )
    if kind == "WEBP":
        return Container(data, size=webp_chunks.declared_size(data))
    if kind == "GIF":
        return Container(gif_blocks.first_frame(data))
    return Container(data)
