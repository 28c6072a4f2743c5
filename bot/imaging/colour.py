"""From whatever a file holds to the RGB a person sees: depth, alpha, palettes and profiles."""

from __future__ import annotations

import io
import logging
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from bot.imaging.png_chunks import MAX_PROFILE

log = logging.getLogger(__name__)

BACKGROUND: Final = (255, 255, 255)
"""What shows through transparent pixels: paper, which models know better than a checkerboard."""

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_plain(image: Image.Image) -> Image.Image:
    """Return the pixels in one of L, LA, RGB, RGBA, CMYK: 8 bits, no palette, colour key as alpha.

    Raises ValueError for a mode that none of the readable formats has.
    """
    if image.mode in ("LA", "RGBA", "CMYK"):
        return image
    transparency = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        return _from_16_bit(image, transparency)
    if transparency is not None and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode == "P":
        return image.convert("RGBA" if _has_alpha_palette(image) else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "PA":
        return image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    raise ValueError(f"unexpected mode {image.mode}")


def _has_alpha_palette(image: Image.Image) -> bool:
    return image.palette is not None and image.palette.mode == "RGBA"


def _from_16_bit(image: Image.Image, transparency: object) -> Image.Image:
    """Return 16-bit grey as 8-bit; the colour key is compared before the depth is lost."""
    samples = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((samples * 255 + 32767) // 65535).astype(np.uint8))
    if not isinstance(transparency, int):
        return grey
    alpha = Image.fromarray(np.where(samples == transparency, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a plain picture as opaque sRGB: profile applied, transparency over BACKGROUND."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if image.mode == "LA":
        colour = image.getchannel("L")
    elif image.mode == "RGBA":
        colour = image.convert("RGB")
    else:
        colour = image
    rgb = _apply_profile(colour, profile) if profile else None
    if rgb is None:
        rgb = colour.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return rgb
    paper = Image.new("RGB", rgb.size, BACKGROUND)
    paper.paste(rgb, mask=alpha)
    return paper


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the picture in sRGB; None where the profile is broken or for another colour space.

    A wrong profile is what other viewers ignore too, so it does not cost the member the picture.
    """
    if len(profile) > MAX_PROFILE:
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            _SRGB,
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.debug("colour profile ignored: %s", type(error).__name__)
        return None
