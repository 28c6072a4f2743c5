"""Where fuzzing starts from: small honest and dishonest inputs, all made here."""

from __future__ import annotations

import io
import json
import struct
import zlib

from PIL import Image

from bot.imaging.metadata import Metadata, exif_bytes, png_info
from tests.imaging.pictures import encode, gradient, png_chunk, with_chunk

METADATA = Metadata(
    prompt="a *cat* <@1> @everyone", seed=7, width=512, height=512, num_inference_steps=2
)


def pictures() -> list[bytes]:
    """Return pictures of every format, animated and many-framed, bombs, polyglots and liars."""
    small = gradient(24, 16)
    frames = {"save_all": True, "append_images": [small.rotate(90), small.rotate(180)]}
    plain = [encode(small, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")]
    moving = [encode(small, kind, **frames) for kind in ("PNG", "WEBP", "GIF", "AVIF")]
    zipped = io.BytesIO()
    zipped.write(b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(16) + b"\x05\0\0\0a.txthello")
    png = plain[0]
    return [
        *plain,
        *moving,
        encode(small, "JPEG", progressive=True),
        encode(small.convert("CMYK"), "JPEG"),
        encode(small.quantize(8), "PNG", transparency=2),
        with_chunk(png, b"zTXt", b"key\0\0" + zlib.compress(bytes(200_000))),
        with_chunk(png, b"zipp", zipped.getvalue()),
        png + zipped.getvalue(),
        plain[3] + b"<script>alert(1)</script>",
        huge_png(60_000, 60_000),
        huge_png(1, 2**31 - 1),
        b"\x89PNG\r\n\x1a\n",
    ]


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG of a hundred bytes that claims any size."""
    header = struct.pack(">II", width, height) + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def described() -> list[bytes]:
    """Return pictures that tell of their making, in our words and in others'."""
    small = Image.new("RGB", (8, 8))
    exif = exif_bytes(METADATA)
    others = "a cat\nNegative prompt: dog\nSteps: 4, Seed: 9, CFG scale: 1.5, Size: 512x512"
    return [
        encode(small, "PNG", pnginfo=png_info(METADATA)),
        encode(small, "JPEG", exif=exif),
        encode(small, "WEBP", exif=exif),
        with_chunk(encode(small, "PNG"), b"tEXt", b"parameters\0" + others.encode("latin-1")),
        with_chunk(encode(small, "PNG"), b"iTXt", b"turbocord\0\0\0\0\0" + own_json()),
        with_chunk(
            encode(small, "PNG"), b"zTXt", b"parameters\0\0" + zlib.compress(others.encode() * 50)
        ),
    ]


def own_json() -> bytes:
    """Return our own form with a hostile prompt."""
    fields = {"schema": 1, "prompt": "`*_~|>\u202e@here", "seed": 1, "num_inference_steps": 1}
    return json.dumps(fields | {"width": 64, "height": 64, "strength": 0.5}).encode()


def prompts() -> list[bytes]:
    """Return what members type after a mention."""
    texts = [
        "make it snow --strength .6 --seed 7",
        '--no "too much text" --style=pixel a cat —steps 2',
        "--count 4 --guidance 1e308 --size wide",
        "--seed " + "9" * 400,
        "--strength nan --guidance inf -- --",
        "ａ ｃａｔ \u202e\u0000 @everyone <@&1> ```",
    ]
    return [text.encode() for text in texts]


def custom_ids() -> list[bytes]:
    """Return custom_ids, ours and forged."""
    ids = [
        "tc:reroll:0123456789ab:0",
        "tc:choose:0123456789ab:9",
        "tc:remix:ffffffffffff:99",
        "tc:nothing:0123456789ab:1",
        "tc:delete:0123456789AB:1",
        "tc:reroll:0123456789ab:0:tc:reroll:0123456789ab:0",
        "tc:cancel:../../etc/passwd:0",
    ]
    return [one.encode() for one in ids]


def settings() -> list[bytes]:
    """Return settings as an environment, a guild's stored choices, and a manager's typing."""
    return [
        b"max_steps=4\nshards=0,1/4\nowners=1,2\napi_base=https://discord.com/",
        b"default_size=square\ninput_pixels=64000000\nclaim_seconds=1e309\nqueue_total=0",
        b"shards=0/0\nowners=,,x\ndownload_bytes=1e9\nlimits_url=async+redis://h:1/0",
        json.dumps(
            {
                "default_strength": 0.5,
                "blocklist": ["gore"],
                "guild_quota": [120, 60],
                "nsfw_policy": "spoiler",
                "allowed_channel_ids": [1, 2**63 - 1],
            }
        ).encode(),
        b'{"max_steps": 1e400, "guild_quota": [[], {}], "locale": null, "nsfw_policy": []}',
        b"20/60",
        b"999999999999/1",
        "٣/٤".encode(),
        b"0,5",
        b"word\n" * 30 + b"x" * 200,
    ]
