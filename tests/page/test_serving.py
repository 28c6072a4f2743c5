"""The page's files: what is served, under which policy, and what is not."""

from __future__ import annotations

import aiohttp
import pytest

from bot.sandbox import Sandbox
from bot.sandbox.pages import FOLDER, TYPES

EVERY = sorted(one.name for one in FOLDER.iterdir() if one.name.rpartition(".")[2] in TYPES)


async def test_every_file_of_the_page_is_served_as_what_it_is() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession(sandbox.base_url) as session:
        for name in EVERY:
            async with session.get(f"/page/{name}") as answer:
                assert answer.status == 200
                assert answer.content_type == TYPES[name.rpartition(".")[2]]
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with session.get("/") as answer:
            assert answer.content_type == "text/html"
            page = await answer.text()
    assert {name for name in EVERY if f"/page/{name}" in page} >= {"main.js", "base.css"}


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2fpages.py", "..%2f..%2fconfig.py", "screenshots", "%2fetc%2fpasswd"]
)
async def test_nothing_else_is_served(name: str) -> None:
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession() as session,
        session.get(f"{sandbox.base_url}/page/{name}") as answer,
    ):
        assert answer.status == 404


async def test_an_attachment_opened_by_itself_runs_no_script() -> None:
    async with Sandbox() as sandbox, sandbox.client() as client, aiohttp.ClientSession() as session:
        files = {"page.html": b"<script>fetch('/sandbox')</script>"}
        message = await client.send("look", user="ada", channel="general", files=files)
        async with session.get(message["attachments"][0]["url"]) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_asks_no_other_server_and_writes_no_markup() -> None:
    for name in EVERY:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        assert "eval(" not in text
        if name.endswith((".html", ".css")):
            assert "http" not in text.replace("http-equiv", "")


def test_no_module_of_the_page_is_long() -> None:
    long = {
        name: lines
        for name in EVERY
        if (lines := len((FOLDER / name).read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}
