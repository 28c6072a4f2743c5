"""Chromium for the page's tests, a bot to visit, and what must hold after every visit."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e import Town, town

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext

    from tests.page.visitor import Visitor

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_PLAYWRIGHT = "the Python package playwright is not installed"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

Enter = Callable[..., Awaitable["Visitor"]]


def chromium() -> str:
    """Return Chromium's path; skips the test where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Yield one Chromium for all of the page's tests."""
    playwright = pytest.importorskip("playwright.async_api", reason=NO_PLAYWRIGHT)
    async with playwright.async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        playwright.expect.set_options(timeout=20_000)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Yield a fresh browser profile."""
    one = await browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-write", "clipboard-read"]
    )
    one.set_default_timeout(20_000)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visiting(context: BrowserContext) -> AsyncIterator[Callable[[str], Enter]]:
    """Open tabs; at the end none may have logged an error or asked another server for anything."""
    from tests.page.visitor import Visitor

    visitors: list[Visitor] = []

    def at(base_url: str) -> Enter:
        async def enter(user: str = "ada", channel: str = "") -> Visitor:
            visitor = await Visitor.enter(context, base_url, user=user, channel=channel)
            visitors.append(visitor)
            return visitor

        return enter

    yield at
    for one in visitors:
        await one.page.close()
    assert [fault for one in visitors for fault in one.faults] == []
    assert [url for one in visitors for url in one.foreign] == []


@pytest.fixture
def limits() -> dict[str, Any]:
    """Settings of the bot; a test overrides this fixture for others."""
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def place(tmp_path: Path, limits: dict[str, Any]) -> AsyncIterator[Town]:
    """Yield a sandbox with the real bot in it; its pictures come without a model."""
    async with town(tmp_path, message_content=True, **limits) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def enter(place: Town, visiting: Callable[[str], Enter]) -> Enter:
    """Open a tab on the place with the real bot, which outlives the tab."""
    return visiting(place.sandbox.base_url)
