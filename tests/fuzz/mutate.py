"""Spoiling bytes at random: flips, cuts, splices, numbers that mean trouble, repeated pieces."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

NUMBERS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS: Final = (
    b"--", b"=", b"@everyone", b"<@1>", b"nan", b"inf", b"1e999", b"-1", b"9" * 60, b"\0",
    b"\xff", b"\xed\xa0\x80", "\u202e".encode(), b"`", b"IDAT", b"IEND", b"acTL", b"PK\x03\x04",
)  # fmt: skip


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return `data` spoiled in one to four ways."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = chance.choice(WAYS)(data, others, chance)
    return data


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _flipped(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _number in range(min(len(data), chance.choice((1, 1, 3, 8)))):
        spoiled[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def _cut(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _without(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[:start] + data[end:]


def _repeated(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[:end] + data[start:end] * chance.choice((1, 2, 50)) + data[end:]


def _spliced(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _numbered(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    order, (size, code) = chance.choice("<>"), chance.choice(((1, "B"), (2, "H"), (4, "I")))
    at = _place(data, chance)
    number = chance.choice(NUMBERS) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(f"{order}{code}", number) + data[at + size :]


def _worded(data: bytes, _: list[bytes], chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(WORDS) + data[at:]


WAYS: Final[tuple[Callable[[bytes, list[bytes], random.Random], bytes], ...]] = (
    _flipped, _cut, _without, _repeated, _spliced, _numbered, _worded,
)  # fmt: skip
