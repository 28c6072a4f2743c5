"""Whatever the file holds, the picture comes out as a person sees it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter, ImageOps

from bot.imaging.intake import Limits, fit, nearest_size, open_picture
from bot.request import SIZES
from tests.imaging.pictures import difference, encode, gradient, png_chunk, refusal, with_chunk

LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG": {"quality": 100, "subsampling": 0},
}
TURNED_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera held that way stores an upright scene: the inverse of what we must do."""


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("kind", LOSSLESS)
def test_each_format_gives_its_pixels(kind: str) -> None:
    picture = open_picture(encode(gradient(), kind, **LOSSLESS[kind]))
    assert picture.mode == "RGB"
    assert difference(picture, gradient()) <= (0 if kind in ("PNG", "BMP", "WEBP") else 6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", TURNED_BY)
def test_exif_orientation_turns_the_picture_upright(kind: str, orientation: int) -> None:
    how = TURNED_BY[orientation]
    stored = gradient() if how is None else gradient().transpose(how)
    picture = open_picture(encode(stored, kind, exif=exif(orientation), **LOSSLESS[kind]))
    assert difference(picture, gradient()) <= 6


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_senseless_orientation_is_ignored(orientation: int) -> None:
    picture = open_picture(encode(gradient(), "PNG", exif=exif(orientation)))
    assert picture.size == gradient().size


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "GIF"])
def test_transparency_shows_white_paper(kind: str) -> None:
    picture = gradient()
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 32, 48))
    picture.putalpha(alpha)
    options = LOSSLESS.get(kind, {})
    seen = np.asarray(open_picture(encode(picture, kind, **options)), np.int16)
    assert (seen[:, :30] >= 250).all()
    assert np.abs(seen[:, 34:] - np.asarray(gradient(), np.int16)[:, 34:]).max() <= 60


def test_half_transparency_is_mixed_with_white() -> None:
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert open_picture(encode(picture, "PNG")).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("transparent", [None, 1, b"\xff\x00\x80"])
def test_palettes_and_their_transparency(transparent: int | bytes | None) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2])
    options = {} if transparent is None else {"transparency": transparent}
    seen = list(open_picture(encode(picture, "PNG", **options)).get_flattened_data())
    assert seen[0] == (10, 20, 30)
    assert seen[1] == ((40, 50, 60) if transparent is None else (255, 255, 255))
    if isinstance(transparent, bytes):
        assert seen[2][0] == pytest.approx(255 - (255 - 70) * 128 / 255, abs=1)


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_colour_keys_become_transparent(mode: str, key: object) -> None:
    picture = Image.new(mode, (4, 4), key)
    seen = open_picture(encode(picture, "PNG", transparency=key))
    assert seen.getpixel((0, 0)) == (255, 255, 255)


def test_one_bit_and_grey_with_alpha() -> None:
    assert open_picture(encode(Image.new("1", (4, 4), 1), "PNG")).getpixel((0, 0)) == (255,) * 3
    grey = Image.new("LA", (4, 4), (100, 0))
    assert open_picture(encode(grey, "PNG")).getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_grey_keeps_its_range() -> None:
    samples = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, -1).repeat(4, axis=0)
    seen = np.asarray(open_picture(encode(Image.fromarray(samples), "PNG")))
    assert (seen[0, :, 0] == np.arange(256)).all()


def test_16_bit_grey_with_a_colour_key() -> None:
    samples = np.array([[1000, 1001]], np.uint16)
    png = encode(Image.fromarray(samples), "PNG")
    seen = open_picture(with_chunk(png, b"tRNS", (1000).to_bytes(2, "big")))
    assert seen.getpixel((0, 0)) == (255, 255, 255)
    assert seen.getpixel((1, 0)) == (4, 4, 4)


