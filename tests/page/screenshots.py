"""Take the README's pictures of the page: `python -m tests.page.screenshots [model]`.

The real bot draws with the model named, the starter model by default. Each picture is a WebP of
at most 150 KiB under `bot/sandbox/page/screenshots/`.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.app import connected
from bot.sandbox import Sandbox, SandboxClient
from tests.e2e import MESSAGE_CONTENT, settings_for
from tests.page.conftest import FLAGS, NAMES
from tests.page.visitor import Visitor

FOLDER: Final = Path(__file__).parents[2] / "bot" / "sandbox" / "page" / "screenshots"
MOST_BYTES: Final = 150 * 1024
PATIENCE_MS: Final = 180_000


async def keep(page: Page, name: str) -> None:
    """Save what the page shows, as small as it has to be."""
    await page.mouse.move(640, 4)
    await page.wait_for_timeout(400)
    shot = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    for quality in range(88, 30, -8):
        data = io.BytesIO()
        shot.save(data, "WEBP", quality=quality, method=6)
        if data.tell() <= MOST_BYTES:
            break
    (FOLDER / f"{name}.webp").write_bytes(data.getvalue())
    print(f"{name}.webp  {data.tell() / 1024:.0f} KiB")


async def draw(visitor: Visitor, command: str, prompt: str, options: str = "") -> None:
    """Send a command and wait for its picture."""
    await visitor.say(f"/{command} {prompt}{options}")
    await expect(visitor.last).to_contain_text(prompt)
    await visitor.picture()


async def tab(
    browser: Browser, base_url: str, scheme: str, *, width: int = 1280, height: int = 800
) -> Visitor:
    """Open the page in one colour scheme and size."""
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark"
    )
    context.set_default_timeout(PATIENCE_MS)
    visitor = await Visitor.enter(context, base_url)
    await visitor.page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    return visitor


async def tour(browser: Browser, base_url: str, member: SandboxClient) -> None:
    """Go through the page and keep a picture of each place worth showing."""
    await member.send("Morning! Who draws me something with a **boat**?", user="ben")
    ada = await tab(browser, base_url, "dark")
    await draw(ada, "imagine", "a brown boat on a cyan background", " seed:7")
    await member.send("@ada lovely — now at night?", user="cleo")
    await keep(ada.page, "chat")

    light = await tab(browser, base_url, "light")
    await draw(light, "imagine", "a green tree on a pink background", " count:4 seed:3")
    await light.box.click()
    await light.type("/imagine an orange cat on a green background style:")
    await expect(light.page.get_by_role("option").first).to_be_visible()
    await keep(light.page, "command")
    await light.press("Escape")
    await light.press("Escape")

    live = await tab(browser, base_url, "dark")
    await live.page.get_by_role("button", name="Wire").click()
    await draw(live, "live", "a yellow star on a purple background")
    await (await live.button("New seed")).click()
    await live.page.wait_for_timeout(4000)
    await live.page.locator("summary", has_text="/interactions/").last.click()
    await keep(live.page, "wire")

    phone = await tab(browser, base_url, "light", width=390, height=780)
    await draw(phone, "imagine", "a pink heart on a white background", " seed:11")
    await keep(phone.page, "phone")


async def main(model: str) -> None:
    """Start sandbox, bot and browser, and take the tour."""
    FOLDER.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    chromium = next(filter(None, map(shutil.which, NAMES)))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
            sandbox.client() as member,
            connected(settings_for(sandbox, Path(folder), model=model, default_steps=1)),
            async_playwright() as driver,
        ):
            browser = await driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
            await tour(browser, sandbox.base_url, member)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "starter"))
