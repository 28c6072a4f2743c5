"""Pixels into a PNG, fast and without holding the interpreter up.

numpy filters and zlib deflates, and both let other threads run meanwhile, where Pillow's encoder
does not. Measured at 512×512 on one core: a photograph takes 8 ms where Pillow takes 19 with the
same strategy, and the file is 5 % smaller; one of the starter model's pictures 7 ms where Pillow
takes 13, and 6 % larger.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

from bot.imaging.png_chunks import SIGNATURE, make_chunk
from bot.request import Pixels

_SUB: Final = 1
_UP: Final = 2
_AVERAGE: Final = 3


def write_png(pixels: Pixels) -> bytes:
    """Return uint8 RGB `pixels` (height, width, 3) as a PNG without any metadata."""
    height, width, _ = pixels.shape
    # Matching at distance one only: filtered rows have no longer repeats worth looking for, and
    # looking is what takes zlib long.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    rows = _filtered(pixels.reshape(height, width * 3))
    data = packer.compress(rows.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (make_chunk(b"IHDR", header), make_chunk(b"IDAT", data), make_chunk(b"IEND", b""))
    return b"".join((SIGNATURE, *parts))


def _filtered(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return each row as its differences from what a filter expects, whichever is flattest.

    The number of the filter goes before the row (PNG specification, third edition, section 9). The
    Paeth filter is left out: it takes as long as everything else together.
    """
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, 3:] = rows[:, :-3]
    above[1:] = rows[:-1]
    # What two bytes have in common and half of what they have not: their mean, without a carry.
    mean = (left & above) + ((left ^ above) >> 1)
    tries = {_SUB: rows - left, _UP: rows - above, _AVERAGE: rows - mean}
    flattest = np.stack([_roughness(each) for each in tries.values()]).argmin(axis=0)
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    for index, (number, differences) in enumerate(tries.items()):
        chosen = flattest == index
        filtered[chosen, 0] = number
        filtered[chosen, 1:] = differences[chosen]
    return filtered


def _roughness(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Return the sum of the absolute differences in each row, as the specification suggests."""
    sizes = np.abs(rows.view(np.int8)).view(np.uint8)
    total: npt.NDArray[np.uint32] = sizes.sum(axis=1, dtype=np.uint32)
    return total
