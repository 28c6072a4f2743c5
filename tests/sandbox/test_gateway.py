"""The gateway with stock discord.py: identify, events, resume, and the ways a session ends."""

from __future__ import annotations

import asyncio
import json
import zlib

import aiohttp
import discord
import pytest

from bot.sandbox import Sandbox, SandboxClient
from tests.sandbox.helpers import Bot, Connect, ShardedBot, until

CONTENT = 1 << 15


async def test_a_bot_learns_of_its_guild(sandbox: Sandbox, connect: Connect) -> None:
    bot = await connect()
    assert bot.user is not None
    assert bot.user.id == sandbox.application_id
    (guild,) = bot.guilds
    assert guild.name == "Turbo Town"
    assert [channel.name for channel in guild.text_channels] == [
        "general",
        "art",
        "remix",
        "after-dark",
    ]
    assert guild.get_channel(guild.text_channels[3].id).is_nsfw()
    assert guild.me.guild_permissions.send_messages


async def test_a_wrong_token_is_refused_at_login_and_at_identify(sandbox: Sandbox) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(sandbox.gateway_url) as socket,
    ):
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": "wrong", "intents": 0}})
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4004


async def test_an_intent_that_is_not_enabled_closes_4014(
    sandbox: Sandbox, connect: Connect
) -> None:
    intents = discord.Intents(guilds=True, messages=True, message_content=True)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await connect(intents=intents)
    assert any("4014" in (entry.rule or "") for entry in sandbox.traffic.after())
    sandbox.state.privileged_intents = CONTENT
    assert (await connect(intents=intents)).is_ready()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([{"op": 99}], 4001),
        (["no json"], 4002),
        ([{"op": 3, "d": {}}], 4003),
        ([{"op": 2, "d": {"token": None, "intents": 1 << 40}}], 4013),
        ([{"op": 2, "d": {"token": None, "intents": 1, "shard": [2, 2]}}], 4010),
        ([{"op": 2, "d": {"token": None, "intents": 1}}] * 2, 4005),
        ([{"op": 1, "d": None}] * 121, 4008),
    ],
)
async def test_what_a_client_does_wrong_closes_with_its_code(
    sandbox: Sandbox, frames: list[object], code: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(sandbox.gateway_url) as socket,
    ):
        for frame in frames:
            if isinstance(frame, dict) and isinstance(frame.get("d"), dict):
                frame = frame | {"d": frame["d"] | {"token": sandbox.token}}
            await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        while (await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
            continue
        assert socket.close_code == code


async def test_an_older_api_version_is_turned_away(sandbox: Sandbox) -> None:
    url = f"{sandbox.gateway_url}?v=6"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive()
        assert socket.close_code == 4012


async def test_one_deflate_context_serves_a_connection(sandbox: Sandbox) -> None:
    url = f"{sandbox.gateway_url}?v=10&encoding=json&compress=zlib-stream"
    inflate = zlib.decompressobj()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_bytes()
        assert hello.endswith(b"\x00\x00\xff\xff")
        assert json.loads(inflate.decompress(hello))["op"] == 10
        await socket.send_json({"op": 2, "d": {"token": sandbox.token, "intents": 1}})
        ready = json.loads(inflate.decompress(await socket.receive_bytes()))
        assert ready["t"] == "READY"
        assert ready["d"]["resume_gateway_url"] == sandbox.gateway_url
        assert json.loads(inflate.decompress(await socket.receive_bytes()))["t"] == "GUILD_CREATE"


async def test_a_dropped_connection_resumes_and_hears_what_it_missed(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    assert await client.gateway_fault("drop") == 1
    missed = await client.send("while you were out", channel="general")
    await asyncio.wait_for(bot.resumed.wait(), 10)
    assert [str(message.id) for message in bot.heard] == [missed["id"]]
    assert sandbox.core.gateway.identifies == 1


async def test_a_connection_reset_by_tcp_is_taken_up_again(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    assert await client.gateway_fault("reset") == 1
    await asyncio.wait_for(bot.resumed.wait(), 10)


async def test_op_7_makes_a_client_come_back(client: SandboxClient, connect: Connect) -> None:
    bot = await connect()
    await client.gateway_fault("reconnect")
    await asyncio.wait_for(bot.resumed.wait(), 10)


async def test_an_invalid_session_is_identified_anew(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    bot.ready.clear()
    await client.gateway_fault("invalidate", resumable=False)
    await asyncio.wait_for(bot.ready.wait(), 15)
    assert sandbox.core.gateway.identifies == 2
    assert len(sandbox.core.gateway.sessions) == 1


async def test_a_refused_resume_is_identified_anew(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    bot.ready.clear()
    await client.gateway_fault("refuse_resume")
    await client.gateway_fault("drop")
    await asyncio.wait_for(bot.ready.wait(), 20)
    assert sandbox.core.gateway.identifies == 2


async def test_a_client_leaves_a_zombie(connect: Connect, client: SandboxClient) -> None:
    bot = await connect(heartbeat_timeout=0.5)
    await client.gateway_fault("zombie")
    await asyncio.wait_for(bot.resumed.wait(), 15)


async def test_a_client_without_heartbeats_is_cut_off() -> None:
    async with (
        Sandbox(heartbeat_interval_s=0.05) as quick,
        aiohttp.ClientSession() as session,
        session.ws_connect(quick.gateway_url) as socket,
    ):
        while (await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
            continue
        assert socket.close_code == 4009


async def test_each_shard_hears_of_its_own_guilds(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    for number in range(5):
        await client.create_guild(f"Guild {number}")
    first = await connect(shard_id=0, shard_count=2)
    second = await connect(shard_id=1, shard_count=2)
    for shard, bot in enumerate((first, second)):
        assert {guild.id for guild in bot.guilds} == {
            guild for guild in sandbox.state.guilds if (guild >> 22) % 2 == shard
        }
    assert len(first.guilds) + len(second.guilds) == 6


async def test_an_auto_sharded_bot_connects_every_shard(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    await client.create_guild("Second")
    bot = await connect(kind=ShardedBot, shard_count=2)
    assert {guild.name for guild in bot.guilds} == {"Turbo Town", "Second"}
    assert len(sandbox.core.gateway.connections) == 2
    assert await client.gateway_fault("drop", shard=1) == 1
    await asyncio.wait_for(bot.resumed.wait(), 10)


async def test_guilds_come_and_go_while_connected(client: SandboxClient, connect: Connect) -> None:
    bot: Bot = await connect()
    made = await client.create_guild("Later", channels=["den"], members=["ben"])
    await until(lambda: len(bot.guilds) == 2)
    assert bot.get_guild(int(made["id"])).text_channels[0].name == "den"
    await client.set_guild(made["id"], bot=False)
    await until(lambda: len(bot.guilds) == 1)


async def test_hundreds_of_guilds_are_known_at_once(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    ada = next(iter(user for user in sandbox.state.users.values() if not user.bot))
    for number in range(400):
        guild = sandbox.state.add_guild(f"Guild {number}", ada)
        sandbox.state.add_channel(guild, "general")
    bot = await connect()
    await until(lambda: len(bot.guilds) == 401)


async def test_permissions_changed_by_a_member_reach_the_bot(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    channel = bot.guilds[0].text_channels[1]
    assert channel.permissions_for(bot.guilds[0].me).attach_files
    view_and_send = (1 << 10) | (1 << 11)
    await client.set_member("Turbo Town", "turbocord", permissions=view_and_send)
    await until(lambda: not channel.permissions_for(bot.guilds[0].me).attach_files)
    assert channel.permissions_for(bot.guilds[0].me).send_messages


async def test_a_malformed_event_is_what_kills_stock_discord_py(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    await client.gateway_fault("malformed")
    await until(bot.is_ready)
    task = next(t for t in asyncio.all_tasks() if t.get_coro().__qualname__ == "Client.connect")
    with pytest.raises(KeyError, match=r"application_id|attachment_size_limit"):
        await asyncio.wait_for(asyncio.shield(task), 10)
