"""Telling a file's format from its bytes: names and content types are only claims."""

from __future__ import annotations

from typing import Final, Literal

from PIL import features

from bot.errors import BadPicture

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"]

_HEAD: Final = 4096

_STILLS: Final = (
    (b"II*\0", "TIFF or camera RAW"),
    (b"MM\0*", "TIFF or camera RAW"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"FUJIFILMCCD-RAW", "camera RAW"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\x02\0", "CUR"),
    (b"icns", "ICNS"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
)
_VIDEOS: Final = (
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"FLV\x01", "Flash video"),
    (b"\0\0\x01\xba", "MPEG"),
    (b"\0\0\x01\xb3", "MPEG"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"OggS", "Ogg"),
)
_OTHERS: Final = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP or office"),
    (b"PK\x05\x06", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"),
    (b"{\\rtf", "RTF"),
    (b"ID3", "MP3"),
    (b"fLaC", "FLAC"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
)
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"hej2"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_AUDIO_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"M4P "})
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def sniff(data: bytes) -> Format:
    """Return the format of a picture we can read.

    Raises BadPicture that names any other kind of file by what it is, where we know it.
    """
    head = data[:_HEAD]
    known = _readable(head)
    if known is not None:
        return known
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _iso_media(head)
    for magic, name in _STILLS:
        if head.startswith(magic):
            raise BadPicture("picture_format", format=name)
    for magic, name in _VIDEOS:
        if head.startswith(magic):
            raise BadPicture("picture_video", format=name)
    for magic, name in _OTHERS:
        if head.startswith(magic):
            raise BadPicture("picture_document", format=name)
    if head.startswith(b"RIFF") and head[8:11] == b"AVI":
        raise BadPicture("picture_video", format="AVI")
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        raise BadPicture("picture_document", format="WAV")
    raise _markup(head) or BadPicture("picture_unknown")


def _readable(head: bytes) -> Format | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    # Two letters alone would claim any text that starts with "BM".
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None


def _iso_media(head: bytes) -> Format:
    """Return AVIF, or refuse the other formats that live in ISO base media boxes."""
    end = min(int.from_bytes(head[:4], "big"), 256)
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        if features.check("avif"):
            return "AVIF"
        raise BadPicture("picture_format", format="AVIF")
    if brands & _HEIF_BRANDS or major in (b"mif1", b"msf1"):
        raise BadPicture("picture_heic")
    if major == b"crx ":
        raise BadPicture("picture_format", format="camera RAW")
    if major in _AUDIO_BRANDS:
        raise BadPicture("picture_document", format="M4A")
    raise BadPicture("picture_video", format="QuickTime" if major == b"qt  " else "MP4")


def _markup(head: bytes) -> BadPicture | None:
    """Return the refusal for text that describes a picture or a page."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<"):
        if b"<svg" in text:
            return BadPicture("picture_format", format="SVG")
        if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
            return BadPicture("picture_document", format="HTML")
        return BadPicture("picture_document", format="XML")
    return None
