"""Every component a bot can send, from a bot that is not ours, in the page."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import discord
import pytest
import pytest_asyncio
from discord import app_commands, ui

from bot.sandbox import Sandbox
from tests.page.conftest import NO_PLAYWRIGHT, Enter
from tests.pictures import png

expect = pytest.importorskip("playwright.async_api", reason=NO_PLAYWRIGHT).expect
pytestmark = pytest.mark.asyncio(loop_scope="session")


def show_layout() -> tuple[ui.LayoutView, list[discord.File]]:
    """Return a message that uses each kind of layout."""
    view = ui.LayoutView(timeout=None)
    who = ui.UserSelect[Any](placeholder="Who?", custom_id="who", min_values=0, max_values=2)
    colours = ui.Select[Any](
        placeholder="Colour",
        custom_id="colour",
        options=[
            discord.SelectOption(label=one, description=f"like {one}") for one in ("red", "blue")
        ],
    )
    view.add_item(
        ui.Container(
            ui.Section("## A title", accessory=ui.Thumbnail("attachment://a.png")),
            ui.Separator(spacing=discord.SeparatorSpacing.large),
            ui.Section("Go on", accessory=ui.Button(label="Next", custom_id="next")),
            ui.MediaGallery(discord.MediaGalleryItem("attachment://b.png", description="green")),
            ui.File("attachment://notes.txt"),
            ui.ActionRow(who),
            ui.ActionRow(colours),
            ui.ActionRow(
                ui.Button(label="Silent", custom_id="silent", style=discord.ButtonStyle.danger),
                ui.Button(label="Off", custom_id="off", disabled=True),
                ui.Button(label="Site", url="https://site.example/"),
            ),
            accent_colour=discord.Colour(0x00AA77),
        )
    )
    files = [
        discord.File(io.BytesIO(png()), "a.png"),
        discord.File(io.BytesIO(png()), "b.png"),
        discord.File(io.BytesIO(b"words"), "notes.txt"),
    ]
    return view, files


class Form(ui.Modal, title="Tell me"):
    """A form with each kind of field."""

    name = ui.Label[Any](text="Name", component=ui.TextInput(max_length=10, min_length=2))
    kind = ui.Label[Any](
        text="Kind",
        component=ui.Select(options=[discord.SelectOption(label=one) for one in ("cat", "dog")]),
    )
    paper = ui.Label[Any](text="Paper", component=ui.FileUpload(custom_id="paper", max_values=2))
    agree = ui.Label[Any](text="Agreed", component=ui.Checkbox())

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        parts = [self.name.component, self.kind.component, self.paper.component]
        name, kind, paper = (one for one in parts)
        assert isinstance(name, ui.TextInput)
        assert isinstance(kind, ui.Select)
        assert isinstance(paper, ui.FileUpload)
        assert isinstance(self.agree.component, ui.Checkbox)
        files = ", ".join(one.filename for one in paper.values)
        told = f"{name.value} · {kind.values[0]} · {files} · {self.agree.component.value}"
        await interaction.response.send_message(told, ephemeral=True)


class Showcase(discord.Client):
    """A bot that shows everything and answers nearly everything."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default())
        self.tree = app_commands.CommandTree(self)
        for name, callback in (("layout", layout), ("form", form), ("embed", embed)):
            self.tree.add_command(
                app_commands.Command(name=name, description=name, callback=callback)
            )
        self.tree.add_command(
            app_commands.Command(name="ignore", description="No answer", callback=ignore)
        )

        self.tree.add_command(app_commands.ContextMenu(name="Wave", callback=wave))

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        data: Any = interaction.data or {}
        if interaction.type is not discord.InteractionType.component:
            return
        if data["custom_id"] == "silent":
            return
        values = ", ".join(data.get("values", ())) or "pressed"
        await interaction.response.send_message(f"{data['custom_id']}: {values}", ephemeral=True)


async def layout(interaction: discord.Interaction[Any]) -> None:
    view, files = show_layout()
    await interaction.response.send_message(view=view, files=files)


async def form(interaction: discord.Interaction[Any]) -> None:
    await interaction.response.send_modal(Form())


async def ignore(interaction: discord.Interaction[Any]) -> None:
    return


async def wave(interaction: discord.Interaction[Any], user: discord.User) -> None:
    await interaction.response.send_message(f"waves at {user.mention}")


