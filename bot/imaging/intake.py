"""From a stranger's bytes to an RGB picture as a person sees it, or to a sentence why not."""

from __future__ import annotations

import asyncio
import io
import logging
import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeVar

from PIL import Image

from bot.errors import BadPicture
from bot.imaging.colour import to_plain, to_srgb
from bot.imaging.container import read_container
from bot.imaging.exif import ExifBlock
from bot.imaging.metadata import Metadata, read_metadata
from bot.imaging.sniff import Format, sniff
from bot.request import SIZES, Size

log = logging.getLogger(__name__)

T = TypeVar("T")

_FORMAT_SHARE: Final[dict[Format, float]] = {"WEBP": 0.5, "AVIF": 0.7}
"""Share of `max_pixels` by format: these decoders take 17 and 12 bytes a pixel, the others at
most 8.3 (a progressive CMYK JPEG), measured with Pillow 13."""

_STRIP_PIXELS: Final = 4_000_000
"""Pixels that are converted at once, so that conversions never copy a whole large picture."""

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may cost.

    `max_pixels` counts the file's own pixels, `max_side` the longer side. `max_scan_pixels` is
    pixels times scans of a JPEG, each of which is decoded over the whole picture. A picture whose
    shorter side is at least twice `working_side`, or that has more than `working_pixels`, is
    reduced by a whole factor while it is read.
    """

    max_pixels: int = 64_000_000
    max_side: int = 32_768
    max_scan_pixels: int = 1_500_000_000
    working_side: int = 1024
    working_pixels: int = 8_000_000


DEFAULT_LIMITS: Final = Limits()


def open_picture(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Return the picture as RGB, upright, in sRGB, opaque; of an animation the first frame.

    Large pictures come back smaller by a whole factor; unless they are over ten times as long as
    wide, still large enough for any of SIZES. Peak memory, measured over every format at its
    largest, is up to 8.6 bytes for each of `limits.max_pixels`: 525 MiB for 64 million. Raises
    BadPicture, whatever the bytes.
    """
    if not data:
        raise BadPicture("picture_empty")
    kind = sniff(data)
    try:
        return _open(data, kind, limits)
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        log.info("picture refused: %s bomb (%s)", kind, type(error).__name__)
        raise BadPicture("picture_too_large", megapixels=_millions(limits.max_pixels)) from error
    # Decoders raise nearly everything on broken bytes, and none of it is our fault or news.
    except Exception as error:
        log.info("picture refused: damaged %s (%s: %.80s)", kind, type(error).__name__, error)
        raise BadPicture("picture_damaged", format=_shown(kind)) from error


def _open(data: bytes, kind: Format, limits: Limits) -> Image.Image:
    container = read_container(data, kind)
    if container.size is not None:
        width, height = container.size
        _check_size(width, height, kind, limits)
        if width * height * container.scans > limits.max_scan_pixels:
            raise BadPicture("picture_heavy")
    with Image.open(io.BytesIO(container.data), formats=(kind,)) as image:
        _check_size(*image.size, kind, limits)
        # A JPEG decodes straight to a half, quarter or eighth; other formats ignore this.
        factor = _factor(image, limits)
        image.draft(None, (math.ceil(image.width / factor), math.ceil(image.height / factor)))
        image.load()
        profile = container.profile or image.info.get("icc_profile")
        exif = container.exif or image.info.get("exif", b"")
        small = _reduced(image, limits)
    rgb = to_srgb(small, profile)
    turn = _TURNS.get(ExifBlock(exif).orientation)
    upright = rgb if turn is None else rgb.transpose(turn)
    # Where it was taken and by what phone goes no further, nor a profile already applied.
    upright.info = {}
    return upright


