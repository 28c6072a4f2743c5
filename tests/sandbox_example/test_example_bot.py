"""How another project tests its bot here: a bot of ten lines that is not ours.

The fixtures come from the plugin `turbocord-sandbox`. `sandbox_discord` points discord.py at a
Discord that lives as long as the test; `sandbox_client` acts as its members: ada owns the server
Turbo Town, ben moderates it, cleo is a plain member.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import discord
import pytest
from discord import app_commands

from bot.sandbox import Sandbox, SandboxClient, SandboxError


class Parrot(discord.Client):
    """The bot under test."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default())
        self.tree = app_commands.CommandTree(self)
        self.tree.command(name="say", description="Repeat a word")(say)

    async def setup_hook(self) -> None:
        await self.tree.sync()


@app_commands.describe(word="What to repeat")
async def say(interaction: discord.Interaction, word: str) -> None:
    if word == "cheese":
        return  # the parrot eats, and never answers
    view = discord.ui.View()
    view.add_item(discord.ui.Button(label="Again", custom_id="again"))
    await interaction.response.send_message(f"{word}!", view=view)


@pytest.fixture
async def parrot(sandbox_discord: Sandbox) -> AsyncIterator[Parrot]:
    """Log the bot in and wait until it has heard of its servers."""
    async with Parrot() as bot:
        running = asyncio.create_task(bot.start(sandbox_discord.token))
        while not bot.is_ready():  # noqa: ASYNC110  discord.py has no event before the login
            await asyncio.sleep(0.01)
        yield bot
        await bot.close()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_member_gets_their_word_back(parrot: Parrot, sandbox_client: SandboxClient) -> None:
    asked = await sandbox_client.command("/say word:hello", user="cleo", channel="general")
    answer = await sandbox_client.wait_response(asked)
    assert answer["response"]["content"] == "hello!"
    (shown,) = await sandbox_client.messages("general", user="ben")
    assert parrot.user is not None
    assert shown["author"]["id"] == str(parrot.user.id)


async def test_a_missing_option_is_told_in_words(
    parrot: Parrot, sandbox_client: SandboxClient
) -> None:
    with pytest.raises(SandboxError, match="The option word is required"):
        await sandbox_client.command("/say", user="cleo", channel="general")


async def test_silence_fails_as_on_discord(parrot: Parrot, sandbox_client: SandboxClient) -> None:
    asked = await sandbox_client.command("/say word:cheese", user="cleo", channel="general")
    await sandbox_client.advance(3.1)  # Discord waits three seconds; the test need not
    with pytest.raises(SandboxError, match="did not respond"):
        await sandbox_client.wait_response(asked)


class TestWithAServerOfItsOwn:
    """Options of the sandbox are a fixture: here an empty world and another name."""

    @pytest.fixture
    def sandbox_options(self) -> dict[str, object]:
        return {"bot_name": "parrot", "world": False}

    async def test_the_world_is_what_the_test_makes(
        self, parrot: Parrot, sandbox_client: SandboxClient
    ) -> None:
        await sandbox_client.create_user("dora")
        await sandbox_client.create_guild("Aviary", owner="dora", channels=["perch"])
        asked = await sandbox_client.command("/say word:hi", user="dora", channel="perch")
        answer = await sandbox_client.wait_response(asked)
        assert answer["response"]["author"]["username"] == "parrot"
