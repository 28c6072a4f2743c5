"""Pictures that tests send and read."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from bot.request import Pixels

EXIF_ORIENTATION = 0x0112


def sideways_photo() -> bytes:
    """Return a JPEG as a phone held upright writes it: stored lying, to be turned by EXIF.

    Seen upright it is 300×400: red above, blue below.
    """
    seen = Image.new("RGB", (300, 400), (220, 20, 20))
    seen.paste((20, 20, 220), (0, 200, 300, 400))
    stored = seen.rotate(90, expand=True)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    data = io.BytesIO()
    stored.save(data, "JPEG", exif=exif, quality=95)
    return data.getvalue()


def png(width: int = 64, height: int = 64, colour: tuple[int, int, int] = (9, 99, 9)) -> bytes:
    """Return a plain PNG."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    return data.getvalue()


def pixels_of(data: bytes) -> Pixels:
    """Return the pixels of a picture, (height, width, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        pixels: npt.NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    return pixels
