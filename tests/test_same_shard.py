"""Two bots that hold the same shard and share a store: everybody is answered by one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot import arrivals
from bot.app import App, connected
from bot.conversation import Outcome
from bot.engine.scheduler import BatchScheduler
from bot.sandbox import Sandbox, SandboxClient
from cogs.common import interaction_reply
from cogs.common.delivery import ALREADY_ACKNOWLEDGED
from tests.e2e import MESSAGE_CONTENT, eventually, items, null_scheduler, settings_for, words
from tests.servers import PostgresServer, needs_postgres

pytestmark = pytest.mark.timeout(120)

AT_ONCE = 8


@dataclass
class Twins:
    """A sandbox with two whole bots in it, each with engine, limits and connections of its own."""

    sandbox: Sandbox
    member: SandboxClient
    apps: tuple[App, App]
    outcomes: list[Outcome]

    async def answer(self, interaction: str, until: str = "answer") -> dict[str, Any]:
        return await self.member.wait_response(interaction, until=until, timeout=30)

    async def are_idle(self) -> bool:
        """Whether both have decided about everything that reached them and answered it."""
        return not any(app.studio.running for app in self.apps)

    async def shown(self, user: str = "ada") -> list[dict[str, Any]]:
        """Return the bot's messages in the channel, once both bots are done."""
        await eventually(self.are_idle)
        found = await self.member.messages("general", user=user, limit=100)
        return [one for one in found if one["author"]["username"] == "turbocord"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a store for both."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_schema()


@asynccontextmanager
async def entered(
    url: str, folder: Path, engines: tuple[BatchScheduler, BatchScheduler], *expected: int
) -> AsyncIterator[Twins]:
    """Yield the twins; their calls may break no rule of Discord's but those `expected`."""
    async with (
        Sandbox(privileged_intents=MESSAGE_CONTENT) as sandbox,
        sandbox.client() as member,
    ):
        settings = settings_for(sandbox, folder, database_url=url)
        async with (
            connected(settings, scheduler=engines[0]) as one,
            connected(settings, scheduler=engines[1]) as two,
        ):
            outcomes: list[Outcome] = []
            for app in (one, two):
                app.studio.observers.append(outcomes.append)
                # How long a busy machine's store takes is not what is looked at here.
                app.bot.arrivals.patience_seconds = 30.0
            yield Twins(sandbox, member, (one, two), outcomes)
        # A second first response, for one, is 40060.
        broken = {entry["rule"].split(":")[0] for entry in await member.traffic(broken_only=True)}
        assert broken <= {str(code) for code in expected}


@pytest.fixture
async def twins(url: str, tmp_path: Path) -> AsyncIterator[Twins]:
    async with entered(url, tmp_path, (null_scheduler(), null_scheduler())) as twins:
        yield twins


async def test_each_command_and_mention_is_answered_once(twins: Twins) -> None:
    acts = [
        {"text": f"/imagine prompt:{number}", "user": "ada", "channel": "general"}
        for number in range(AT_ONCE)
    ]
    ids = await twins.member.invoke_many(acts)
    mention = f"<@{twins.sandbox.application_id}> a cat"
    for user in ("ben", "cleo"):
        await twins.member.send(mention, user=user, channel="general")
    records = await asyncio.gather(*(twins.answer(one, "files") for one in ids))
    assert {len(one["response"]["files"]) for one in records} == {1}

    async def all_came() -> bool:
        return len(await twins.shown()) >= AT_ONCE + 2

    await eventually(all_came)
    assert len(await twins.shown()) == AT_ONCE + 2
    assert [str(one.state) for one in twins.outcomes] == ["done"] * (AT_ONCE + 2)
    # Both heard of all of them, and each was left out by one.
    assert sum(app.bot.arrivals.repeated for app in twins.apps) == AT_ONCE + 2

    choices = await twins.member.autocomplete(
        "imagine", focused="style", options={"prompt": "a", "style": "PIX"}, user="ada"
    )
    assert [one["value"] for one in choices] == ["pixel"]


async def test_each_press_choice_menu_and_form_is_answered_once(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor is how late the one that knows a form may be on such a machine.
    monkeypatch.setattr(arrivals, "HEAD_START_SECONDS", 2.0)
    member = twins.member
    sent = await member.command("/imagine prompt:a cat count:2", user="ada", channel="general")
    first = (await twins.answer(sent, "files"))["response"]
    presses = [await member.press(first["id"], "Reroll", user="ben") for _ in range(3)]
    select = items(first["components"], 3)[0]["custom_id"]
    await twins.answer(await member.select(first["id"], select, ["1"], user="ben"))
    for press in presses:
        assert len((await twins.answer(press, "files"))["response"]["files"]) == 2

    # The form is known to the one that opened it alone, so it must be that one that takes it.
    for _ in range(4):
        opened = await member.context_menu("Remix", message=first["id"], user="cleo")
        fields = [
            row["component"]["custom_id"]
            for row in (await twins.answer(opened))["modal"]["components"]
        ]
        form = await member.submit_modal(opened, {fields[0]: "snow", fields[1]: "1"}, user="cleo")
        assert "snow" in words((await twins.answer(form, "files"))["response"])
    assert len(await twins.shown()) == 1 + 3 + 4
    assert [one.kind for one in twins.outcomes].count("remix") == 4
    info = await member.context_menu("Picture info", message=first["id"], user="cleo")
    assert "a cat" in words((await twins.answer(info))["response"])

    # So it is with panels.
    panel = (await twins.answer(await member.command("/live prompt:a dog", user="cleo")))[
        "response"
    ]
    for _ in range(3):
        await twins.answer(await member.press(panel["id"], "New seed", user="cleo"))
    edit = await member.press(panel["id"], "Edit prompt", user="cleo")
    (row,) = (await twins.answer(edit))["modal"]["components"]
    typed = {row["component"]["custom_id"]: "a bird"}
    await twins.answer(await member.submit_modal(edit, typed, user="cleo"))
    assert "a bird" in words(await member.message(panel["id"], user="cleo"))
    settings = await twins.answer(await member.command("/settings", user="ada"))
    reset = items(settings["response"]["components"], 2)[-1]["custom_id"]
    await twins.answer(await member.press(settings["response"]["id"], reset, user="ada"))
    await eventually(twins.are_idle)
    assert [one.kind for one in twins.outcomes].count("live") == 5


async def test_the_one_that_draws_is_the_one_that_cancels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interaction_reply, "TELL_AFTER", 1.1)
    slow = (null_scheduler(step_seconds=1.0), null_scheduler(step_seconds=1.0))
    url = f"sqlite+aiosqlite:///{tmp_path}/store.db"
    async with entered(url, tmp_path, slow) as twins:
        text = "/imagine prompt:a cat steps:4"
        acts = [{"text": text, "user": "cleo", "channel": "general"} for _ in range(4)]
        first, second = twins.apps
        # One that stops leaves what comes to the other.
        first.studio.is_draining = True
        await twins.member.invoke_many(acts)
        await eventually(lambda: took(second, len(acts)))
        first.studio.is_draining = False
        assert first.studio.running == 0

        async def buttons() -> list[tuple[str, str]]:
            shown = await twins.member.messages("general", user="cleo")
            return [
                (one["id"], button["custom_id"])
                for one in shown
                for button in items(one["components"], 2)
            ]

        async def all_wait() -> bool:
            return len(await buttons()) == len(acts)

        await eventually(all_wait)
        for message, cancel in await buttons():
            await twins.answer(await twins.member.press(message, cancel, user="cleo"), "ack")
        assert await twins.shown("cleo") == []
        assert [str(one.state) for one in twins.outcomes] == ["abandoned"] * len(acts)


async def took(app: App, count: int) -> bool:
    return app.studio.running == count


@needs_postgres
async def test_without_the_store_whoever_asks_is_answered_in_one_message(
    postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The two can no longer agree; of an interaction's first responses Discord takes one."""
    engines = (null_scheduler(), null_scheduler())
    async with entered(postgres.create_schema(), tmp_path, engines, ALREADY_ACKNOWLEDGED) as twins:
        postgres.stop()
        try:
            ids = [
                await twins.member.command("/imagine prompt:a", user="ada", channel="general")
                for _ in range(3)
            ]
            for one in ids:
                assert (await twins.answer(one, "files"))["ack_ms"] < 3000
            assert len(await twins.shown()) == len(ids)
        finally:
            postgres.start()
        assert sum(app.bot.arrivals.undecided for app in twins.apps) == 2 * len(ids)
        assert caplog.text.count("the store failed") == len(twins.apps)
