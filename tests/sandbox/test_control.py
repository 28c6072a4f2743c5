"""The control API: its guard, its stream, the world it shows and changes, the wire it records."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import discord
import pytest

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from tests.sandbox.helpers import Connect, answering, as_file


async def test_it_binds_the_loopback_only() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Sandbox("0.0.0.0")


async def test_other_pages_and_names_are_turned_away(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            async with session.get("/sandbox", headers=headers) as response:
                assert response.status == 403
            async with session.get("/sandbox/events", headers=headers) as response:
                assert response.status == 403
        async with session.get("/sandbox", headers={"Origin": sandbox.base_url}) as response:
            assert response.status == 200


async def test_it_says_where_it_is(sandbox: Sandbox, client: SandboxClient) -> None:
    about = await client.about()
    assert about["gateway_url"] == sandbox.gateway_url
    assert about["api"] == f"{sandbox.base_url}/api/v10"
    assert about["token"] == sandbox.token
    assert sandbox.token.count(".") == 2


async def test_the_world_as_a_member_sees_it(client: SandboxClient) -> None:
    world = await client.world("cleo")
    assert world["user"]["username"] == "cleo"
    (guild,) = world["guilds"]
    assert [c["name"] for c in guild["channels"]] == ["general", "art", "remix", "after-dark"]
    assert [m["username"] for m in guild["members"]] == ["ada", "turbocord", "ben", "cleo"]
    await client.set_overwrite("art", "cleo", deny=1 << 10)
    (guild,) = (await client.world("cleo"))["guilds"]
    assert "art" not in [c["name"] for c in guild["channels"]]
    with pytest.raises(SandboxError, match="cleo cannot see #art"):
        await client.send("x", user="cleo", channel="art")


async def test_people_and_places_can_be_made(client: SandboxClient) -> None:
    await client.create_user("Dora", locale="zh-CN")
    made = await client.create_guild("Club", owner="dora", channels=["den"], members=["ben"])
    await client.create_channel("Club", "attic", nsfw=True)
    assert made["has_bot"]
    sent = await client.send("hi", user="dora", guild="Club", channel="attic")
    assert sent["guild_id"] == made["id"]
    renamed = await client.set_channel("attic", guild="Club", name="loft", nsfw=False)
    assert (renamed["name"], renamed["nsfw"]) == ("loft", False)
    changed = await client.set_guild("Club", premium_tier=3, name="Big Club")
    assert (changed["name"], changed["upload_limit"]) == ("Big Club", 100 * 1024 * 1024)
    with pytest.raises(SandboxError, match="already a user"):
        await client.create_user("dora")
    with pytest.raises(SandboxError, match="from 0 to 3"):
        await client.set_guild("Big Club", premium_tier=4)
    await client.set_member("Big Club", "cleo", present=True, nick="C")
    with pytest.raises(SandboxError, match="ada is not in Big Club"):
        await client.set_member("Big Club", "ada", nick="A")


async def test_a_members_stream_tells_what_they_see(
    connect: Connect, client: SandboxClient
) -> None:
    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        await interaction.edit_original_response(content="for you", attachments=[as_file()])

    await connect(answering(draw))
    async with (
        client.events("ben", timeout=5) as mine,
        client.events("cleo", timeout=5) as theirs,
    ):
        identity = await client.command("/go", user="ben", channel="art")
        kinds = []
        async for event in mine:
            kinds.append(event["type"])
            if event["type"] == "message_update":
                assert event["message"]["content"] == "for you"
                assert event["message"]["interaction_id"] == identity
                break
        assert kinds[:3] == ["interaction", "message_create", "interaction"]
        await client.send("public", user="ben", channel="art")
        async for event in theirs:
            assert event["type"] == "message_create"
            assert event["message"]["content"] == "public"
            break


async def test_the_stream_tells_of_modals_deletions_and_changes(
    connect: Connect, client: SandboxClient
) -> None:
    async def ask(interaction: discord.Interaction) -> None:
        modal = discord.ui.Modal(title="Ask", custom_id="ask", timeout=5)
        modal.add_item(discord.ui.TextInput(label="What", custom_id="what"))
        await interaction.response.send_modal(modal)

    bot = await connect(answering(ask))
    async with client.events("ben", traffic=True, timeout=5) as stream:
        identity = await client.command("/go", user="ben", channel="art")
        seen: dict[str, dict[str, object]] = {}
        sent = await client.send("x", user="ada", channel="art")
        await client.delete(sent["id"], user="ada")
        await client.set_channel("art", topic="new")
        await client.settings(rate_limits=False)
        await bot.guilds[0].text_channels[1].typing()
        wanted = {
            "modal",
            "message_create",
            "message_delete",
            "channel_update",
            "settings_update",
            "typing",
            "traffic",
        }
        async for event in stream:
            seen[event["type"]] = event
            if wanted <= set(seen):
                break
        assert seen["modal"]["modal"]["title"] == "Ask"  # type: ignore[index]
        assert seen["modal"]["interaction"]["id"] == identity  # type: ignore[index]
        assert seen["message_delete"]["id"] == sent["id"]
    await client.close_modal(identity)
    with pytest.raises(SandboxError, match="No modal is open"):
        await client.submit_modal(identity, {"what": "x"}, user="ben")


async def test_waiting_for_the_bots_message(connect: Connect, client: SandboxClient) -> None:
    bot = await connect()
    sent = await client.send("anyone?", channel="art")
    waiting = asyncio.create_task(
        client.wait_message("art", user="ada", author="turbocord", after=sent["id"])
    )
    await bot.guilds[0].text_channels[1].send("here")
    assert (await waiting)["content"] == "here"
    with pytest.raises(TimeoutError):
        await client.wait_message("remix", user="ada", timeout=0.1)


async def test_waiting_for_what_does_not_come(connect: Connect, client: SandboxClient) -> None:
    async def think(interaction: discord.Interaction) -> None:
        await interaction.response.defer()

    await connect(answering(think))
    identity = await client.command("/go", channel="art")
    with pytest.raises(TimeoutError, match="is thinking after"):
        await client.wait_response(identity, timeout=0.2)


async def test_no_secret_reaches_the_traffic_log(
    sandbox: Sandbox, connect: Connect, client: SandboxClient
) -> None:
    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(attachments=[as_file()])

    await connect(answering(draw))
    identity = await client.command("/go", channel="art")
    await client.wait_response(identity)
    text = json.dumps(await client.traffic())
    assert sandbox.token not in text
    assert sandbox.state.interactions[int(identity)].token not in text
    assert "hm=" not in text


async def test_the_log_keeps_bodies_parts_and_routes(
    connect: Connect, client: SandboxClient
) -> None:
    bot = await connect()
    before = (await client.traffic())[-1]["id"]
    await bot.guilds[0].text_channels[1].send("hello", file=as_file("cat.png"))
    (entry,) = await client.traffic(after=before, kind="rest")
    assert entry["route"] == "/channels/{channel_id}/messages"
    assert entry["body"]["content"] == "hello"
    (part,) = entry["parts"]
    assert (part["name"], part["filename"]) == ("files[0]", "cat.png")
    assert part["content_type"] == "application/octet-stream"
    assert entry["status"] == 200
    assert entry["ms"] > 0
    assert await client.traffic(broken_only=True) == []
    await client.call("DELETE", "/traffic")
    assert await client.traffic() == []


async def test_unreadable_requests_are_answered_in_words(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        async with session.post("/sandbox/messages", data=b"{") as response:
            assert response.status == 400
            assert "invalid JSON" in (await response.json())["message"]
        async with session.get("/sandbox/messages?limit=many") as response:
            assert response.status == 400
        async with session.get("/api/v10/no/such/route") as response:
            assert (response.status, (await response.json())["code"]) == (404, 0)
