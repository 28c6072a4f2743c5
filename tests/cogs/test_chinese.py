"""Members who read Chinese read it in forms, panels and pages, down to the flags."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import Town, items, words
from tests.pictures import png


@pytest.fixture
async def place(place: Town) -> Town:
    for user in ("ada", "cleo"):
        await place.member.set_user(user, locale="zh-CN")
    (guild,) = (await place.member.world(user="ada"))["guilds"]
    await place.member.set_guild(guild["id"], locale="zh-CN")
    return place


def latin_in(shown: list[str], *allowed: str) -> list[str]:
    """Return what has letters of ours in it, but for `allowed`."""
    return [
        one
        for one in shown
        if any(character.isascii() and character.isalpha() for character in one)
        and one not in allowed
    ]


def labels(rows: list[dict[str, Any]]) -> list[str]:
    return [row["label"] for row in rows]


async def test_the_remix_form(place: Town) -> None:
    theirs = await place.member.send("x", user="ben", channel="general", files={"a.png": png()})
    opened = await place.member.context_menu("Remix", message=theirs["id"], user="cleo")
    modal = (await place.member.wait_response(opened))["modal"]
    assert modal["title"] == "重绘这张图片"
    assert labels(modal["components"]) == ["要变成什么？", "强度", "风格"]


async def test_the_settings_panel_and_its_forms(place: Town) -> None:
    panel = (await place.command("/settings", user="ada"))["response"]
    assert "本服务器的画图设置" in words(panel)
    buttons = [one["label"] for one in items(panel["components"], 2)]
    assert buttons == ["默认值…", "限额…", "身份组限额…", "屏蔽词…", "全部重置"]
    assert (
        latin_in(
            [one["placeholder"] for kind in (5, 6, 8) for one in items(panel["components"], kind)]
        )
        == []
    )
    for label in buttons[:4]:
        opened = await place.member.press(panel["id"], label, user="ada")
        modal = (await place.member.wait_response(opened))["modal"]
        assert latin_in([modal["title"], *labels(modal["components"])]) == []
    await place.press(panel["id"], "全部重置", user="ada")
    question = await place.member.message(panel["id"], user="ada")
    assert "撤销本服务器的全部设置" in words(question)


async def test_the_page_about_oneself(place: Town) -> None:
    await place.command("/imagine prompt:猫", user="cleo")
    assert await place.app.studio.wait_until_idle(10)
    me = (await place.command("/me", user="cleo"))["response"]
    assert "还剩 19 / 20 张" in words(me)
    assert "**猫** · [查看]" in words(me)
    assert [one["label"] for one in items(me["components"], 2)] == ["删除我的数据"]
    for label in ("删除我的数据", "确定删除"):
        await place.press(me["id"], label, user="cleo")
    assert "已删除：1 条记录" in words(await place.member.message(me["id"], user="cleo"))


async def test_a_flag_without_a_value(place: Town) -> None:
    bot = place.sandbox.application_id
    sent = await place.member.send(f"<@{bot}> 猫 --no", user="cleo", channel="general")
    answer = await place.member.wait_message(
        "general", user="cleo", after=sent["id"], author="turbocord", timeout=30
    )
    assert "参数 `--no` 需要一个值：一个词" in words(answer)


async def test_a_picture_without_a_prompt_has_a_name(place: Town) -> None:
    two = {"image1": ("a.png", png()), "image2": ("b.png", png(colour=(200, 0, 0)))}
    message = (await place.command("/blend seed:3", user="cleo", files=two))["response"]
    (gallery,) = items(message["components"], 12)
    assert [one["description"] for one in gallery["items"]] == ["图片"]
    assert [one["description"] for one in message["files"]] == ["图片"]
