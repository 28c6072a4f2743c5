"""Answering interactions with stock discord.py, and Discord's rules for it."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from bot.sandbox.permissions import EVERYONE_DEFAULT, USE_EXTERNAL_APPS
from tests.sandbox.helpers import Bot, Connect, Held, Rest, answering, as_file, picture


@pytest.fixture
async def held(connect: Connect, client: SandboxClient) -> tuple[str, discord.Interaction]:
    """An interaction not yet answered: its id for members, its object for the bot."""
    hold = Held()
    await connect(answering(hold))
    identity = await client.command("/go", user="ben", channel="art")
    return identity, await asyncio.wait_for(hold.interaction, 5)


Pair = tuple[str, discord.Interaction]


async def test_the_payload_says_who_where_and_what_may_be_done(
    held: Pair, sandbox: Sandbox
) -> None:
    _, interaction = held
    assert interaction.user.name == "ben"
    assert isinstance(interaction.user, discord.Member)
    assert interaction.channel is not None
    assert interaction.channel.name == "art"
    assert interaction.guild is not None
    assert interaction.filesize_limit == 10 * 1024 * 1024
    assert interaction.context.guild
    assert interaction.permissions.manage_messages
    assert interaction.app_permissions.attach_files
    assert interaction.is_guild_integration()
    assert interaction.locale is discord.Locale.american_english


async def test_locales_are_the_members_and_the_guilds(
    connect: Connect, client: SandboxClient
) -> None:
    hold = Held()
    await connect(answering(hold))
    await client.set_user("cleo", locale="zh-CN")
    await client.set_guild("Turbo Town", locale="de")
    await client.command("/go", user="cleo", channel="art")
    interaction = await asyncio.wait_for(hold.interaction, 5)
    assert interaction.locale is discord.Locale.chinese
    assert interaction.guild_locale is discord.Locale.german


async def test_a_direct_answer(held: Pair, client: SandboxClient) -> None:
    identity, interaction = held
    callback = await interaction.response.send_message("done", file=as_file())
    record = await client.wait_response(identity)
    assert record["state"] == "answered"
    assert not record["deferred"]
    assert record["response"]["content"] == "done"
    assert record["response"]["id"] == str(callback.message_id)
    assert record["response"]["interaction_metadata"]["name"] == "go"
    (attachment,) = record["response"]["attachments"]
    assert (attachment["width"], attachment["height"]) == (64, 48)
    assert attachment["content_type"] == "image/png"
    assert await client.download(attachment) == picture()


async def test_a_deferred_answer_thinks_first(
    held: Pair, client: SandboxClient, connect: Connect
) -> None:
    identity, interaction = held
    await interaction.response.defer(thinking=True)
    record = await client.wait_response(identity, until="ack")
    assert record["state"] == "thinking"
    assert record["response"]["loading"]
    await interaction.edit_original_response(content="done", attachments=[as_file()])
    record = await client.wait_response(identity, until="files")
    assert not record["response"]["loading"]
    assert record["response"]["edited_timestamp"] is None
    assert len(record["edits"]) == 1
    assert record["answer_ms"] >= record["ack_ms"]


async def test_the_first_follow_up_takes_the_place_of_thinking(
    held: Pair, client: SandboxClient
) -> None:
    identity, interaction = held
    await interaction.response.defer(ephemeral=True)
    first = await interaction.followup.send("one", wait=True)
    second = await interaction.followup.send("two", wait=True)
    record = await client.wait_response(identity)
    assert record["response"]["id"] == str(first.id)
    assert record["response"]["ephemeral_for"] == record["user_id"]
    assert [one["id"] for one in record["followups"]] == [str(second.id)]
    assert record["followups"][0]["ephemeral_for"] is None


async def test_only_its_member_sees_an_ephemeral_answer(
    held: Pair, client: SandboxClient, sandbox: Sandbox
) -> None:
    identity, interaction = held
    await interaction.response.send_message("psst", ephemeral=True)
    message = (await client.wait_response(identity))["response"]
    assert [m["id"] for m in await client.messages("art", user="ben")] == [message["id"]]
    assert await client.messages("art", user="ada") == []
    assert "MESSAGE_CREATE" not in {entry.name for entry in sandbox.traffic.after()}
    with pytest.raises(SandboxError, match="ada cannot see that message"):
        await client.message(message["id"], user="ada")
    channel: Any = interaction.channel
    with pytest.raises(discord.NotFound):
        await channel.fetch_message(int(message["id"]))
    await client.dismiss(message["id"], user="ben")
    assert await client.messages("art", user="ben") == []


async def test_an_answer_after_three_seconds_comes_too_late(
    held: Pair, client: SandboxClient, sandbox: Sandbox
) -> None:
    identity, interaction = held
    waiting = asyncio.create_task(client.wait_response(identity))
    await asyncio.sleep(0.05)
    await client.advance(3.01)
    with pytest.raises(SandboxError, match="did not respond"):
        await waiting
    with pytest.raises(discord.NotFound) as caught:
        await interaction.response.send_message("late")
    assert caught.value.code == 10062
    assert sandbox.traffic.after(kind="rest")[-1].rule.startswith("10062: answered after 3.")


async def test_a_second_answer_is_refused(held: Pair, sandbox: Sandbox) -> None:
    _, interaction = held
    await interaction.response.defer()
    interaction.response._response_type = None
    with pytest.raises(discord.HTTPException) as caught:
        await interaction.response.send_message("again")
    assert (caught.value.status, caught.value.code) == (400, 40060)


async def test_a_token_lives_fifteen_minutes(
    held: Pair, client: SandboxClient, connect: Connect
) -> None:
    _, interaction = held
    await interaction.response.send_message("first")
    await client.advance(14 * 60)
    message = await interaction.edit_original_response(content="in time")
    await client.advance(61)
    with pytest.raises(discord.HTTPException) as caught:
        await interaction.edit_original_response(content="late")
    assert (caught.value.status, caught.value.code) == (401, 50027)
    channel: Any = interaction.channel
    public = await channel.fetch_message(message.id)
    assert (await public.edit(content="by bot token")).content == "by bot token"


async def test_a_token_opens_nothing_before_its_callback(held: Pair) -> None:
    _, interaction = held
    with pytest.raises(discord.NotFound) as caught:
        await interaction.followup.send("hasty")
    assert caught.value.code == 10015


async def test_an_edit_lists_the_files_it_keeps(held: Pair, client: SandboxClient) -> None:
    identity, interaction = held
    await interaction.response.send_message(files=[as_file("one.png"), as_file("two.png")])
    message = await interaction.original_response()
    kept = message.attachments[1]
    await interaction.edit_original_response(attachments=[kept, as_file("three.png")])
    record = await client.interaction(identity)
    assert [one["filename"] for one in record["response"]["attachments"]] == [
        "two.png",
        "three.png",
    ]
    assert record["response"]["attachments"][0]["id"] == str(kept.id)
    await interaction.edit_original_response(content="files stay when none are listed")
    record = await client.interaction(identity)
    assert len(record["response"]["attachments"]) == 2


async def test_five_edits_in_two_seconds_are_the_most(
    held: Pair, rest: Rest, sandbox: Sandbox
) -> None:
    _, interaction = held
    await interaction.response.defer()
    path = f"/webhooks/{sandbox.application_id}/{interaction.token}/messages/@original"
    answers = [await rest("PATCH", path, {"content": str(n)}) for n in range(6)]
    assert [status for status, _, _ in answers] == [200] * 5 + [429]
    sandbox.clock.advance(2)
    assert (await rest("PATCH", path, {"content": "later"}))[0] == 200


async def test_answers_can_be_read_and_deleted(held: Pair, client: SandboxClient) -> None:
    identity, interaction = held
    await interaction.response.send_message("short-lived")
    assert (await interaction.original_response()).content == "short-lived"
    follow = await interaction.followup.send("too", wait=True)
    await follow.delete()
    await interaction.delete_original_response()
    record = await client.interaction(identity)
    assert record["response"] is None
    assert record["response_deleted"]
    with pytest.raises(discord.NotFound) as caught:
        await interaction.edit_original_response(content="gone")
    assert caught.value.code == 10008


async def test_files_count_against_the_guilds_boost_tier(
    held: Pair, client: SandboxClient, sandbox: Sandbox, connect: Connect
) -> None:
    _, interaction = held
    await interaction.response.defer()
    large = bytes(10 * 1024 * 1024 + 1)
    with pytest.raises(discord.HTTPException) as caught:
        await interaction.edit_original_response(attachments=[as_file("big.bin", large)])
    assert (caught.value.status, caught.value.code) == (413, 40005)
    await client.set_guild("Turbo Town", premium_tier=2)
    await client.command("/go", channel="art")
    newest = list(sandbox.state.interactions.values())[-1]
    assert newest.attachment_size_limit == 50 * 1024 * 1024


def _anywhere(answer: Any) -> Any:
    return answering(
        answer,
        allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        allowed_contexts=app_commands.AppCommandContext(
            guild=True, dm_channel=True, private_channel=True
        ),
    )


async def test_a_user_installed_command_sends_five_follow_ups_and_no_more(
    connect: Connect, client: SandboxClient
) -> None:
    hold = Held()
    await connect(_anywhere(hold))
    friends = await client.dm("ada", with_users=["ben"])
    identity = await client.command("/go", user="ada", channel=friends["id"])
    interaction = await asyncio.wait_for(hold.interaction, 5)
    assert interaction.guild is None
    assert interaction.context.private_channel
    assert interaction.is_user_integration()
    await interaction.response.send_message("here")
    for number in range(5):
        await interaction.followup.send(str(number))
    with pytest.raises(discord.HTTPException) as caught:
        await interaction.followup.send("six")
    assert caught.value.code == 40094
    assert len((await client.interaction(identity))["followups"]) == 5
    with pytest.raises(SandboxError, match="not installed here, nor on ben's account"):
        await client.command("/go", user="ben", channel=friends["id"])


async def test_without_use_external_apps_a_user_app_answers_in_private(
    connect: Connect, client: SandboxClient
) -> None:
    async def greet(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("hello")

    await connect(_anywhere(greet))
    await client.create_guild("Elsewhere", owner="ben", members=["ada"], bot=False)
    identity = await client.command("/go", user="ada", guild="Elsewhere")
    assert (await client.wait_response(identity))["response"]["ephemeral_for"] is None
    allowed = EVERYONE_DEFAULT & ~USE_EXTERNAL_APPS
    await client.set_member("Elsewhere", "ada", permissions=allowed)
    identity = await client.command("/go", user="ada", guild="Elsewhere")
    assert (await client.wait_response(identity))["response"]["ephemeral_for"] is not None


async def test_a_command_in_the_bots_own_dm(connect: Connect, client: SandboxClient) -> None:
    async def greet(interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"hello {interaction.user.name}")

    bot = await connect(_anywhere(greet))
    channel = await client.dm("cleo")
    identity = await client.command("/go", user="cleo", channel=channel["id"])
    assert (await client.wait_response(identity))["response"]["content"] == "hello cleo"
    assert bot.errors == []


async def test_who_may_run_what_where(connect: Connect, client: SandboxClient) -> None:
    async def done(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("done")

    def prepare(bot: Bot) -> None:
        answering(done, nsfw=True)(bot)
        manage = discord.Permissions(manage_guild=True)

        @bot.tree.command(description="Set")
        @app_commands.default_permissions(manage)
        @app_commands.guild_only()
        async def tune(interaction: discord.Interaction) -> None:
            await done(interaction)

    await connect(prepare)
    with pytest.raises(SandboxError, match="only in age-restricted channels"):
        await client.command("/go", user="cleo", channel="art")
    await client.wait_response(await client.command("/go", user="cleo", channel="after-dark"))
    with pytest.raises(SandboxError, match="cleo lacks the permissions that tune needs"):
        await client.command("/tune", user="cleo", channel="art")
    await client.wait_response(await client.command("/tune", user="ben", channel="art"))
    private = await client.dm("ben")
    with pytest.raises(SandboxError, match="does not work in direct messages with the bot"):
        await client.command("/tune", user="ben", channel=private["id"])


async def test_200_at_once_are_all_answered(connect: Connect, client: SandboxClient) -> None:
    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="done")

    bot = await connect(answering(draw))
    acts = [{"text": "/go", "user": "ada", "channel": "art"}] * 200
    ids = await client.invoke_many(acts)
    records = await asyncio.gather(*(client.wait_response(one, timeout=60) for one in ids))
    assert len(set(ids)) == 200
    assert {record["state"] for record in records} == {"answered"}
    assert {record["response"]["content"] for record in records} == {"done"}
    assert max(record["ack_ms"] for record in records) < 3000
    assert bot.errors == []
