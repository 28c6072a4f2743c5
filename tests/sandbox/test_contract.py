"""Both sides of the wire against Discord's published contract: discord.py's bodies, our answers."""

from __future__ import annotations

from typing import Any

import discord

from bot.sandbox import SandboxClient
from tests.contract import contract_errors, needs_contract, response_errors
from tests.sandbox.helpers import Connect, Rest, answering, as_file


async def _everything(interaction: discord.Interaction) -> None:
    """Answer with one of each component a message can hold."""
    await interaction.response.defer()
    view = discord.ui.LayoutView(timeout=None)
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    row.add_item(discord.ui.Button(label="Go", custom_id="go", emoji="🎲"))
    row.add_item(discord.ui.Button(label="Read", url="https://example.org"))
    menu: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    menu.add_item(discord.ui.Select(custom_id="style", options=[discord.SelectOption(label="Oil")]))
    users: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    users.add_item(discord.ui.UserSelect(custom_id="who"))
    view.add_item(
        discord.ui.Container(
            discord.ui.TextDisplay("# Drawn"),
            discord.ui.MediaGallery(
                discord.MediaGalleryItem("attachment://a.png", description="red"),
                discord.MediaGalleryItem("https://example.org/b.png"),
            ),
            discord.ui.Section("text", accessory=discord.ui.Button(label="b", custom_id="b")),
            discord.ui.Section("text", accessory=discord.ui.Thumbnail("attachment://a.png")),
            discord.ui.Separator(),
            discord.ui.File("attachment://b.png"),
        )
    )
    view.add_item(row)
    view.add_item(menu)
    view.add_item(users)
    await interaction.edit_original_response(
        view=view, attachments=[as_file("a.png"), as_file("b.png")]
    )
    embed = discord.Embed(title="t", colour=7).set_image(url="attachment://a.png")
    embed.add_field(name="n", value="v").set_footer(text="f").set_author(name="a")
    await interaction.followup.send("more", embed=embed, file=as_file("a.png"), ephemeral=True)
    message = await interaction.original_response()
    extra = [*message.attachments, as_file("c.png")]
    await interaction.edit_original_response(attachments=extra)


async def _converse(connect: Connect, client: SandboxClient) -> None:
    """Use what a bot uses: commands, messages, look-ups."""
    bot = await connect(answering(_everything))
    identity = await client.command("/go", channel="art")
    record = await client.wait_response(identity)
    assert bot.errors == []
    assert record["state"] == "answered"
    guild = bot.guilds[0]
    channel = guild.text_channels[1]
    sent = await channel.send("hello @everyone", file=as_file())
    reply = await sent.reply("to you", allowed_mentions=discord.AllowedMentions.none())
    await sent.edit(content="changed")
    await channel.fetch_message(reply.id)
    assert [message async for message in channel.history(limit=5)]
    await sent.delete()
    await channel.typing()
    assert bot.user is not None
    person = await bot.fetch_user(int((await client.world())["user"]["id"]))
    await person.send("hello")
    await bot.fetch_guild(guild.id)
    await bot.fetch_channel(channel.id)
    await guild.fetch_channels()
    await guild.fetch_roles()
    await guild.fetch_member(bot.user.id)
    await bot.application_info()
    await bot.tree.fetch_commands()
    assert [one async for one in bot.fetch_guilds()]


@needs_contract
async def test_what_stock_discord_py_sends_fits(connect: Connect, client: SandboxClient) -> None:
    await _converse(connect, client)
    entries = await client.traffic(kind="rest")
    assert len(entries) > 20
    assert contract_errors(entries) == []


@needs_contract
async def test_what_the_sandbox_answers_fits(
    connect: Connect, client: SandboxClient, rest: Rest
) -> None:
    await _converse(connect, client)
    await rest("GET", "/gateway")
    await rest("POST", f"/channels/{rest.channel('remix')}/messages", {"content": "x" * 2001})
    entries = await client.traffic(kind="rest")
    assert {200, 204, 400} <= {entry["status"] for entry in entries}
    assert response_errors(entries) == []


@needs_contract
def test_the_check_of_answers_finds_what_does_not_fit() -> None:
    entry: dict[str, Any] = {
        "kind": "rest",
        "method": "GET",
        "route": "/users/@me",
        "status": 200,
        "response": {"id": 5},
    }
    assert len(response_errors([entry])) == 1


@needs_contract
def test_the_contract_check_finds_what_does_not_fit() -> None:
    entry: dict[str, Any] = {
        "kind": "rest",
        "method": "POST",
        "route": "/channels/{channel_id}/messages",
        "status": 200,
        "fault": None,
        "query": {},
        "parts": [],
    }
    assert contract_errors([entry | {"body": {"content": "x"}}]) == []
    for body in ({"content": 7}, {"colour": "red"}, {"components": [{"type": 99}]}):
        assert len(contract_errors([entry | {"body": body}])) == 1
    assert contract_errors([entry | {"body": {}, "route": "/nowhere"}])
    assert contract_errors([entry | {"body": {}, "query": {"with": "1"}}])
