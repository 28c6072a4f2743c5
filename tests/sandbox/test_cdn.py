"""The CDN: signed addresses that expire, and what is told of a file."""

from __future__ import annotations

import struct
import zlib

import aiohttp
import discord
import pytest

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from bot.sandbox.cdn import describe, safe_filename
from tests.sandbox.helpers import Connect, answering, as_file, picture


async def test_an_address_expires_and_fetching_the_message_renews_it(
    client: SandboxClient,
) -> None:
    sent = await client.send(channel="art", files={"p.png": picture()})
    (attachment,) = sent["attachments"]
    assert await client.download(attachment) == picture()
    assert await client.download(attachment["proxy_url"]) == picture()
    await client.advance(24 * 3600 + 1)
    with pytest.raises(SandboxError, match="no longer available") as caught:
        await client.download(attachment)
    assert caught.value.status == 404
    again = await client.message(sent["id"])
    assert again["attachments"][0]["id"] == attachment["id"]
    assert await client.download(again["attachments"][0]) == picture()


async def test_an_address_carries_ex_is_and_hm(client: SandboxClient) -> None:
    sent = await client.send(channel="art", files={"p.png": picture()})
    url = aiohttp.client.URL(sent["attachments"][0]["url"])
    assert set(url.query) == {"ex", "is", "hm"}
    assert int(url.query["ex"], 16) - int(url.query["is"], 16) == 24 * 3600
    for spoiled in (url.with_query(None), url.update_query(ex="ffffffff"), url.with_name("q.png")):
        with pytest.raises(SandboxError):
            await client.download(str(spoiled))


async def test_ephemeral_files_vanish_earlier(connect: Connect, client: SandboxClient) -> None:
    async def whisper(interaction: discord.Interaction) -> None:
        await interaction.response.send_message(file=as_file(), ephemeral=True)

    await connect(answering(whisper))
    record = await client.wait_response(await client.command("/go", user="ben", channel="art"))
    (attachment,) = record["response"]["attachments"]
    assert attachment["ephemeral"]
    assert "/ephemeral-attachments/" in attachment["url"]
    await client.advance(3601)
    with pytest.raises(SandboxError):
        await client.download(attachment)
    fresh = (await client.interaction(record["id"]))["response"]["attachments"][0]
    assert await client.download(fresh) == picture()
    await client.dismiss(record["response"]["id"], user="ben")
    with pytest.raises(SandboxError):
        await client.download(fresh)


async def test_files_go_with_their_message(client: SandboxClient) -> None:
    sent = await client.send(channel="art", files={"p.png": picture()})
    await client.delete(sent["id"])
    with pytest.raises(SandboxError):
        await client.download(sent["attachments"][0])


async def test_bytes_kept_are_bounded() -> None:
    async with Sandbox(keep_bytes=1000) as small, small.client() as client:
        first = await client.send("1", files={"a.bin": bytes(600)})
        second = await client.send("2", files={"b.bin": bytes(600)})
        with pytest.raises(SandboxError):
            await client.download(first["files"][0])
        assert len(await client.download(second["files"][0])) == 600


def test_the_type_is_told_from_the_bytes_of_a_picture() -> None:
    assert describe("photo.png", picture(form="JPEG")) == ("image/jpeg", 64, 48)
    assert describe("notes.txt", b"hello") == ("text/plain", None, None)
    assert describe("odd", b"") == (None, None, None)


@pytest.mark.parametrize("side", [15_000, 60_000])
def test_a_bomb_is_described_without_being_decoded(side: int) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc
    assert describe("bomb.png", bomb)[0] == "image/png"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("my cat.png", "my_cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a.jpg", "a.jpg"),
        ("SPOILER_x.png", "SPOILER_x.png"),
        ("图.png", ".png"),
        ("", "unknown"),
    ],
)
def test_names_are_stored_as_discord_stores_them(given: str, stored: str) -> None:
    assert safe_filename(given) == stored
