"""Discord's markdown, and the reading of typed commands: the page's modules, asked directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKDOWN = """async (text) => {
  const { markdown } = await import("/page/markdown.js");
  const node = document.createElement("div");
  const names = { user: (id) => (id === "1" ? "Ada" : undefined), role: () => "Mods",
    channel: () => "art" };
  node.append(...markdown(text, names));
  return node.innerHTML;
}"""
COMMANDS = """async ([name, ...rest]) => {
  const module = await import("/page/commands.js");
  return module[name](...rest);
}"""

RENDERED = [
    ("**bold** *lean* _lean_", "<p><strong>bold</strong> <em>lean</em> <em>lean</em></p>"),
    (
        "***both*** __under__ ~~out~~",
        "<p><strong><em>both</em></strong> <u>under</u> <s>out</s></p>",
    ),
    ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
    (r"\*plain\* a\.b", "<p>*plain* a.b</p>"),
    ("`a *b*` ``c ` d``", "<p><code>a *b*</code> <code>c ` d</code></p>"),
    ("one\ntwo", "<p>one<br>two</p>"),
    ("# Head\n-# small", '<h4>Head</h4><p class="subtext">small</p>'),
    ("#no head", "<p>#no head</p>"),
    ("> quoted\nplain", "<blockquote><p>quoted</p></blockquote><p>plain</p>"),
    (">>> all\nof it", "<blockquote><p>all<br>of it</p></blockquote>"),
    ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
    ("3. x\n4. y", '<ol start="3"><li>x</li><li>y</li></ol>'),
    (
        "```py\n<b>\n```",
        '<pre tabindex="0"><code data-language="py">&lt;b&gt;</code></pre>',
    ),
    (
        "<@1> <@!2>",
        '<p><span class="mention">@Ada</span> <span class="mention">@unknown-user</span></p>',
    ),
    (
        "<@&5> <#6> </imagine:7>",
        '<p><span class="mention">@Mods</span> '
        '<span class="mention">#art</span> <span class="mention">/imagine</span></p>',
    ),
    ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ("**open", "<p>**open</p>"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def evaluate(sandbox: Sandbox, visiting: Any) -> Any:
    """Return a way to run a script in the page of an empty sandbox."""
    visitor = await visiting(sandbox.base_url)()
    return visitor.page.evaluate


async def test_text_becomes_what_discord_shows(evaluate: Any) -> None:
    shown = [(text, await evaluate(MARKDOWN, text)) for text, _ in RENDERED]
    assert shown == RENDERED


async def test_links_open_elsewhere_and_tell_nothing(evaluate: Any) -> None:
    made = await evaluate(MARKDOWN, "see https://a.example/x?y=1, or [here](https://b.example).")
    attributes = 'target="_blank" rel="noopener noreferrer nofollow"'
    assert f'<a href="https://a.example/x?y=1" {attributes}>https://a.example/x?y=1</a>, or' in made
    assert f'<a href="https://b.example" {attributes}>here</a>.' in made


async def test_a_relative_timestamp_names_its_moment(evaluate: Any) -> None:
    made = await evaluate(MARKDOWN, "<t:1700000000:R> <t:99999999999999:R>")
    assert 'datetime="2023-11-14T22:13:20.000Z"' in made
    assert "years ago" in made
    assert "&lt;t:99999999999999:R&gt;" in made


async def test_deep_nesting_ends(evaluate: Any) -> None:
    assert "deep" in await evaluate(MARKDOWN, "**__" * 200 + "deep" + "__**" * 200)
    assert "deep" in await evaluate(MARKDOWN, "> " * 200 + "deep")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat", [[None, "a cat"]]),
        ("a cat seed:7", [[None, "a cat"], ["seed", "7"]]),
        (
            "time 12:30 on seed:1 style: ink",
            [[None, "time 12:30 on"], ["seed", "1"], ["style", "ink"]],
        ),
        ("unseed:7", [[None, "unseed:7"]]),
        ("seed:", [[None, ""], ["seed", ""]]),
    ],
)
async def test_only_known_options_split_a_text(
    evaluate: Any, text: str, parts: list[list[str | None]]
) -> None:
    assert await evaluate(COMMANDS, ["split", text, ["seed", "style"]]) == parts


@pytest.mark.parametrize(
    ("option", "value", "wrong"),
    [
        ({"type": 4, "min_value": 1, "max_value": 4}, "5", "This goes from 1 to 4."),
        ({"type": 4}, "1.5", "This takes a whole number."),
        ({"type": 10}, "1,5", "This takes a number."),
        ({"type": 10, "max_value": 1}, "0.5", None),
        ({"type": 3, "max_length": 3}, "long", "This takes 0 to 3 characters, not 4."),
        ({"type": 3, "required": True}, "", "This option is required."),
        ({"type": 3}, "", None),
    ],
)
async def test_values_are_checked_before_they_are_sent(
    evaluate: Any, option: dict[str, Any], value: str, wrong: str | None
) -> None:
    assert await evaluate(COMMANDS, ["fault", option, value]) == wrong
