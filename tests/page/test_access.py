"""The page for everyone: axe-core's findings, the keyboard alone, a phone, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import Town
from tests.page.conftest import NO_PLAYWRIGHT, Enter
from tests.pictures import png

if TYPE_CHECKING:
    from tests.page.visitor import Visitor

expect = pytest.importorskip("playwright.async_api", reason=NO_PLAYWRIGHT).expect
pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD = frozenset({"serious", "critical"})


async def found(visitor: Visitor) -> list[str]:
    """Return axe-core's serious and critical findings on the page as it stands."""
    axe = pytest.importorskip(
        "axe_playwright_python.async_playwright",
        reason="the Python package axe-playwright-python is not installed",
    )
    results = await axe.Axe().run(visitor.page)
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in results.response["violations"]
        if one["impact"] in BAD
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_any_room(
    enter: Enter, place: Town, scheme: str
) -> None:
    ada = await enter()
    await ada.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    rich = (
        "**b** `c` ||s|| <t:1700000000:R> https://a.example @turbocord\n> q\n```\nx\n```\n-# small"
    )
    sent = await place.member.send(rich, user="ben", files={"a.png": png(), "b.txt": b"b"})
    await place.member.send("so it is @ada", user="cleo", reply_to=sent["id"])
    await ada.say("/imagine a field count:2")
    await ada.picture()
    await ada.say("/live a cat")
    await ada.picture()
    report = {"chat": await found(ada)}
    await ada.messages.first.scroll_into_view_if_needed()
    report["words"] = await found(ada)
    await ada.last.scroll_into_view_if_needed()
    await ada.page.get_by_role("button", name="Wire").click()
    await expect(ada.page.get_by_role("list", name="Traffic")).to_contain_text("READY")
    report["wire"] = await found(ada)
    await ada.page.get_by_role("tab", name="World").click()
    await ada.page.get_by_text("What the bot may do here").click()
    report["world"] = await found(ada)
    await ada.box.click()
    await ada.type("/")
    await expect(ada.page.get_by_role("option").first).to_be_visible()
    report["picker"] = await found(ada)
    await ada.type("imagine x size:")
    await expect(ada.page.get_by_role("option").first).to_be_visible()
    report["command"] = await found(ada)
    await ada.press("Escape")
    await ada.press("Escape")
    await (await ada.button("Edit prompt")).click()
    await expect(ada.page.get_by_role("dialog")).to_be_visible()
    report["form"] = await found(ada)
    await ada.press("Escape")
    await ada.page.get_by_role("button", name="Enlarge: a cat").click()
    report["enlarged"] = await found(ada)
    await ada.press("Escape")
    await ada.last.focus()
    await (await ada.button("More")).click()
    await expect(ada.page.get_by_role("menu").first).to_be_visible()
    report["menu"] = await found(ada)
    await ada.press("Escape")
    await ada.last.get_by_role("combobox", disabled=False).first.click()
    await expect(ada.page.get_by_role("listbox")).to_be_visible()
    report["select"] = await found(ada)
    assert {room: bad for room, bad in report.items() if bad} == {}


async def test_the_keyboard_alone_reaches_a_message_and_its_menu(enter: Enter, place: Town) -> None:
    await place.member.send("first", user="ben")
    await place.member.send("second", user="cleo")
    ada = await enter()
    await expect(ada.last).to_contain_text("second")
    await ada.box.focus()
    for _ in range(3):  # past the button that adds files, over the list, to the newest message
        await ada.press("Shift+Tab")
        if await ada.last.evaluate("(node) => node === document.activeElement"):
            break
    await expect(ada.last).to_be_focused()
    await ada.press("ArrowUp")
    await expect(ada.messages.first).to_be_focused()
    await ada.press("Tab")
    await expect(await ada.button("Reply", ada.messages.first)).to_be_focused()
    await ada.press("Enter")
    await expect(ada.page.locator(".composer-head")).to_contain_text("Replying to Ben first")
    await ada.press("Escape")
    await expect(ada.page.locator(".composer-head")).to_have_count(0)
    await ada.messages.first.focus()
    await ada.press("Tab")
    await ada.press("Tab")
    await ada.press("Enter")
    await expect(ada.page.get_by_role("menuitem", name="Remix")).to_be_focused()
    await ada.press("ArrowDown")
    await expect(ada.page.get_by_role("menuitem", name="Picture info")).to_be_focused()
    await ada.press("Escape")
    await expect(await ada.button("Apps", ada.messages.first)).to_be_focused()


async def test_the_focus_stays_where_it_was_whatever_happens_elsewhere(
    enter: Enter, place: Town
) -> None:
    ada = await enter()
    world = await place.member.world(user="ada")
    room = ada.page.get_by_role("navigation", name="Channels").get_by_role("button", name="art")
    server = ada.page.get_by_role("button", name="Turbo Town", exact=True)
    wire = ada.page.locator(".head-button").first
    for number, focused in enumerate((room, server, wire), start=1):
        await focused.focus()
        await place.member.send(f"<@{world['user']['id']}> hello", user="ben", channel="art")
        await expect(room).to_contain_text(str(number))
        await expect(focused).to_be_focused()
    theme = ada.page.get_by_role("button", name="Switch between light and dark")
    await theme.focus()
    await ada.press("Enter")
    await expect(theme).to_be_focused()


async def test_a_phone_shows_everything_without_scrolling_sideways(enter: Enter) -> None:
    ada = await enter()
    await ada.page.set_viewport_size({"width": 360, "height": 720})
    await ada.say("/imagine a long road between very high mountains count:4")
    await ada.picture()
    await ada.say("/live a cat")
    await ada.picture()
    sideways = "() => document.documentElement.scrollWidth - innerWidth"
    assert await ada.page.evaluate(sideways) <= 0
    wide = """() => [...document.querySelectorAll("#messages *")]
      .filter((one) => one.getBoundingClientRect().right > innerWidth + 1
        && !one.closest(".toolbar")).map((one) => one.className)"""
    assert await ada.page.evaluate(wide) == []
    places = ada.page.get_by_role("navigation", name="Channels")
    await expect(places).not_to_be_visible()
    await ada.page.get_by_role("button", name="Servers and channels").click()
    await expect(places).to_be_visible()
    await ada.page.get_by_role("button", name="art").click()
    await expect(places).not_to_be_visible()
    await expect(ada.page.locator("#channel-head h1")).to_have_text("art")


async def test_the_theme_is_remembered(enter: Enter) -> None:
    ada = await enter()
    await ada.page.emulate_media(color_scheme="light")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = await ada.page.evaluate(ground)
    await ada.page.get_by_role("button", name="Switch between light and dark").click()
    dark = await ada.page.evaluate(ground)
    assert dark != light
    await ada.page.reload()
    await expect(ada.page.locator("#channel-head h1")).to_have_text("general")
    assert await ada.page.evaluate(ground) == dark