def _check_size(width: int, height: int, kind: Format, limits: Limits) -> None:
    allowed = int(limits.max_pixels * _FORMAT_SHARE.get(kind, 1.0))
    if width * height > allowed:
        raise BadPicture("picture_too_large", megapixels=_millions(allowed))
    if max(width, height) > limits.max_side:
        raise BadPicture("picture_too_long", side=max(width, height), limit=limits.max_side)
    if min(width, height) < 1:
        raise BadPicture("picture_damaged", format=_shown(kind))


def _factor(image: Image.Image, limits: Limits) -> int:
    """Return the whole factor by which the picture may be reduced; 1 leaves it as it is."""
    by_side = min(image.size) // limits.working_side
    by_area = math.ceil(math.sqrt(image.width * image.height / limits.working_pixels))
    return max(1, by_side, by_area)


def _reduced(image: Image.Image, limits: Limits) -> Image.Image:
    """Return the pixels plain and, where there are plenty, reduced; converted strip by strip."""
    factor = _factor(image, limits)
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    if image.height <= rows:
        plain = to_plain(image)
        return plain.reduce(factor) if factor > 1 else plain.copy()
    out: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        strip = to_plain(strip)
        if factor > 1:
            strip = strip.reduce(factor)
        if out is None:
            out = Image.new(strip.mode, (strip.width, math.ceil(image.height / factor)))
        out.paste(strip, (0, top // factor))
    assert out is not None
    return out


def _millions(pixels: int) -> int:
    return pixels // 1_000_000


def _shown(kind: Format) -> str:
    return "WebP" if kind == "WEBP" else kind


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the picture scaled to cover `width` × `height` pixels and cropped to its middle."""
    scale = min(image.width / width, image.height / height)
    left = (image.width - width * scale) / 2
    top = (image.height - height * scale) / 2
    # Rounding must not carry the box past the edge, which Pillow refuses.
    right = min(left + width * scale, image.width)
    bottom = min(top + height * scale, image.height)
    box = (left, top, right, bottom)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def nearest_size(image: Image.Image) -> Size:
    """Return the bucket whose aspect is nearest by ratio, so that least is cropped away."""
    aspect = math.log(image.width / image.height)
    return min(SIZES.values(), key=lambda size: abs(math.log(size.aspect) - aspect))


class Intake:
    """Reads and fits pictures in `executor`, so that the event loop never waits for a decoder.

    At most `concurrency` pictures are decoded at once: they share the executor with other work,
    and memory is bounded by that many times the peak of `open_picture`. `timeout_s` bounds how
    long a member waits, for a turn and for the decoder together.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        max_pixels: int = DEFAULT_LIMITS.max_pixels,
        timeout_s: float = 20.0,
        concurrency: int = 2,
    ) -> None:
        self.limits = Limits(max_pixels=max_pixels)
        self.timeout_s = timeout_s
        self._executor = executor
        self._turns = asyncio.Semaphore(concurrency)

    async def open(self, data: bytes) -> Image.Image:
        """Return `open_picture(data)`. Raises BadPicture, also when the time is up."""
        return await self._run(lambda: open_picture(data, limits=self.limits))

    async def fit(self, image: Image.Image, width: int, height: int) -> Image.Image:
        """Return `fit(image, width, height)`. Raises BadPicture when the time is up."""
        return await self._run(lambda: fit(image, width, height))

    async def read(self, data: bytes) -> Metadata | None:
        """Return `read_metadata(data)`. Raises BadPicture when the time is up."""
        return await self._run(lambda: read_metadata(data))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._turns.acquire()
                try:
                    future = asyncio.get_running_loop().run_in_executor(self._executor, work)
                except BaseException:
                    self._turns.release()
                    raise
                # A thread cannot be stopped: an abandoned decode keeps its turn until it ends.
                future.add_done_callback(self._release)
                return await asyncio.shield(future)
        except TimeoutError:
            log.warning("reading a picture took more than %g s", self.timeout_s)
            raise BadPicture("picture_heavy") from None

    def _release(self, future: asyncio.Future[T]) -> None:
        self._turns.release()
        if not future.cancelled():
            future.exception()  # seen: whoever asked may be gone
