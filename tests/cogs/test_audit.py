"""The lines of the audit channel: in the guild's language, with all that moderators need."""

from __future__ import annotations

import pytest

from bot.store import GuildSettings, NsfwPolicy
from tests.e2e import Town, eventually
from tests.pictures import png

TWO = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}


async def audited(place: Town, *, locale: str) -> None:
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    await place.member.set_guild(guild["id"], locale=locale)
    channels = {one["name"]: int(one["id"]) for one in guild["channels"]}
    chosen = GuildSettings(audit_channel_id=channels["art"], nsfw_policy=NsfwPolicy.OFF)
    await place.app.store.save_settings(int(guild["id"]), chosen)


async def lines_of(place: Town, count: int) -> list[str]:
    found: list[str] = []

    async def are_there() -> bool:
        found[:] = [one["content"] for one in await place.member.messages("art", user="ada")]
        return len(found) == count

    await eventually(are_there)
    return found


async def test_a_line_is_in_the_guild_s_language(place: Town) -> None:
    await audited(place, locale="zh-CN")
    await place.command("/blend seed:3", user="cleo", files=TWO)
    (blend,) = await lines_of(place, 1)
    assert " · 混图 · **–** · https://" in blend
    await place.command("/imagine prompt:猫 negative_prompt:帽子", user="cleo")
    imagine = (await lines_of(place, 2))[-1]
    assert " · 想象 · **猫** · 不含：帽子 · https://" in imagine


@pytest.mark.parametrize("locale", ["en-US", "de"])
async def test_every_kind_has_its_name(place: Town, locale: str) -> None:
    await audited(place, locale=locale)
    drawn = (await place.command("/imagine prompt:a cat", user="cleo"))["response"]
    await place.press(drawn["id"], "Reroll", user="cleo")
    await place.press(drawn["id"], "Upscale ×2", user="cleo")
    panel = (await place.command("/live prompt:a dog", user="cleo"))["response"]
    await place.press(panel["id"], "Share", user="cleo")
    await place.member.send(
        f"<@{place.sandbox.application_id}> a cow", user="cleo", channel="general"
    )
    kinds = [line.split(" · ")[1] for line in await lines_of(place, 6)]
    assert sorted(kinds) == sorted(["imagine", "Reroll", "Upscale ×2", "live", "Share", "mention"])


async def test_a_line_tells_how_many_were_held_back(judged: Town) -> None:
    await audited(judged, locale="en-US")
    await judged.command("/imagine prompt:red blue count:4 seed:7", user="cleo")
    (line,) = await lines_of(judged, 1)
    assert "Held back by the picture check: 2 · https://" in line
