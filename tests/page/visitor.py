"""A visitor of the sandbox's page: what a person does with mouse and keyboard, in Chromium."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import BrowserContext, Locator, Page, expect

DROP = """([target, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const node = document.querySelector(target);
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  for (const kind of ["dragenter", "dragover", "drop"]) {
    node.dispatchEvent(new DragEvent(kind, options));
  }
}"""


@dataclass
class Visitor:
    """One tab, and everything that went wrong in it."""

    page: Page
    base_url: str
    faults: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @classmethod
    async def enter(
        cls, context: BrowserContext, base_url: str, *, user: str = "ada", channel: str = ""
    ) -> Visitor:
        """Open the page as a member and wait until it shows a channel and hears of news."""
        visitor = cls(await context.new_page(), base_url)
        page = visitor.page
        page.on(
            "console",
            lambda one: visitor.faults.append(one.text) if one.type == "error" else None,
        )
        page.on("pageerror", lambda error: visitor.faults.append(str(error)))
        page.on("request", lambda request: visitor._note(request.url))
        await page.goto(f"{base_url}/#{user}/{channel}")
        await expect(page.locator("#channel-head h1")).not_to_be_empty()
        await expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
        return visitor

    def _note(self, url: str) -> None:
        if not url.startswith((self.base_url, self.base_url.replace("http", "ws", 1), "blob:")):
            self.foreign.append(url)

    @property
    def messages(self) -> Locator:
        """Every message shown."""
        return self.page.locator("#messages article.message")

    @property
    def last(self) -> Locator:
        """The newest message."""
        return self.messages.last

    @property
    def box(self) -> Locator:
        """The message box."""
        return self.page.locator("#composer-text")

    def option(self, name: str) -> Locator:
        """Return the field of a command's option."""
        return self.page.locator(f'[data-option="{name}"]')

    async def type(self, text: str) -> None:
        """Type where the focus is."""
        await self.page.keyboard.type(text)

    async def press(self, key: str) -> None:
        """Press a key where the focus is."""
        await self.page.keyboard.press(key)

    async def say(self, text: str) -> None:
        """Type a message or a command into the box and send it."""
        await self.box.click()
        await self.type(text)
        await self.press("Enter")

    async def drop(self, name: str, kind: str, data: bytes, target: str = "#main") -> None:
        """Drop a file on a part of the page."""
        await self.page.evaluate(DROP, [target, name, kind, base64.b64encode(data).decode()])

    async def picture(self, within: Locator | None = None) -> Locator:
        """Wait for a picture in a message and until it has loaded; return it."""
        image = (within or self.last).locator(".gallery img").last
        await expect(image).to_be_visible()
        loaded = "(image) => image.decode().then(() => image.naturalWidth > 0)"
        assert await image.evaluate(loaded)
        return image

    async def button(self, name: str, within: Locator | None = None) -> Locator:
        """Return a button by its label, in the newest message unless told otherwise."""
        return (within or self.last).get_by_role("button", name=name, exact=True)

    async def wait_focus(self, script: str, argument: Any = None) -> None:
        """Wait until a predicate over the focused element holds."""
        await self.page.wait_for_function(
            f"(argument) => (({script})(document.activeElement, argument))", arg=argument
        )