def png_of(depth: int, colour: int, row: bytes, width: int) -> bytes:
    header = width.to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def test_16_bit_colour_with_and_without_alpha() -> None:
    rgb = bytes.fromhex("ffff 8000 0000")
    assert open_picture(png_of(16, 2, rgb, 1)).getpixel((0, 0)) == (255, 128, 0)
    clear = bytes.fromhex("ffff 8000 0000 0000")
    assert open_picture(png_of(16, 6, clear, 1)).getpixel((0, 0)) == (255, 255, 255)
    assert open_picture(png_of(16, 4, bytes.fromhex("8000 ffff"), 1)).getpixel((0, 0)) == (128,) * 3


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits(depth: int) -> None:
    assert open_picture(png_of(depth, 0, b"\xff", 1)).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_comes_out_as_colour_not_as_its_negative() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = np.asarray(open_picture(encode(cyan, "JPEG", quality=100)))[0, 0].tolist()
    assert red < 40
    assert green > 200
    assert blue > 200


def swapped_profile() -> bytes:
    """Return an sRGB profile whose red and green primaries are exchanged: easy to see."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * 16, 12)}
    red, green = entries[b"rXYZ"] + 4, entries[b"gXYZ"] + 4
    place = bytes(profile[red : red + 8])
    profile[red : red + 8] = profile[green : green + 8]
    profile[green : green + 8] = place
    return bytes(profile)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_colour_profiles_are_applied(kind: str) -> None:
    red = Image.new("RGB", (32, 32), (250, 0, 0))
    data = encode(red, kind, icc_profile=swapped_profile(), **LOSSLESS[kind])
    seen = np.asarray(open_picture(data))[16, 16]
    assert seen[1] > 200 > 60 > seen[0]


def test_a_profile_holds_for_pictures_with_alpha_too() -> None:
    picture = Image.new("RGBA", (32, 32), (250, 0, 0, 255))
    seen = np.asarray(open_picture(encode(picture, "PNG", icc_profile=swapped_profile())))
    assert seen[16, 16, 1] > 200


@pytest.mark.parametrize(
    "profile",
    [b"", b"not a profile", swapped_profile()[:200], swapped_profile() + bytes(5 * 1024 * 1024)],
)
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    picture = open_picture(encode(gradient(), "PNG", icc_profile=profile))
    assert difference(picture, gradient()) == 0


def test_a_profile_for_other_colours_is_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert difference(open_picture(encode(gradient(), "PNG", icc_profile=lab)), gradient()) == 0
    grey = Image.new("L", (8, 8), 90)
    seen = open_picture(encode(grey, "PNG", icc_profile=swapped_profile()))
    assert seen.getpixel((0, 0)) == (90, 90, 90)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_animations_show_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    red, green, blue = np.asarray(open_picture(data), int)[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_a_gif_frame_smaller_than_its_canvas() -> None:
    whole = Image.new("P", (16, 16))
    whole.putpalette([255, 0, 0, 0, 0, 255])
    data = bytearray(encode(whole, "GIF"))
    data[6:10] = (40).to_bytes(2, "little") + (30).to_bytes(2, "little")
    assert open_picture(bytes(data)).size == (40, 30)


def test_a_phone_picture_with_a_second_picture_behind_it() -> None:
    photo = encode(gradient(), "JPEG", quality=95)
    assert open_picture(photo + encode(Image.new("RGB", (9, 9)), "JPEG")).size == (64, 48)
    two = encode(gradient(), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert open_picture(two).size == (64, 48)


def test_progressive_and_grey_jpegs() -> None:
    progressive = encode(gradient(), "JPEG", quality=100, subsampling=0, progressive=True)
    assert difference(open_picture(progressive), gradient()) <= 6
    grey = encode(gradient().convert("L"), "JPEG", quality=100)
    assert difference(open_picture(grey), gradient().convert("L").convert("RGB")) <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("size", [(2300, 2100), (4200, 1100)])
def test_large_pictures_come_back_smaller_but_alike(kind: str, size: tuple[int, int]) -> None:
    smooth = gradient(*size)
    limits = Limits(working_side=256, working_pixels=1_000_000)
    options = {"quality": 95} if kind == "JPEG" else {}
    picture = open_picture(encode(smooth, kind, **options), limits=limits)
    assert 256 <= min(picture.size) < 512
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.01)
    assert difference(picture, smooth.resize(picture.size, Image.Resampling.BOX)) <= 12


def test_strips_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.imaging.intake._STRIP_PIXELS", 700)
    for picture in (gradient(64, 201), gradient(300, 57).convert("L")):
        assert difference(open_picture(encode(picture, "PNG")), picture.convert("RGB")) == 0
        limits = Limits(working_side=16)
        seen = open_picture(encode(picture, "PNG"), limits=limits)
        factor = min(picture.size) // 16
        assert difference(seen, picture.reduce(factor).convert("RGB")) <= 1


@pytest.mark.parametrize("kind", LOSSLESS)
def test_too_many_pixels_are_refused_with_the_limit(kind: str) -> None:
    data = encode(Image.new("RGB", (2000, 1600)), kind)
    error = refusal(data, limits=Limits(max_pixels=3_000_000))
    assert error.code == "picture_too_large"
    allowed = {"WEBP": 1, "AVIF": 2}.get(kind, 3)
    assert error.details == {"megapixels": allowed}
    assert refusal(data, limits=Limits(max_side=1999)).code == "picture_too_long"


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(gradient(512, 512), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    many = data[:-2] + data[scan:-2] * 200 + b"\xff\xd9"
    assert refusal(many, limits=Limits(max_scan_pixels=10_000_000)).code == "picture_heavy"
    # A marker without a length, which libjpeg reads over, followed by one that looks like one.
    for alone in (b"\xff\x01", b"\xff\xd0"):
        hidden = data[:-2] + (alone + data[scan:-2]) * 200 + b"\xff\xd9"
        assert refusal(hidden, limits=Limits(max_scan_pixels=10_000_000)).code == "picture_heavy"
    assert open_picture(data, limits=Limits(max_scan_pixels=10_000_000)).size == (512, 512)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_file_cut_in_the_middle_is_called_damaged(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), kind)
    error = refusal(data[: len(data) * 2 // 3])
    assert error.code == "picture_damaged"
    assert error.details["format"] == ("WebP" if kind == "WEBP" else kind)


def test_nothing_is_said_to_be_empty() -> None:
    assert refusal(b"").code == "picture_empty"


@pytest.mark.parametrize("size", [(512, 512), (704, 384), (384, 704), (448, 576)])
@pytest.mark.parametrize("source", [(1, 1), (1, 900), (700, 3), (1400, 1000), (333, 777)])
def test_fit_covers_exactly(source: tuple[int, int], size: tuple[int, int]) -> None:
    assert fit(Image.new("RGB", source, "red"), *size).getcolors() == [
        (size[0] * size[1], (255, 0, 0))
    ]


def test_fit_crops_to_the_middle() -> None:
    picture = gradient(900, 500).filter(ImageFilter.BoxBlur(1))
    ours = fit(picture, 448, 576)
    theirs = ImageOps.fit(picture, (448, 576), Image.Resampling.LANCZOS)
    assert difference(ours, theirs) <= 3


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((1000, 1000), "square"),
        ((1000, 1100), "square"),
        ((3000, 4000), "portrait"),
        ((4032, 3024), "landscape"),
        ((1920, 1080), "wide"),
        ((1080, 1920), "tall"),
        ((10000, 10), "wide"),
        ((1, 1000), "tall"),
    ],
)
def test_the_nearest_bucket_crops_least(size: tuple[int, int], name: str) -> None:
    assert nearest_size(Image.new("1", size)).name == name


def test_every_bucket_is_its_own_nearest() -> None:
    for size in SIZES.values():
        assert nearest_size(Image.new("1", (size.width, size.height))) == size


def test_nothing_but_pixels_is_handed_on() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        data = encode(gradient(), kind, exif=exif(6), icc_profile=swapped_profile())
        picture = open_picture(data)
        assert type(picture) is Image.Image
        assert picture.info == {}
