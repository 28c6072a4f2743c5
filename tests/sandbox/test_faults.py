"""Faults ordered from the sandbox, as stock discord.py and a plain client meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import discord
import pytest

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from tests.sandbox.helpers import Connect, Rest, answering, picture, until

MESSAGES = "/channels/{channel_id}/messages"


async def test_a_fault_hits_its_route_so_many_times(rest: Rest, client: SandboxClient) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    made = await client.fault("rest", "error", method="POST", route=MESSAGES, status=503, skip=1)
    statuses = [(await rest("POST", path, {"content": "x"}))[0] for _ in range(3)]
    assert statuses == [200, 503, 200]
    assert (await rest("GET", path))[0] == 200
    (rule,) = await client.faults()
    assert (rule["id"], rule["hits"], rule["seen"]) == (made["id"], 1, 3)
    assert rest.sandbox.traffic.after(kind="rest")[1].fault == f"error (rule {made['id']})"


async def test_chance_follows_its_seed(rest: Rest, client: SandboxClient) -> None:
    rest.sandbox.core.rate_limits.enabled = False
    patterns = []
    for _ in range(2):
        await client.clear_faults()
        await client.fault("rest", "error", route="/users/*", times=None, probability=0.5, seed=7)
        patterns.append([(await rest("GET", "/users/@me"))[0] for _ in range(20)])
    assert patterns[0] == patterns[1]
    assert {200, 500} == set(patterns[0])


async def test_a_fault_after_the_deed_leaves_it_done(rest: Rest, client: SandboxClient) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    await client.fault("rest", "reset", route=MESSAGES, moment="after")
    with pytest.raises(aiohttp.ClientConnectionError):
        await rest("POST", path, {"content": "did it arrive?"})
    assert [m["content"] for m in await client.messages("art")] == ["did it arrive?"]


async def test_a_reset_before_the_deed_leaves_nothing(rest: Rest, client: SandboxClient) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    await client.fault("rest", "reset", route=MESSAGES)
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await rest("POST", path, {"content": "lost"})
    assert caught.value.errno == 104
    assert await client.messages("art") == []


async def test_a_reset_in_the_middle_of_an_upload(rest: Rest, client: SandboxClient) -> None:
    await client.fault("rest", "reset", route=MESSAGES, moment="during")
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files[0]", bytes(8 << 20), filename="big.bin")
    with pytest.raises(aiohttp.ClientConnectionError):
        await rest("POST", f"/channels/{rest.channel('art')}/messages", data=form)
    assert await client.messages("art") == []


async def test_a_client_that_goes_away_is_noted(
    rest: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    halfway = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        halfway.set()
        await asyncio.sleep(60)

    path = f"/channels/{rest.channel('art')}/messages"
    upload = asyncio.create_task(rest("POST", path, data=body()))
    await halfway.wait()
    await asyncio.sleep(0.05)
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)
    await until(lambda: bool(rest.sandbox.traffic.after(kind="rest")))
    (entry,) = rest.sandbox.traffic.after(kind="rest")
    assert entry.rule == "the client went away before its body was read"
    assert "Error handling request" not in caplog.text


async def test_slow_answers_and_stalls(rest: Rest, client: SandboxClient) -> None:
    await client.fault("rest", "slow", route="/users/@me", seconds=0.05)
    assert (await rest("GET", "/users/@me"))[0] == 200
    await client.fault("rest", "stall", route="/users/@me", seconds=5)
    with pytest.raises(TimeoutError):
        await rest("GET", "/users/@me", timeout=aiohttp.ClientTimeout(total=0.2))


async def test_a_429_without_via_is_fatal_to_stock_discord_py(
    connect: Connect, client: SandboxClient
) -> None:
    bot = await connect()
    channel = bot.guilds[0].text_channels[0]
    await client.fault("rest", "rate_limit", route=MESSAGES, via=False, retry_after=0.01)
    with pytest.raises(discord.HTTPException) as caught:
        await channel.send("x")
    assert caught.value.status == 429
    await client.fault("rest", "rate_limit", route=MESSAGES, is_global=True, retry_after=0.01)
    await channel.send("y")
    assert [m["content"] for m in await client.messages("general")] == ["y"]


async def test_stock_discord_py_tries_again_after_a_502(
    connect: Connect, client: SandboxClient
) -> None:
    bot = await connect()
    await client.fault("rest", "error", route=MESSAGES, status=502)
    await bot.guilds[0].text_channels[0].send("second try")
    assert len(await client.messages("general")) == 1


async def test_a_token_made_worthless(connect: Connect, client: SandboxClient) -> None:
    caught: asyncio.Future[discord.HTTPException] = asyncio.Future()
    expired = asyncio.Event()

    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await expired.wait()
        try:
            await interaction.edit_original_response(content="done")
        except discord.HTTPException as error:
            caught.set_result(error)

    await connect(answering(draw))
    identity = await client.command("/go", channel="art")
    await client.wait_response(identity, until="ack")
    await client.expire(identity)
    expired.set()
    assert (await asyncio.wait_for(caught, 5)).code == 50027


async def test_a_channel_deleted_while_the_bot_draws(
    connect: Connect, client: SandboxClient
) -> None:
    caught: asyncio.Future[discord.HTTPException] = asyncio.Future()
    gone = asyncio.Event()

    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await gone.wait()
        try:
            await interaction.edit_original_response(content="done")
        except discord.HTTPException as error:
            caught.set_result(error)

    bot = await connect(answering(draw))
    await client.wait_response(await client.command("/go", channel="art"), until="ack")
    await client.delete_channel("art")
    gone.set()
    assert (await asyncio.wait_for(caught, 5)).code == 10003
    assert [c.name for c in bot.guilds[0].text_channels] == ["general", "remix", "after-dark"]


async def _fetch(url: str) -> tuple[int, str, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.content_type, await response.read()


@pytest.fixture
async def url(client: SandboxClient) -> str:
    sent = await client.send(channel="art", files={"p.png": picture(200, 200)})
    return str(sent["attachments"][0]["url"])


async def test_a_file_cut_short(client: SandboxClient, url: str) -> None:
    for kind in ("truncate", "length"):
        await client.fault("cdn", kind)
        with pytest.raises(aiohttp.ClientPayloadError):
            await _fetch(url)
    assert (await _fetch(url))[2] == picture(200, 200)


async def test_a_length_that_says_too_little(client: SandboxClient, url: str) -> None:
    await client.fault("cdn", "length", length=10)
    assert (await _fetch(url))[2] == picture(200, 200)[:10]


async def test_a_false_content_type(client: SandboxClient, url: str) -> None:
    await client.fault("cdn", "type", content_type="text/html")
    assert await _fetch(url) == (200, "text/html", picture(200, 200))


async def test_files_that_are_gone_expired_or_broken(client: SandboxClient, url: str) -> None:
    await client.fault("cdn", "expired")
    await client.fault("cdn", "error", status=404)
    await client.fault("cdn", "error", status=503)
    assert [(await _fetch(url))[0] for _ in range(4)] == [404, 404, 503, 200]
    # aiohttp itself tries a GET twice.
    await client.fault("cdn", "reset", times=2)
    with pytest.raises(aiohttp.ClientConnectionError):
        await _fetch(url)


async def test_a_file_that_drips(client: SandboxClient, url: str) -> None:
    size = len(picture(200, 200))
    await client.fault("cdn", "slow", bytes_per_second=size * 5)
    began = asyncio.get_running_loop().time()
    assert (await _fetch(url))[2] == picture(200, 200)
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_a_fault_that_does_not_exist(client: SandboxClient, sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no fault 'meteor' for 'rest': rest has error"):
        await client.fault("rest", "meteor")
    with pytest.raises(SandboxError, match="no option colour"):
        await client.fault("rest", "error", colour="red")
    with pytest.raises(SandboxError, match="no gateway fault 'flood'"):
        await client.gateway_fault("flood")
    assert list(sandbox.faults) == []
