"""Messages of members and bot: the content rule, replies, forwards, pings, permissions."""

from __future__ import annotations

from typing import Any

import discord
import pytest

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from bot.sandbox import permissions as may
from tests.sandbox.helpers import Bot, Connect, Rest, answering, as_file, picture, until

CONTENT = 1 << 15


async def _hear(bot: Bot, count: int = 1) -> discord.Message:
    await until(lambda: len(bot.heard) >= count)
    return bot.heard[-1]


async def test_without_the_intent_a_members_message_arrives_empty(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    sent = await client.send("secret", user="cleo", channel="art", files={"p.png": picture()})
    heard = await _hear(bot)
    assert (heard.content, heard.attachments) == ("", [])
    fetched = await heard.channel.fetch_message(int(sent["id"]))
    assert (fetched.content, fetched.attachments) == ("", [])


async def test_a_mention_of_the_bot_opens_the_message(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    await client.send("@turbocord make it snow", channel="art", files={"p.png": picture()})
    heard = await _hear(bot)
    assert heard.content == f"<@{bot.user.id}> make it snow"
    assert await heard.attachments[0].read() == picture()
    assert bot.user in heard.mentions


async def test_a_private_message_is_open(client: SandboxClient, connect: Connect) -> None:
    bot = await connect()
    channel = await client.dm("ben")
    await client.send("hello there", user="ben", channel=channel["id"])
    heard = await _hear(bot)
    assert heard.content == "hello there"
    assert heard.guild is None
    await heard.channel.send("hello yourself")
    assert [m["content"] for m in await client.messages(channel["id"], user="ben")] == [
        "hello there",
        "hello yourself",
    ]


async def test_the_intent_opens_everything(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    await client.settings(privileged_intents=CONTENT)
    bot = await connect(intents=discord.Intents(guilds=True, messages=True, message_content=True))
    sent = await client.send("plain", channel="art")
    assert (await _hear(bot)).content == "plain"
    await client.edit(sent["id"], "changed")
    await until(lambda: bot.heard[0].content == "changed")
    await client.send("a reply", user="ben", channel="art", reply_to=sent["id"])
    heard = await _hear(bot, 2)
    assert heard.reference.resolved.content == "changed"


async def test_the_message_replied_to_is_no_exception(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    sent = await client.send("mine", user="cleo", channel="art", files={"p.png": picture()})
    await client.send("@turbocord remix", user="ben", channel="art", reply_to=sent["id"])
    heard = await _hear(bot, 2)
    assert heard.content.endswith("remix")
    target = heard.reference.resolved
    assert (target.content, target.attachments) == ("", [])


async def test_a_reply_to_the_bot_mentions_it_unless_it_answered_an_interaction(
    client: SandboxClient, connect: Connect
) -> None:
    async def show(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("drawn", file=as_file())

    bot = await connect(answering(show))
    record = await client.wait_response(await client.command("/go", channel="art"))
    await client.send("again", channel="art", reply_to=record["response"]["id"])
    await until(lambda: len(bot.heard) == 2)
    assert bot.heard[-1].content == ""
    assert len(bot.heard[-1].reference.resolved.attachments) == 1
    own = await bot.heard[-1].channel.send("an ordinary message")
    await client.send("and again", channel="art", reply_to=str(own.id))
    await until(lambda: bot.heard[-1].content == "and again")
    await client.send("quietly", channel="art", reply_to=str(own.id), ping=False)
    await until(lambda: len(bot.heard) == 5)
    assert bot.heard[-1].content == ""


async def test_a_reply_to_a_deleted_message_says_so(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    sent = await client.send("gone soon", channel="art")
    await client.send("@turbocord this", channel="art", reply_to=sent["id"])
    heard = await _hear(bot, 2)
    await client.delete(sent["id"])
    again = await heard.channel.fetch_message(heard.id)
    assert isinstance(again.reference.resolved, discord.DeletedReferencedMessage)


async def test_a_forward_carries_a_snapshot(
    sandbox: Sandbox, client: SandboxClient, connect: Connect
) -> None:
    sandbox.state.privileged_intents = CONTENT
    bot = await connect(intents=discord.Intents(guilds=True, messages=True, message_content=True))
    sent = await client.send("look", channel="art", files={"p.png": picture()})
    await client.send(channel="remix", forward=sent["id"])
    heard = await _hear(bot, 2)
    assert (heard.content, heard.attachments) == ("", [])
    assert heard.reference.type is discord.MessageReferenceType.forward
    (snapshot,) = heard.message_snapshots
    assert snapshot.content == "look"
    assert await snapshot.attachments[0].read() == picture()


@pytest.mark.parametrize(
    ("allowed", "everyone", "users"),
    [
        (None, True, ["ada"]),
        (discord.AllowedMentions.none(), False, []),
        (discord.AllowedMentions(everyone=False, users=True), False, ["ada"]),
        (discord.AllowedMentions(everyone=True, users=False), True, []),
    ],
)
async def test_allowed_mentions_decide_who_is_pinged(
    client: SandboxClient,
    connect: Connect,
    allowed: discord.AllowedMentions | None,
    everyone: bool,
    users: list[str],
) -> None:
    bot = await connect()
    channel = bot.guilds[0].text_channels[0]
    ada = next(u for u in (await client.world())["users"] if u["username"] == "ada")
    sent = await channel.send(f"@everyone <@{ada['id']}>", allowed_mentions=allowed)
    seen = await client.message(str(sent.id), user="ada")
    assert seen["mention_everyone"] is everyone
    assert [one["username"] for one in seen["mentions"]] == users
    assert seen["pinged"] is (everyone or bool(users))


async def test_an_answer_to_an_interaction_never_pings_everyone_by_default(
    client: SandboxClient, connect: Connect
) -> None:
    async def shout(interaction: discord.Interaction) -> None:
        view = discord.ui.LayoutView()
        view.add_item(discord.ui.TextDisplay(f"@everyone {interaction.user.mention}"))
        await interaction.response.send_message(view=view)

    await connect(answering(shout))
    record = await client.wait_response(await client.command("/go", user="ada", channel="art"))
    assert not record["response"]["mention_everyone"]
    assert [one["username"] for one in record["response"]["mentions"]] == ["ada"]


@pytest.mark.parametrize(
    ("denied", "code"),
    [(may.VIEW_CHANNEL, 50001), (may.SEND_MESSAGES, 50013), (may.ATTACH_FILES, 50013)],
)
async def test_a_permission_withdrawn_is_missed(
    client: SandboxClient, connect: Connect, denied: int, code: int
) -> None:
    bot = await connect()
    channel = bot.guilds[0].text_channels[1]
    await client.set_overwrite("art", "@everyone", deny=denied)
    with pytest.raises(discord.Forbidden) as caught:
        await channel.send("hello", file=as_file())
    assert caught.value.code == code


async def test_others_messages_are_not_the_bots_to_change(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    sent = await client.send("mine", user="cleo", channel="art")
    message = bot.guilds[0].text_channels[1].get_partial_message(int(sent["id"]))
    with pytest.raises(discord.Forbidden) as caught:
        await message.edit(content="yours")
    assert caught.value.code == 50005
    with pytest.raises(discord.Forbidden) as caught:
        await message.delete()
    assert caught.value.code == 50013
    every = may.EVERYONE_DEFAULT | may.MANAGE_MESSAGES
    await client.set_member("Turbo Town", "turbocord", permissions=every)
    await message.delete()
    assert await client.messages("art") == []


async def test_a_user_who_takes_no_messages(client: SandboxClient, connect: Connect) -> None:
    bot = await connect()
    await client.set_user("cleo", accepts_dms=False)
    cleo = next(u for u in (await client.world())["users"] if u["username"] == "cleo")
    user = await bot.fetch_user(int(cleo["id"]))
    with pytest.raises(discord.Forbidden) as caught:
        await user.send("hello")
    assert caught.value.code == 50007


async def test_history_is_read_in_pages(client: SandboxClient, connect: Connect) -> None:
    bot = await connect()
    for number in range(5):
        await client.send(f"@turbocord {number}", channel="art")
    channel = bot.guilds[0].text_channels[1]
    newest = [message async for message in channel.history(limit=2)]
    assert [m.content[-1] for m in newest] == ["4", "3"]
    older = [m.content[-1] async for m in channel.history(before=newest[-1], oldest_first=True)]
    assert older == ["0", "1", "2"]


async def test_files_shown_by_components_leave_the_attachments(
    client: SandboxClient, connect: Connect
) -> None:
    bot = await connect()
    view = discord.ui.LayoutView()
    view.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png")))
    channel = bot.guilds[0].text_channels[1]
    sent = await channel.send(view=view, files=[as_file("a.png"), as_file("b.png")])
    assert [one.filename for one in sent.attachments] == ["b.png"]
    media = sent.components[0].items[0].media  # type: ignore[union-attr]
    assert (media.width, media.height) == (64, 48)
    assert await client.download(media.url) == picture()
    seen = await client.message(str(sent.id))
    assert [one["filename"] for one in seen["files"]] == ["a.png", "b.png"]


async def test_what_a_member_may_not_do_is_said_in_words(client: SandboxClient) -> None:
    await client.set_overwrite("art", "cleo", deny=may.SEND_MESSAGES)
    with pytest.raises(SandboxError, match="cleo lacks SEND_MESSAGES in #art"):
        await client.send("hi", user="cleo", channel="art")
    with pytest.raises(SandboxError, match="no channel 'arts' in Turbo Town: it has general"):
        await client.send("hi", channel="arts")
    with pytest.raises(SandboxError, match="There is no user 'dora'"):
        await client.send("hi", user="dora")
    with pytest.raises(SandboxError, match="Cannot send an empty message"):
        await client.send("", channel="general")
    big = bytes(10 * 1024 * 1024 + 1)
    with pytest.raises(SandboxError, match="40005: a file of 10485761 bytes"):
        await client.send("x", channel="general", files={"b.bin": big})
    sent = await client.send("mine", user="cleo", channel="general")
    with pytest.raises(SandboxError, match="ada did not write"):
        await client.edit(sent["id"], "no", user="ada")


async def test_moderators_delete_and_others_do_not(client: SandboxClient) -> None:
    sent = await client.send("x", user="ada", channel="art")
    with pytest.raises(SandboxError, match="cleo lacks MANAGE_MESSAGES"):
        await client.delete(sent["id"], user="cleo")
    await client.delete(sent["id"], user="ben")
    assert await client.messages("art") == []


async def test_rate_limits_are_announced_and_enforced(rest: Rest, sandbox: Sandbox) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    for left in (4, 3, 2, 1, 0):
        status, _, headers = await rest("POST", path, {"content": "x"})
        assert status == 200
        assert headers["X-RateLimit-Remaining"] == str(left)
        assert headers["Content-Type"] == "application/json"
    status, body, headers = await rest("POST", path, {"content": "x"})
    assert status == 429
    assert body["message"] == "You are being rate limited."
    assert 0 < body["retry_after"] <= 5
    assert body["global"] is False
    assert headers["Via"]
    assert sandbox.core.rate_limits.invalid == 1
    sandbox.clock.advance(5)
    assert (await rest("POST", path, {"content": "x"}))[0] == 200


async def test_another_channel_has_a_bucket_of_its_own(rest: Rest) -> None:
    for _ in range(5):
        await rest("POST", f"/channels/{rest.channel('art')}/messages", {"content": "x"})
    status, _, _ = await rest(
        "POST", f"/channels/{rest.channel('remix')}/messages", {"content": "x"}
    )
    assert status == 200


async def test_fifty_requests_a_second_are_the_most(rest: Rest, sandbox: Sandbox) -> None:
    sandbox.clock.frozen = True
    answers: list[Any] = [await rest("GET", "/users/@me/guilds") for _ in range(30)]
    answers += [await rest("GET", "/gateway/bot") for _ in range(21)]
    assert [status for status, _, _ in answers].count(429) == 1
    assert answers[-1][1]["global"] is True


async def test_ten_thousand_invalid_requests_ban_the_host(rest: Rest, sandbox: Sandbox) -> None:
    for _ in range(9_999):
        sandbox.core.rate_limits.note_invalid()
    assert (await rest("GET", "/users/@me", token="wrong"))[0] == 401
    url = f"{sandbox.base_url}/api/v10/users/@me"
    async with rest.session.get(url) as response:
        assert response.status == 429
        assert "Via" not in response.headers
    sandbox.clock.advance(601)
    assert (await rest("GET", "/users/@me"))[0] == 200


async def test_stock_discord_py_waits_out_a_429(connect: Connect, client: SandboxClient) -> None:
    bot = await connect()
    await client.fault("rest", "rate_limit", method="POST", route="*/messages", retry_after=0.05)
    await bot.guilds[0].text_channels[0].send("patient")
    assert [m["content"] for m in await client.messages("general")] == ["patient"]
