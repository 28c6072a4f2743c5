"""A PNG's chunks, without decoding anything (PNG specification, third edition, section 5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

MAX_CHUNKS: Final = 65_536
"""Far above any real file (8 KiB to a chunk makes 512 MiB); below what would take seconds."""

MAX_PROFILE: Final = 4 * 1024 * 1024
"""Bytes of a colour profile that are unpacked; the largest printers' profiles stay below."""

_PIXEL_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class Chunk(NamedTuple):
    """One whole chunk: its type, its body, and all its bytes with length and checksum."""

    kind: bytes
    body: memoryview
    raw: memoryview


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the whole chunks of a PNG up to IEND, or up to where the file breaks off.

    Raises ValueError when there are more than MAX_CHUNKS.
    """
    view = memoryview(data)
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if at + 12 > len(view) or end > len(view):
            return
        chunk = Chunk(bytes(view[at + 4 : at + 8]), view[at + 8 : end - 4], view[at:end])
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = end
    raise ValueError("too many PNG chunks")


def declared_size(data: bytes) -> tuple[int, int]:
    """Return width and height by the header. Raises ValueError when it does not come first."""
    header = next(chunks(data), None)
    if header is None or header.kind != b"IHDR" or len(header.body) != 13:
        raise ValueError("no PNG header")
    return int.from_bytes(header.body[:4], "big"), int.from_bytes(header.body[4:8], "big")


def make_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a whole chunk, with its length and checksum."""
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return b"".join((len(body).to_bytes(4, "big"), kind, body, checksum.to_bytes(4, "big")))


def with_chunks(data: bytes, added: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the file with chunks of these types and bodies right after its header."""
    header = next(chunks(data)).raw
    at = len(SIGNATURE) + len(header)
    made = (make_chunk(kind, body) for kind, body in added)
    return b"".join((data[:at], *made, memoryview(data)[at:]))


def check_whole(data: bytes) -> None:
    """Raise ValueError unless every chunk is as it was written, from the header to the end."""
    last = None
    if data.startswith(SIGNATURE):
        declared_size(data)
        for last in chunks(data):
            if zlib.crc32(last.raw[4:-4]) != int.from_bytes(last.raw[-4:], "big"):
                raise ValueError("a PNG chunk is damaged")
    if last is None or last.kind != b"IEND":
        raise ValueError("a PNG is not whole")


def pixels_only(data: bytes) -> bytes:
    """Return the file with only what its pixels need.

    Text, later frames and unknown chunks never reach a decoder, however they would unfold.
    """
    kept = (chunk.raw for chunk in chunks(data) if chunk.kind in _PIXEL_CHUNKS)
    return b"".join((SIGNATURE, *kept))


def exif_block(data: bytes) -> bytes | None:
    """Return the first EXIF block, None without one."""
    return next((bytes(chunk.body) for chunk in chunks(data) if chunk.kind == b"eXIf"), None)


def colour_profile(data: bytes) -> bytes | None:
    """Return the unpacked ICC profile; None without one, a broken one or one over MAX_PROFILE."""
    for chunk in chunks(data):
        if chunk.kind == b"iCCP":
            name_end = bytes(chunk.body[:80]).find(b"\0")
            return inflate(chunk.body[name_end + 2 :], MAX_PROFILE)
    return None


def inflate(body: bytes | memoryview, limit: int) -> bytes | None:
    """Return the decompressed bytes, or None when they are broken or more than `limit` bytes."""
    stream = zlib.decompressobj()
    try:
        # One byte more, so that a stream of exactly `limit` bytes still reaches its end.
        out = stream.decompress(body, limit + 1)
    except zlib.error:
        return None
    return out if stream.eof and len(out) <= limit else None