async def embed(interaction: discord.Interaction[Any]) -> None:
    one = discord.Embed(title="Weather", description="**Sunny**", colour=0xFFAA00)
    one.add_field(name="Wind", value="3 m/s", inline=True)
    one.set_image(url="https://elsewhere.example/sky.png")
    one.set_footer(text="measured")
    await interaction.response.send_message(embed=one)


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Yield a sandbox with the showcase bot in it."""
    import yarl

    async with Sandbox(bot_name="showcase") as server, Showcase() as bot:
        monkeypatch.setattr(discord.http.Route, "BASE", f"{server.base_url}/api/v10")
        monkeypatch.setattr(
            discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url)
        )
        running = asyncio.create_task(bot.start(server.token))
        while not bot.is_ready():  # noqa: ASYNC110  nothing can be awaited before the login
            await asyncio.sleep(0.01)
        yield server
        await bot.close()
        await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="session")
async def enter(sandbox: Sandbox, visiting: Callable[[str], Enter]) -> Enter:
    """Open a tab on the sandbox with the showcase bot."""
    return visiting(sandbox.base_url)


async def test_a_layout_shows_all_its_parts(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/layout")
    await expect(ada.last.locator(".container.accented h5")).to_have_text("A title")
    await expect(ada.last.locator(".thumbnail img")).to_be_visible()
    await expect(ada.last.locator("hr.separator")).to_have_count(1)
    await expect(ada.last.get_by_role("img", name="green")).to_be_visible()
    card = ada.last.locator(".file-card")
    await expect(card).to_contain_text("notes.txt")
    await expect(card).to_contain_text("5 B")
    await expect(await ada.button("Off")).to_be_disabled()
    link = ada.last.get_by_role("link", name="Site")
    await expect(link).to_have_attribute("href", "https://site.example/")
    await (await ada.button("Next")).click()
    await expect(ada.last).to_contain_text("next: pressed")


async def test_selects_choose_one_or_several(enter: Enter, sandbox: Sandbox) -> None:
    ada = await enter()
    await ada.say("/layout")
    shown = ada.messages.first
    await shown.get_by_role("combobox", name="Colour: nothing chosen").click()
    await ada.press("b")
    await ada.press("Enter")
    await expect(ada.last).to_contain_text("colour: blue")
    await expect(shown.get_by_role("combobox", name="Who?")).to_be_visible()
    await shown.get_by_role("combobox", name="Who?").click()
    await ada.page.get_by_role("option", name="Ben").click()
    await ada.page.get_by_role("option", name="Cleo").click()
    await ada.press("Escape")
    people = {one.username: one.id for one in sandbox.state.users.values()}
    await expect(ada.last).to_contain_text(f"who: {people['ben']}, {people['cleo']}")


async def test_what_the_bot_leaves_unanswered_is_told(enter: Enter, sandbox: Sandbox) -> None:
    ada = await enter()
    await ada.say("/layout")
    await (await ada.button("Silent")).click()
    await expect(await ada.button("Silent")).to_have_attribute("aria-busy", "true")
    sandbox.clock.advance(3.1)
    await expect(ada.last).to_contain_text("This interaction failed")
    await ada.say("/ignore")
    await expect(ada.last).to_contain_text("showcase is thinking…")
    sandbox.clock.advance(3.1)
    await expect(ada.last).to_contain_text("The application did not respond")
    await (await ada.button("Put this note away")).click()
    await expect(ada.messages).to_have_count(1)


async def test_a_form_with_every_field_is_checked_and_sent(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/form")
    dialog = ada.page.get_by_role("dialog", name="Tell me")
    await expect(dialog.get_by_label("Name")).to_be_focused()
    submit = dialog.get_by_role("button", name="Submit")
    await ada.type("A")
    await submit.click()
    await expect(dialog).to_contain_text("At least 2 characters, please.")
    await dialog.get_by_label("Name").fill("Ada")
    await dialog.get_by_role("combobox").click()
    await ada.page.get_by_role("option", name="dog").click()
    await submit.click()
    await expect(dialog).to_contain_text("At least 1 file, please.")
    await dialog.locator("input[type=file]").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}
    )
    await dialog.get_by_label("Agreed").check()
    await submit.click()
    await expect(dialog).not_to_be_visible()
    await expect(ada.last).to_contain_text("Ada · dog · a.txt · True")


async def test_a_form_opens_in_the_tab_that_asked_for_it_alone(enter: Enter) -> None:
    first, second = await enter(), await enter()
    await first.say("/form")
    await expect(first.page.get_by_role("dialog", name="Tell me")).to_be_visible()
    await expect(second.page.get_by_role("dialog")).to_have_count(0)
    await first.press("Escape")
    await expect(first.page.get_by_role("dialog")).to_have_count(0)


async def test_an_embed_links_to_foreign_pictures_without_loading_them(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/embed")
    card = ada.page.get_by_role("article", name="Weather")
    await expect(card).to_contain_text("Sunny")
    await expect(card.locator("dt")).to_have_text("Wind")
    address = "https://elsewhere.example/sky.png"
    await expect(card.get_by_role("link")).to_have_attribute("href", address)


async def test_an_app_runs_on_the_author_of_a_message(enter: Enter, sandbox: Sandbox) -> None:
    ada = await enter()
    async with sandbox.client() as member:
        await member.send("hello", user="ben", channel="general")
    await ada.last.hover()
    await (await ada.button("More")).click()
    await ada.page.get_by_role("menuitem", name="Apps on Ben").click()
    await ada.page.get_by_role("menuitem", name="Wave").click()
    await expect(ada.last).to_contain_text("waves at @Ben")
