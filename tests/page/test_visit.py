"""The page as a visitor goes through it, with the real bot at the other end."""

from __future__ import annotations

import re

import pytest

from tests.e2e import Town
from tests.page.conftest import NO_PLAYWRIGHT, Enter
from tests.pictures import sideways_photo

expect = pytest.importorskip("playwright.async_api", reason=NO_PLAYWRIGHT).expect
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_imagine_by_typing_and_the_conversation_outlives_a_reload(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/imagine a red circle on blue seed:7")
    image = await ada.picture()
    assert await image.get_attribute("alt") == "a red circle on blue"
    await expect(ada.last).to_contain_text("seed 7")
    await expect(ada.last).to_contain_text("Ada used /imagine")
    await ada.page.reload()
    await ada.picture()
    await expect(ada.last).to_contain_text("seed 7")


async def test_the_picker_leads_from_a_slash_to_a_command_by_keyboard(enter: Enter) -> None:
    ada = await enter()
    await ada.type("/ima")
    option = ada.page.get_by_role("option", name="/imagine")
    await expect(option).to_have_attribute("aria-selected", "true")
    await ada.press("Enter")
    await expect(ada.option("prompt")).to_be_focused()
    await ada.press("Enter")
    await expect(ada.page.locator("#option-help")).to_have_text("prompt This option is required.")
    await ada.type("two cats size:")
    await expect(ada.option("size")).to_be_focused()
    await ada.press("ArrowDown")
    await ada.press("Enter")
    await expect(ada.option("size")).not_to_have_value("")
    chosen = await ada.option("size").input_value()
    await ada.press("Enter")
    await ada.picture()
    size = re.search(r"\d+×\d+", chosen)
    assert size is not None
    await expect(ada.last).to_contain_text(size.group())


async def test_a_choice_that_completes_itself_comes_from_the_bot(enter: Enter) -> None:
    ada = await enter()
    await ada.box.click()
    await ada.type("/imagine a cat style:")
    await expect(ada.page.get_by_role("option").first).to_be_visible()
    first = await ada.page.get_by_role("option").first.inner_text()
    await ada.press("Tab")
    await expect(ada.option("style")).to_have_value(first)
    await ada.press("Escape")
    await expect(ada.box).to_be_focused()


async def test_a_dropped_jpeg_becomes_the_option_of_remix(enter: Enter) -> None:
    ada = await enter()
    await ada.box.click()
    await ada.type("/remix ")
    await ada.drop("holiday.jpg", "image/jpeg", sideways_photo())
    await expect(ada.page.locator(".file-chip")).to_contain_text("holiday.jpg")
    await expect(ada.option("prompt")).to_be_focused()
    await ada.type("as a watercolour")
    await ada.press("Enter")
    await ada.picture()
    await expect(ada.last).to_contain_text("strength 0.7")


async def test_remix_opens_a_form_that_draws_again(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/imagine a house")
    await ada.picture()
    await (await ada.button("Remix…")).click()
    form = ada.page.get_by_role("dialog", name="Remix")
    prompt = form.get_by_role("textbox").first
    await expect(prompt).to_have_value("a house")
    await prompt.fill("")
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_contain_text("Please fill this in.")
    await prompt.fill("a house in the snow")
    await form.get_by_role("button", name="Submit").click()
    await expect(form).not_to_be_visible()
    await expect(ada.messages).to_have_count(2)
    await ada.picture()
    await expect(ada.last).to_contain_text("a house in the snow")


async def test_a_reply_to_a_picture_that_mentions_the_bot_is_drawn(
    enter: Enter, place: Town
) -> None:
    await place.member.send("look", user="ben", files={"photo.jpg": sideways_photo()})
    ada = await enter()
    await ada.picture(ada.messages.first)
    await ada.messages.first.hover()
    await (await ada.button("Reply", ada.messages.first)).click()
    await ada.type("@turb")
    await ada.press("Enter")
    await ada.type("make it snow")
    await ada.press("Enter")
    await expect(ada.messages).to_have_count(3)
    await ada.picture()
    await expect(ada.messages.nth(1)).to_contain_text("@turbocord make it snow")
    await expect(ada.messages.nth(1).locator(".above")).to_contain_text("look")
    await expect(ada.last).to_contain_text("strength")


async def test_the_apps_menu_of_a_message_remixes_its_picture(enter: Enter, place: Town) -> None:
    await place.member.send("look", user="ben", files={"photo.jpg": sideways_photo()})
    ada = await enter()
    await ada.picture()
    await ada.last.focus()
    await ada.last.click(button="right", position={"x": 200, "y": 12})
    await expect(ada.page.get_by_role("menuitem", name="Reply")).to_be_focused()
    await ada.page.get_by_role("menuitem", name="Apps").click()
    await ada.page.get_by_role("menuitem", name="Remix").click()
    form = ada.page.get_by_role("dialog", name="Remix")
    await form.get_by_role("textbox").first.fill("in oil")
    await form.get_by_role("button", name="Submit").click()
    await expect(ada.messages).to_have_count(2)
    await ada.picture()
    await expect(ada.last).to_contain_text("in oil")


async def test_the_live_panel_redraws_in_place_and_keeps_the_focus(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/live a cat")
    await ada.picture()
    await expect(ada.last).to_contain_text("Only you can see this")
    before = await ada.last.locator(".subtext").first.inner_text()
    seed = await ada.button("New seed")
    await seed.focus()
    await ada.press("Enter")
    await expect(ada.last.locator(".subtext").first).not_to_have_text(before)
    await expect(await ada.button("New seed")).to_be_focused()
    steps = ada.last.get_by_role("combobox").nth(1)
    await steps.focus()
    await ada.press("ArrowDown")
    await ada.press("End")
    await ada.press("Enter")
    await expect(ada.last).to_contain_text("4 steps")
    await expect(ada.messages).to_have_count(1)


async def test_a_refusal_is_for_its_member_alone_and_can_be_dismissed(enter: Enter) -> None:
    ada, cleo = await enter(), await enter("cleo")
    await ada.say("/imagine a lighthouse")
    await ada.picture()
    await cleo.picture()
    await (await cleo.button("Delete")).click()
    await expect(cleo.messages).to_have_count(2)
    await expect(cleo.last).to_contain_text("Only you can see this")
    await expect(ada.messages).to_have_count(1)
    await (await cleo.button("Dismiss message")).click()
    await expect(cleo.messages).to_have_count(1)


class TestRateLimit:
    @pytest.fixture
    def limits(self) -> dict[str, int]:
        return {"member_images": 1}

    async def test_it_tells_when_to_come_back(self, enter: Enter) -> None:
        ada = await enter()
        await ada.say("/imagine a boat")
        await ada.picture()
        await ada.say("/imagine another boat")
        await expect(ada.last).to_contain_text("Only you can see this")
        await expect(ada.last.locator("time[data-relative]")).to_contain_text("in ")
