"""Buttons, menus, modals, autocomplete and context menus, pressed and filled in by members."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import app_commands

from bot.sandbox import SandboxClient, SandboxError
from tests.sandbox.helpers import Bot, Connect, answering, as_file, picture


def _panel(custom_id: str = "again") -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Again", custom_id=custom_id))
    options = [discord.SelectOption(label="Oil", value="oil"), discord.SelectOption(label="Ink")]
    view.add_item(discord.ui.Select(custom_id="style", options=options))
    return view


async def _with_panel(
    connect: Connect, client: SandboxClient, react: Any
) -> tuple[Bot, dict[str, Any]]:
    async def show(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("panel", view=_panel())

    bot = await connect(answering(show))

    async def on_interaction(interaction: discord.Interaction) -> None:
        if interaction.type is not discord.InteractionType.application_command:
            await react(interaction)

    bot.on_interaction = on_interaction  # type: ignore[attr-defined]
    record = await client.wait_response(await client.command("/go", user="ben", channel="art"))
    return bot, record["response"]


async def test_a_press_updates_the_message_in_place(
    connect: Connect, client: SandboxClient
) -> None:
    async def react(interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content="pressed", attachments=[as_file()])

    _, message = await _with_panel(connect, client, react)
    record = await client.wait_response(await client.press(message["id"], "Again", user="cleo"))
    assert record["callback_type"] == 7
    assert record["response"]["id"] == message["id"]
    assert record["response"]["content"] == "pressed"
    assert len(record["response"]["attachments"]) == 1


async def test_a_deferred_update_leaves_the_message_alone(
    connect: Connect, client: SandboxClient
) -> None:
    async def react(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="later")

    _, message = await _with_panel(connect, client, react)
    record = await client.wait_response(await client.press(message["id"], "again", user="ben"))
    assert record["callback_type"] == 6
    assert record["response"]["id"] == message["id"]
    assert record["response"]["content"] == "later"


async def test_choosing_in_a_menu(connect: Connect, client: SandboxClient) -> None:
    async def react(interaction: discord.Interaction) -> None:
        assert interaction.data is not None
        await interaction.response.send_message(f"chose {interaction.data['values']}")

    _, message = await _with_panel(connect, client, react)
    chosen = await client.select(message["id"], "style", ["Oil"], user="ben")
    assert (await client.wait_response(chosen))["response"]["content"] == "chose ['oil']"
    with pytest.raises(SandboxError, match="no choice 'chalk'; it has oil, Ink"):
        await client.select(message["id"], "style", ["chalk"], user="ben")
    with pytest.raises(SandboxError, match="no button 'Delete'; it has Again"):
        await client.press(message["id"], "Delete", user="ben")


async def test_a_modal_is_filled_in_and_submitted(connect: Connect, client: SandboxClient) -> None:
    modal = discord.ui.Modal(title="Remix", custom_id="remix", timeout=60)
    prompt: Any = discord.ui.TextInput(custom_id="prompt", max_length=20)
    upload: Any = discord.ui.FileUpload(custom_id="files", required=False, max_values=2)
    choice: Any = discord.ui.Select(
        custom_id="size", options=[discord.SelectOption(label="Wide", value="wide")]
    )
    box: Any = discord.ui.Checkbox(custom_id="private")
    for label, field in (("Prompt", prompt), ("Files", upload), ("Size", choice), ("Private", box)):
        modal.add_item(discord.ui.Label(text=label, component=field))

    async def on_submit(interaction: discord.Interaction) -> None:
        names = [one.filename for one in upload.values]
        text = f"{prompt.value} {names} {choice.values} {box.value}"
        await interaction.response.send_message(text, ephemeral=True)

    modal.on_submit = on_submit  # type: ignore[method-assign]

    async def react(interaction: discord.Interaction) -> None:
        if interaction.type is discord.InteractionType.component:
            await interaction.response.send_modal(modal)

    _, message = await _with_panel(connect, client, react)
    opened = await client.press(message["id"], "Again", user="ben")
    record = await client.wait_response(opened)
    assert (record["state"], record["modal"]["title"]) == ("modal", "Remix")
    with pytest.raises(SandboxError, match="prompt takes 1 to 20 characters, not 0"):
        await client.submit_modal(opened, {"size": "wide"}, user="ben")
    with pytest.raises(SandboxError, match="no field 'colour'; it has prompt, files"):
        await client.submit_modal(opened, {"colour": "red"}, user="ben")
    with pytest.raises(SandboxError, match="someone else"):
        await client.submit_modal(opened, {}, user="ada")
    submitted = await client.submit_modal(
        opened,
        {"prompt": "snow", "size": "Wide", "private": True},
        files={"files": [("a.png", picture()), ("b.png", picture())]},
        user="ben",
    )
    answer = await client.wait_response(submitted)
    assert answer["response"]["content"] == "snow ['a.png', 'b.png'] ['wide'] True"
    with pytest.raises(SandboxError, match="No modal is open"):
        await client.submit_modal(opened, {"prompt": "twice"}, user="ben")


async def test_autocomplete_offers_choices(connect: Connect, client: SandboxClient) -> None:
    def prepare(bot: Bot) -> None:
        @bot.tree.command(description="Draw")
        async def draw(interaction: discord.Interaction, style: str) -> None:
            await interaction.response.send_message(style)

        @draw.autocomplete("style")
        async def _(_: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            return [
                app_commands.Choice(name=one.title(), value=one)
                for one in ("oil", "ink")
                if one.startswith(current)
            ]

    await connect(prepare)
    assert await client.autocomplete("draw", "style", {"style": "o"}) == [
        {"name": "Oil", "value": "oil"}
    ]
    assert len(await client.autocomplete("draw", "style")) == 2


async def test_a_context_menu_carries_its_target_whole(
    connect: Connect, client: SandboxClient
) -> None:
    def prepare(bot: Bot) -> None:
        async def remix(interaction: discord.Interaction, message: discord.Message) -> None:
            data = await message.attachments[0].read()
            await interaction.response.send_message(f"{message.content} {len(data)}")

        async def greet(interaction: discord.Interaction, member: discord.Member) -> None:
            await interaction.response.send_message(f"hello {member.name}")

        bot.tree.add_command(app_commands.ContextMenu(name="Remix", callback=remix))
        bot.tree.add_command(app_commands.ContextMenu(name="Greet", callback=greet))

    await connect(prepare)
    sent = await client.send("see", user="cleo", channel="art", files={"p.png": picture()})
    started = await client.context_menu("Remix", message=sent["id"], user="ada")
    record = await client.wait_response(started)
    assert record["response"]["content"] == f"see {len(picture())}"
    greeted = await client.context_menu("Greet", target_user="cleo", user="ada")
    assert (await client.wait_response(greeted))["response"]["content"] == "hello cleo"
    with pytest.raises(SandboxError, match="no command 'Blend' for messages; there are Remix"):
        await client.context_menu("Blend", message=sent["id"])
