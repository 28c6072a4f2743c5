"""Several members in several tabs, the world's settings, and the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.sandbox import Sandbox
from tests.e2e import Town
from tests.page.conftest import NO_PLAYWRIGHT, Enter
from tests.pictures import png

expect = pytest.importorskip("playwright.async_api", reason=NO_PLAYWRIGHT).expect
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_one_tab_says_another_reads_edited_answered_and_deleted(enter: Enter) -> None:
    ada, ben = await enter(), await enter("ben")
    await ada.say("hello @ben ")
    await expect(ben.last).to_contain_text("hello @Ben")
    await expect(ben.last).to_have_class("message pinged")
    await expect(ada.box).to_have_value("")
    await ada.press("ArrowUp")
    await expect(ada.box).to_have_value("hello @ben")
    await ada.box.fill("good morning")
    await ada.press("Enter")
    await expect(ben.last).to_contain_text("good morning (edited)")
    await ben.last.hover()
    await (await ben.button("More")).click()
    await ben.page.get_by_role("menuitem", name="Delete message").click()
    await expect(ada.messages).to_have_count(0)


async def test_a_message_elsewhere_makes_its_channel_unread(enter: Enter, place: Town) -> None:
    ada = await enter()
    await place.member.send("over here @ada", user="ben", channel="art")
    channel = ada.page.get_by_role("button", name="art")
    await expect(channel.locator(".badge")).to_have_text("1")
    await channel.click()
    await expect(ada.last).to_contain_text("over here")
    await expect(channel.locator(".badge")).to_have_count(0)
    await expect(channel).to_have_attribute("aria-current", "page")


async def test_pictures_and_files_are_sent_from_the_message_box(enter: Enter) -> None:
    ada = await enter()
    await ada.drop("one.png", "image/png", png(80, 60))
    await ada.drop("SPOILER_two.png", "image/png", png())
    await ada.drop("notes.txt", "text/plain", b"hello")
    await expect(ada.page.locator(".tray .file-chip")).to_have_count(3)
    await ada.say("my files")
    await expect(ada.last.locator(".tile")).to_have_count(2)
    await expect(ada.last.locator(".file-card")).to_contain_text("notes.txt")
    covered = ada.last.get_by_role("button", name="Spoiler: press to show the picture")
    await covered.click()
    await ada.last.get_by_role("button", name="Enlarge: SPOILER_two.png").click()
    box = ada.page.get_by_role("dialog", name="Enlarged picture")
    await expect(box).to_contain_text("2 of 2")
    await ada.press("ArrowRight")
    await expect(box).to_contain_text("80×60 · 1 of 2")
    await ada.press("Escape")
    await expect(box).not_to_be_visible()


async def test_markup_that_a_member_types_stays_text(enter: Enter) -> None:
    ada = await enter()
    evil = (
        "<img src=x onerror=\"document.title='owned'\"><script>1</script> [x](javascript:alert(1))"
    )
    await ada.say(evil)
    await expect(ada.last).to_contain_text(evil)
    assert await ada.last.locator(".text img, .text script, .text a").count() == 0


async def test_the_member_switches_in_one_tab_and_the_address_remembers(enter: Enter) -> None:
    ada = await enter()
    await ada.page.get_by_role("button", name="You are Ada. Switch member").click()
    await ada.page.get_by_role("menuitem", name="Be Cleo").click()
    await expect(ada.page.get_by_role("button", name="You are Cleo. Switch member")).to_be_visible()
    await ada.say("it is me")
    await expect(ada.last.locator(".author")).to_have_text("Cleo")
    await ada.page.reload()
    await expect(ada.page.get_by_role("button", name="You are Cleo. Switch member")).to_be_visible()


async def test_the_world_changes_from_the_side_panel(enter: Enter, place: Town) -> None:
    ada = await enter()
    await ada.page.get_by_role("button", name="World").click()
    side = ada.page.get_by_role("complementary", name="Behind the scenes")
    await side.get_by_role("combobox", name="Boost tier").select_option("3")
    await side.get_by_role("combobox", name="Language", exact=True).select_option("de")
    await side.get_by_role("switch", name="Age-restricted").check()
    await expect(ada.page.locator("#channel-head")).to_contain_text("Age-restricted")
    intent = side.get_by_role("switch", name="Message content intent")
    await expect(intent).to_be_checked()
    await intent.uncheck()
    await expect(intent).not_to_be_checked()
    world = await place.member.world(user="ada")
    assert world["guilds"][0]["premium_tier"] == 3
    assert world["user"]["locale"] == "de"
    assert world["guilds"][0]["channels"][0]["nsfw"] is True
    assert world["privileged_intents"] == 0


async def test_a_right_taken_away_is_refused_in_words(enter: Enter) -> None:
    cleo = await enter("cleo")
    await cleo.page.get_by_role("button", name="World").click()
    await cleo.page.get_by_text("Your permissions in Turbo Town").click()
    await cleo.page.get_by_role("switch", name="Send messages").first.uncheck()
    await expect(cleo.box).to_have_attribute(
        "placeholder", "You may not send messages in #general; commands still work"
    )
    await cleo.say("may I?")
    await expect(cleo.page.locator(".toast")).to_contain_text("cleo lacks SEND_MESSAGES")
    cleo.faults.clear()  # Chromium itself logs the refused request


async def test_the_wire_shows_each_call_with_its_body(enter: Enter) -> None:
    ada = await enter()
    await ada.say("/imagine a bridge seed:11")
    await ada.picture()
    await ada.page.get_by_role("button", name="Wire").click()
    wire = ada.page.get_by_role("list", name="Traffic")
    await expect(wire).to_contain_text("INTERACTION_CREATE")
    await expect(wire).to_contain_text("READY")
    call = wire.locator("summary", has_text="/interactions/").last
    await expect(call).to_contain_text("200")
    await call.click()
    await expect(wire.get_by_label("Body").last).to_contain_text('"type":')
    await ada.page.get_by_label("Find in traffic").fill("a bridge")
    await expect(wire.locator("li").first).to_be_visible()
    await ada.page.get_by_label("Find in traffic").fill("nothing like this")
    await expect(wire.locator("li")).to_have_count(0)


async def test_a_broken_rule_stands_out_on_the_wire(enter: Enter, place: Town) -> None:
    ada = await enter()
    await place.member.fault("rest", "error", status=500, route="*callback*", times=1)
    await ada.page.get_by_role("button", name="Wire").click()
    await ada.say("/help")
    wire = ada.page.get_by_role("list", name="Traffic")
    await expect(wire.locator("details.broken .status").first).to_have_text("500")


async def test_a_new_server_and_a_direct_message_with_the_bot(enter: Enter) -> None:
    ada = await enter()
    await ada.page.get_by_role("button", name="Add a server").click()
    await ada.page.get_by_label("Its name").fill("Third Town")
    await ada.press("Enter")
    await expect(ada.page.locator("#guild-name")).to_have_text("Third Town")
    await ada.say("/imagine a tower")
    await ada.picture()
    await ada.page.get_by_role("button", name="Direct messages").click()
    await expect(ada.page.locator("#channel-head h1")).to_have_text("turbocord")
    await ada.say("/imagine a secret garden")
    await ada.picture()
    await expect(ada.last).to_contain_text("a secret garden")


async def test_the_page_comes_back_when_the_sandbox_is_started_again(
    visiting: Callable[[str], Enter],
) -> None:
    async with Sandbox() as first:
        port = int(first.base_url.rpartition(":")[2])
        ben = await visiting(first.base_url)("ben")
        await ben.say("before")
        await expect(ben.last).to_contain_text("before")
    await expect(ben.page.locator("#notice")).to_contain_text("Trying again")
    async with Sandbox(port=port) as second, second.client() as member:
        await expect(ben.page.locator("#notice")).not_to_be_visible()
        await expect(ben.messages).to_have_count(0)
        await member.send("after", user="ada", channel="general")
        await expect(ben.last).to_contain_text("after")
        await ben.say("here I am")
        await expect(ben.last.locator(".author")).to_have_text("Ben")
        await ben.page.close()
    ben.faults.clear()  # Chromium logs each attempt while nobody listened


async def test_commands_are_shown_in_the_members_language(enter: Enter, place: Town) -> None:
    await place.member.set_user("cleo", locale="zh-CN")
    cleo = await enter("cleo")
    command = next(
        one
        for one in (await place.member.world(user="cleo"))["commands"]
        if one["name"] == "imagine"
    )
    shown = command["description_localizations"]["zh-CN"]
    await cleo.type("/")
    await expect(cleo.page.get_by_role("listbox")).to_contain_text(shown)
