"""Outside guilds, over several guilds, while waiting: the same bot, answered by the token alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.store import GuildSettings
from cogs.common import interaction_reply
from cogs.common.options import is_age_restricted, parent_of
from tests.e2e import Town, null_scheduler, town, words
from tests.pictures import png


async def test_a_direct_message_draws(place: Town) -> None:
    channel = await place.member.dm("cleo")
    record = await place.command("/imagine prompt:a cat", user="cleo", channel=channel["id"])
    assert record["response"]["files"]
    me = await place.command("/me", user="cleo", channel=channel["id"])
    assert "a cat" in words(me["response"])


async def test_a_user_install_works_where_the_bot_is_no_member(place: Town) -> None:
    await place.member.create_guild("Elsewhere", owner="ada", channels=["lobby"], bot=False)
    record = await place.command(
        "/imagine prompt:a cat", user="ada", guild="Elsewhere", channel="lobby"
    )
    assert record["response"]["files"]
    again = await place.press(record["response"]["id"], "Reroll")
    assert "a cat" in words(again["response"])
    photo = await place.command(
        "/remix prompt:snow",
        user="ada",
        guild="Elsewhere",
        channel="lobby",
        files={"image": ("a.png", png())},
    )
    assert "strength 0.7" in words(photo["response"])


async def test_a_user_install_has_one_allowance_wherever_it_is_used(place: Town) -> None:
    """Anyone can make guilds; each would else bring an allowance and a place in the queue."""
    await place.member.set_user("cleo", has_installed=True)
    clients: set[int | None] = set()
    submit = place.app.scheduler.submit

    def noting(draws: Any, *, guild_id: int | None, user_id: int) -> Any:
        clients.add(guild_id)
        return submit(draws, guild_id=guild_id, user_id=user_id)

    place.app.scheduler.submit = noting  # type: ignore[method-assign]  # the test listens in
    lobbies = {}
    for name in ("one", "two", "three"):
        await place.member.create_guild(name, owner="cleo", channels=["lobby"], bot=False)
        lobbies[name] = {"guild": name, "channel": "lobby", "user": "cleo"}
    left = place.app.studio.service.limiter.member.count
    for where in (*lobbies.values(), *lobbies.values()):
        if left > 0:
            drawn = await place.command("/imagine prompt:a count:4", **where)
            assert len(drawn["response"]["files"]) == 4
            left -= 4
    for where in lobbies.values():
        refused = await place.command("/imagine prompt:a", **where)
        assert "You have used your 20 pictures" in words(refused["response"])
    assert clients == {None}
    me = await place.command("/me", **lobbies["three"])
    assert "**You:** 0 of 20" in words(me["response"])
    # Where the bot is a member it is the guild's allowance that counts, as ever.
    assert (await place.command("/imagine prompt:a", user="cleo"))["response"]["files"]
    assert len(clients) == 2


async def test_the_rules_of_a_guild_hold_for_user_installs_too(place: Town) -> None:
    await place.member.set_user("cleo", has_installed=True)
    made = await place.member.create_guild("Elsewhere", owner="ada", channels=["lobby"], bot=False)
    rules = GuildSettings(blocklist=("gore",), member_quota=(1, 3600))
    await place.app.store.save_settings(int(made["id"]), rules)
    where = {"user": "ada", "guild": "Elsewhere", "channel": "lobby"}
    refused = await place.command("/imagine prompt:gore", **where)
    assert "does not want pictures of gore" in words(refused["response"])
    # Its limits are for what is counted there.
    for _ in range(2):
        assert (await place.command("/imagine prompt:a", **where))["response"]["files"]


async def test_a_long_wait_is_told_and_can_be_left(tmp_path: Path) -> None:
    scheduler = null_scheduler(step_seconds=0.7)
    async with town(tmp_path, scheduler=scheduler, max_batch=1) as place:
        await place.command("/imagine prompt:warm", user="ben")
        busy = [
            await place.member.command(
                "/imagine prompt:busy count:4 steps:4", user=user, channel="general"
            )
            for user in ("ada", "ben", "ben")
        ]
        waiting = await place.member.command("/imagine prompt:mine", user="cleo", channel="general")
        await place.member.wait_response(waiting, until="ack")
        async with place.member.events(user="cleo") as stream:
            async for event in stream:
                message = event.get("message") or {}
                if message.get("interaction_id") == waiting and "In the queue" in words(message):
                    break
        pressed = await place.member.press(message["id"], "Cancel", user="ben")
        refused = await place.member.wait_response(pressed)
        assert "nothing of yours" in words(refused["response"])
        await place.member.press(message["id"], "Cancel", user="cleo")
        cleo = int(message["interaction_metadata"]["user"]["id"])
        for interaction in busy:
            await place.member.wait_response(interaction, until="files", timeout=60)
        (job,) = await place.app.store.jobs_of_user(cleo)
        assert job.state == "abandoned"


async def test_a_wait_is_told_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interaction_reply, "TELL_AFTER", 0.2)
    monkeypatch.setattr(interaction_reply, "TELL_AGAIN", 0.2)
    scheduler = null_scheduler(step_seconds=0.25)
    async with town(tmp_path, scheduler=scheduler, max_batch=1) as place:
        await place.command("/imagine prompt:warm", user="ben")
        for user in ("ada", "ben", "ben"):
            busy = await place.member.command(
                "/imagine prompt:busy count:4 steps:4", user=user, channel="general"
            )
            await place.member.wait_response(busy, until="ack")
        # However late the acknowledgement comes, it is waited for.
        await place.member.fault("rest", "slow", route="*/callback", seconds=0.4, times=1)
        waiting = await place.member.command("/imagine prompt:mine", user="cleo", channel="general")
        record = await place.member.wait_response(waiting, until="files", timeout=60)
        told = [
            entry
            for entry in await place.member.traffic(kind="rest")
            if "In the queue" in str(entry["body"])
            and entry["response"]["id"] == record["response"]["id"]
        ]
        assert len(told) == 2


def a_thread(*, nsfw: bool) -> discord.Thread:
    """Return a thread on a channel that is age-restricted or not."""
    parent = SimpleNamespace(is_nsfw=lambda: nsfw)
    guild = SimpleNamespace(get_channel=lambda _: parent)
    thread = discord.Thread.__new__(discord.Thread)
    thread.guild = guild  # type: ignore[assignment]  # all that a thread asks of its guild
    thread.id, thread.parent_id = 5, 4
    return thread


def test_a_thread_is_as_the_channel_it_hangs_on() -> None:
    assert is_age_restricted(a_thread(nsfw=True))
    assert not is_age_restricted(a_thread(nsfw=False))
    assert not is_age_restricted(None)
    assert parent_of(a_thread(nsfw=False)) == 4
    assert parent_of(None) is None


async def test_a_missing_permission_does_not_stop_an_answer_by_token(place: Town) -> None:
    await place.member.set_overwrite("general", "turbocord", deny=(1 << 10) | (1 << 11))
    record = await place.command("/imagine prompt:a cat", user="cleo")
    assert record["response"]["files"]
