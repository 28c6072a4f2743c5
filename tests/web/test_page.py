"""The live page in Chromium, over a real service; its pictures come without a model."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from PIL import Image

from bot.conversation import Outcome
from bot.engine.null import NullPipeline
from bot.imaging.metadata import read_metadata
from bot.policy import Defaults
from bot.ratelimit import Quota
from bot.request import Draw, Pixels
from tests.page.conftest import FLAGS, chromium
from tests.pictures import sideways_photo
from tests.web.conftest import serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Locator, Page

gradio = pytest.importorskip("gradio", reason="the extra `web` (Gradio) is not installed")
playwright = pytest.importorskip(
    "playwright.async_api", reason="the Python package playwright is not installed"
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # Gradio asks pandas for what it will not do in version 4.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword).*"),
]

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


class SeenPipeline(NullPipeline):
    """Remembers what it was asked to draw."""

    seen: list[Draw]

    def redo(self, draw: Draw) -> Pixels:
        self.seen.append(draw)
        return super().redo(draw)


@dataclass
class Tab:
    """One browser tab on the page, and everything that went wrong in it."""

    page: Page
    url: str
    seen: list[Draw]
    outcomes: list[Outcome] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def image(self) -> Locator:
        return self.page.locator("#shown figure img")

    @property
    def caption(self) -> Locator:
        return self.page.locator("#shown figcaption")

    def number(self, name: str) -> Locator:
        return self.page.locator(f"#{name} input[type=number]")

    async def type(self, words: str, *, delay: float = 30) -> None:
        await self.page.locator("#prompt textarea").press_sequentially(words, delay=delay)

    async def drawn(self, prompt: str) -> None:
        """Wait for the picture of `prompt`, loaded."""
        await playwright.expect(self.image).to_have_attribute("alt", prompt)
        loaded = "(image) => image.decode().then(() => image.naturalWidth)"
        assert await self.image.evaluate(loaded) > 0

    async def address(self) -> str:
        return await self.image.get_attribute("src") or ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with playwright.async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=chromium(), args=[*FLAGS, *CAMERA])
        playwright.expect.set_options(timeout=30_000)
        yield started
        await started.close()


Enter = Callable[..., Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="module")
async def enter(browser: Browser) -> AsyncIterator[Enter]:
    """Serve the page and open a tab on it; no tab may fail or ask another server for anything."""
    tabs: list[Tab] = []
    async with AsyncExitStack() as stack:

        async def open_tab(*, login: str = "", **options: Any) -> Tab:
            seen: list[Draw] = []
            outcomes: list[Outcome] = []

            def pipeline() -> SeenPipeline:
                made = SeenPipeline()
                made.seen = seen
                return made

            url = await stack.enter_async_context(
                serving(pipeline, observe=outcomes.append, **options)
            )
            context: BrowserContext = await browser.new_context(
                permissions=["clipboard-read", "clipboard-write"]
            )
            stack.push_async_callback(context.close)
            context.set_default_timeout(30_000)
            tab = Tab(await context.new_page(), url, seen, outcomes)
            tabs.append(tab)
            watch(tab)
            await tab.page.goto(url)
            if not login:
                await tab.page.locator("#prompt textarea").wait_for()
            return tab

        yield open_tab
    for tab in tabs:
        assert tab.faults == []
        assert tab.foreign == []


def watch(tab: Tab) -> None:
    """Note errors in the tab, and requests to anyone but our own server."""

    def note(address: str) -> None:
        if not address.startswith((tab.url, "data:", "blob:")):
            tab.foreign.append(address)

    tab.page.on("request", lambda request: note(request.url))
    tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.page.on("console", lambda one: tab.faults.append(one.text) if one.type == "error" else None)


async def test_the_picture_follows_the_typing(enter: Enter) -> None:
    tab = await enter()
    await tab.type("a cat")
    await tab.drawn("a cat")
    first = await tab.address()
    await playwright.expect(tab.caption).to_contain_text("ms")
    await playwright.expect(tab.caption).to_contain_text("seed 42")
    await tab.type(" in the snow")
    await tab.drawn("a cat in the snow")
    assert await tab.address() != first
    await playwright.expect(tab.number("seed")).to_have_value("42")
    assert tab.outcomes[-1].kind == "web"


async def test_the_shown_file_tells_how_it_was_made(enter: Enter) -> None:
    tab = await enter()
    await tab.type("a cat")
    await tab.drawn("a cat")
    answer = await tab.page.request.get(f"{tab.url}{await tab.address()}")
    assert answer.headers["content-type"] == "image/png"
    metadata = read_metadata(await answer.body())
    assert metadata is not None
    assert (metadata.prompt, metadata.seed) == ("a cat", 42)
    gone = await tab.page.request.get(f"{tab.url}pictures/{'0' * 32}.png")
    assert gone.status == 404


async def test_controls_redraw_and_reach_the_model(enter: Enter) -> None:
    tab = await enter()
    await tab.type("a cat")
    await tab.drawn("a cat")
    await tab.number("steps").fill("3")
    await tab.number("steps").press("Tab")
    await playwright.expect(tab.caption).to_contain_text("3 steps")
    await tab.number("guidance").fill("1.5")
    await tab.number("guidance").press("Tab")
    await playwright.expect(tab.caption).to_contain_text("guidance 1.5")
    await tab.number("seed").fill("7")
    await playwright.expect(tab.caption).to_contain_text("seed 7")
    draw = tab.seen[-1]
    assert (draw.num_inference_steps, draw.guidance_scale, draw.seed) == (3, 1.5, 7)


async def test_randomize_takes_a_new_seed_and_shows_it(enter: Enter) -> None:
    tab = await enter()
    await tab.page.locator("#randomize input").check()
    await tab.type("a cat")
    await tab.drawn("a cat")
    await playwright.expect(tab.number("seed")).not_to_have_value("42")
    seed = await tab.number("seed").input_value()
    await playwright.expect(tab.caption).to_contain_text(f"seed {seed}")
    await tab.page.locator("#generate").click()
    await playwright.expect(tab.number("seed")).not_to_have_value(seed)


async def test_an_upload_is_turned_upright_and_started_from(enter: Enter) -> None:
    tab = await enter()
    await tab.type("snow")
    await tab.drawn("snow")
    upload = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": sideways_photo()}
    await tab.page.locator("#source input[type=file]").set_input_files(upload)
    await playwright.expect(tab.caption).to_contain_text("strength 0.7")
    await playwright.expect(tab.caption).to_contain_text("448×576")
    (source,) = tab.seen[-1].sources
    top, bottom = source.getpixel((200, 20)), source.getpixel((200, 550))
    assert top[0] > 180 > 80 > top[2]
    assert bottom[2] > 180 > 80 > bottom[0]


async def test_a_pasted_picture_counts_too(enter: Enter) -> None:
    tab = await enter()
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (10, 200, 10)).save(data, "PNG")
    await tab.page.evaluate(
        """async (bytes) => {
          const blob = new Blob([new Uint8Array(bytes)], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        list(data.getvalue()),
    )
    await tab.page.get_by_label("Paste from clipboard").click()
    await playwright.expect(tab.caption).to_contain_text("strength")
    assert tab.seen[-1].sources[0].getpixel((5, 5)) == (10, 200, 10)


async def test_the_camera_s_picture_counts_too(enter: Enter) -> None:
    tab = await enter()
    source = tab.page.locator("#source")
    await source.get_by_label("Capture from camera").click()
    await source.get_by_text("Click to Access Webcam").click()
    streams = "document.querySelector('#source video')?.videoWidth > 0"
    await tab.page.wait_for_function(streams)
    await source.get_by_label("capture photo").click()
    await playwright.expect(tab.caption).to_contain_text("strength")
    assert len(tab.seen[-1].sources) == 1


async def test_a_picture_that_is_taken_away_no_longer_counts(enter: Enter) -> None:
    tab = await enter()
    await tab.type("snow")
    upload = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": sideways_photo()}
    await tab.page.locator("#source input[type=file]").set_input_files(upload)
    await playwright.expect(tab.caption).to_contain_text("strength")
    await tab.page.locator("#source").get_by_label("Remove Image").click()
    await playwright.expect(tab.caption).not_to_contain_text("strength")


async def test_what_is_no_picture_is_refused_in_words(enter: Enter) -> None:
    tab = await enter()
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": b"%PDF-1.7 not a picture"}
    await tab.page.locator("#source input[type=file]").set_input_files(upload)
    refusal = tab.page.locator("#shown .refused")
    await playwright.expect(refusal).to_contain_text("PDF file, not a picture")
    assert tab.seen == []


async def test_markup_in_a_prompt_stays_words(enter: Enter) -> None:
    tab = await enter()
    prompt = '"><img src=x onerror=alert(1)>'
    await tab.page.locator("#prompt textarea").fill(prompt)
    await tab.drawn(prompt)
    assert await tab.page.locator("#shown img").count() == 1


async def test_a_used_up_limit_is_waited_for(enter: Enter) -> None:
    tab = await enter(quota=Quota(1, 10))
    await tab.type("one", delay=1)
    await tab.drawn("one")
    await tab.type(" two", delay=1)
    await playwright.expect(tab.page.locator("#shown .waiting")).to_contain_text("Try again in")
    await tab.drawn("one two")


async def test_the_password_is_asked_for(enter: Enter) -> None:
    tab = await enter(password="opensesame", login="yes")
    assert (await tab.page.request.get(f"{tab.url}config")).status == 401
    guess = {"username": "anyone", "password": "opensesam"}
    assert (await tab.page.request.post(f"{tab.url}login", form=guess)).status == 400
    await tab.page.get_by_label("username").fill("anyone")
    await tab.page.get_by_label("password").fill("opensesame")
    await tab.page.get_by_role("button", name="Login").click()
    await tab.type("a cat")
    await tab.drawn("a cat")
    # The login page fails its first look at what is behind it, and says so on the console.
    tab.faults.clear()


async def test_the_page_reads_well_where_no_model_limits_it(enter: Enter) -> None:
    tab = await enter(defaults=Defaults(max_steps=8, strength=0.5))
    assert await tab.page.title() == "turbocord"
    await playwright.expect(tab.number("strength")).to_have_value("0.5")
    assert await tab.number("steps").get_attribute("max") == "8"
