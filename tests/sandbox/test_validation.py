"""Form-body errors in Discord's shape, above all those its published contract misses."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from bot.sandbox import invoking
from tests.sandbox.helpers import Rest, picture

V2 = 1 << 15


def row(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(children)}


def button(custom_id: str | None = "b", **more: Any) -> dict[str, Any]:
    base = {"type": 2, "style": 1, "label": "Go"}
    return base | ({"custom_id": custom_id} if custom_id else {}) | more


def text(content: str = "hi") -> dict[str, Any]:
    return {"type": 10, "content": content}


def first(errors: dict[str, Any]) -> tuple[str, str]:
    """Return the path and code of the first fault in a nested tree."""
    path = []
    while "_errors" not in errors:
        key = next(iter(errors))
        path.append(key)
        errors = errors[key]
    return ".".join(path), errors["_errors"][0]["code"]


EMBED = {"description": "x" * 3001}
SELECT = {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]}

BAD_MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    ({"content": 5}, "content", "BASE_TYPE_BAD_TYPE"),
    ({"embeds": [EMBED, EMBED]}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{}] * 11}, "embeds", "BASE_TYPE_BAD_LENGTH"),
    (
        {"embeds": [{"fields": [{"name": "n"}]}]},
        "embeds.0.fields.0.value",
        "BASE_TYPE_BAD_TYPE",
    ),
    ({"components": [row(button())] * 6}, "components", "BASE_TYPE_BAD_LENGTH"),
    (
        {"components": [row(button(None))]},
        "components.0.components.0.custom_id",
        "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED",
    ),
    (
        {"components": [row(button("x" * 101))]},
        "components.0.components.0.custom_id",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        {"components": [row(button(), button())]},
        "components",
        "COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    (
        {"components": [row(button(None, style=5))]},
        "components.0.components.0.url",
        "BUTTON_COMPONENT_URL_REQUIRED",
    ),
    (
        {"components": [row(button(label="x" * 81))]},
        "components.0.components.0.label",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        {"components": [row(*(button(str(n)) for n in range(6)))]},
        "components.0.components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"components": [row(SELECT | {"options": SELECT["options"] * 2})]},
        "components.0.components.0.options",
        "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
    ),
    (
        {"components": [row(SELECT | {"options": []})]},
        "components.0.components.0.options",
        "BASE_TYPE_BAD_LENGTH",
    ),
    ({"components": [text()]}, "components.0.type", "BASE_TYPE_CHOICES"),
    (
        {"flags": V2, "content": "x", "components": [text()]},
        "content",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    (
        {"flags": V2, "components": [text("x" * 2001), text("x" * 2000)]},
        "components",
        "COMPONENT_TEXT_DISPLAY_MAX_LENGTH",
    ),
    (
        {"flags": V2, "components": [{"type": 17, "components": [text()] * 20}] * 2},
        "components",
        "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
    ),
    (
        {"flags": V2, "components": [{"type": 12, "items": []}]},
        "components.0.items",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"flags": V2, "components": [{"type": 9, "components": [text()]}]},
        "components.0.accessory",
        "BASE_TYPE_REQUIRED",
    ),
    (
        {
            "flags": V2,
            "components": [{"type": 12, "items": [{"media": {"url": "attachment://no"}}]}],
        },
        "components",
        "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
    ),
    (
        {"content": "x", "attachments": [{"id": "12345"}]},
        "attachments.0",
        "MESSAGE_ATTACHMENT_NOT_FOUND",
    ),
    (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    (
        {"content": "x", "message_reference": {"message_id": "1"}},
        "message_reference",
        "REPLIES_UNKNOWN_MESSAGE",
    ),
]


@pytest.mark.parametrize(("body", "path", "code"), BAD_MESSAGES)
async def test_a_message_that_does_not_fit(
    rest: Rest, body: dict[str, Any], path: str, code: str
) -> None:
    status, answer, _ = await rest("POST", f"/channels/{rest.channel('art')}/messages", body)
    assert (status, answer["code"], answer["message"]) == (400, 50035, "Invalid Form Body")
    assert first(answer["errors"]) == (path, code)
    entry = rest.sandbox.traffic.after(kind="rest")[-1]
    assert entry.rule is not None
    assert entry.rule.startswith(f"50035: {path}")
    assert not rest.sandbox.state.messages[rest.channel("art")]


async def test_a_message_with_nothing_in_it(rest: Rest) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    status, answer, _ = await rest("POST", path, {"content": ""})
    assert (status, answer["code"]) == (400, 50006)


async def test_fields_nobody_knows_are_passed_over(rest: Rest) -> None:
    body = {"content": "x", "colour": "red", "tts": False}
    assert (await rest("POST", f"/channels/{rest.channel('art')}/messages", body))[0] == 200


async def test_the_v2_flag_stays_once_set(rest: Rest) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    _, sent, _ = await rest("POST", path, {"flags": V2, "components": [text()]})
    one = f"{path}/{sent['id']}"
    status, answer, _ = await rest("PATCH", one, {"flags": 0, "content": "x"})
    assert (status, first(answer["errors"])[0]) == (400, "flags")
    status, answer, _ = await rest("PATCH", one, {"content": "x"})
    assert first(answer["errors"])[0] == "content"
    status, changed, _ = await rest("PATCH", one, {"components": [text("new")]})
    assert (status, changed["components"][0]["content"]) == (200, "new")
    assert changed["flags"] & V2


async def test_an_old_message_turns_to_v2_once_its_content_is_gone(rest: Rest) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    _, sent, _ = await rest("POST", path, {"content": "old"})
    body = {"flags": V2, "components": [text()]}
    status, answer, _ = await rest("PATCH", f"{path}/{sent['id']}", body)
    assert first(answer["errors"])[0] == "content"
    status, _, _ = await rest("PATCH", f"{path}/{sent['id']}", body | {"content": None})
    assert status == 200


async def test_eleven_files_are_too_many(rest: Rest) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", "{}")
    for number in range(11):
        form.add_field(f"files[{number}]", picture(4, 4), filename=f"{number}.png")
    path = f"/channels/{rest.channel('art')}/messages"
    status, answer, _ = await rest("POST", path, data=form)
    assert (status, first(answer["errors"])[0]) == (400, "attachments")


async def test_broken_json_is_told_apart(rest: Rest) -> None:
    path = f"/channels/{rest.channel('art')}/messages"
    status, answer, _ = await rest("POST", path, data=b"{", skip_auto_headers=["Content-Type"])
    assert (status, answer["code"]) == (400, 50109)


def command(name: str = "draw", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "Draw", "type": 1} | more


def option(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "What", "type": 3} | more


BAD_COMMANDS: list[tuple[list[dict[str, Any]], str]] = [
    ([command("Draw")], "0.name"),
    ([command("dr aw")], "0.name"),
    ([command("x" * 33)], "0.name"),
    ([command(description="")], "0.description"),
    ([command(description="x" * 101)], "0.description"),
    ([command(options=[option("a"), option("b", required=True)])], "0.options.1"),
    ([command(options=[option("a"), option("a")])], "0.options"),
    ([command(options=[option(f"o{n}") for n in range(26)])], "0.options"),
    (
        [command(options=[option("a", choices=[{"name": "n" * 101, "value": "v"}])])],
        "0.options.0.choices.0.name",
    ),
    (
        [command(options=[option("a", autocomplete=True, choices=[{"name": "n", "value": "v"}])])],
        "0.options.0.autocomplete",
    ),
    ([{"name": "Remix", "type": 3, "description": "no"}], "0.description"),
]


@pytest.mark.parametrize(("commands", "path"), BAD_COMMANDS)
async def test_a_command_that_does_not_fit(
    rest: Rest, commands: list[dict[str, Any]], path: str
) -> None:
    place = f"/applications/{rest.sandbox.application_id}/commands"
    status, answer, _ = await rest("PUT", place, commands)
    assert (status, answer["code"]) == (400, 50035)
    assert first(answer["errors"])[0] == path


async def test_a_command_of_more_than_8000_characters(rest: Rest) -> None:
    choices = [{"name": f"{n:03}" + "n" * 90, "value": f"{n:03}" + "v" * 90} for n in range(25)]
    big = command(options=[option("a", choices=choices), option("b", choices=choices)])
    place = f"/applications/{rest.sandbox.application_id}/commands"
    _, answer, _ = await rest("PUT", place, [big])
    assert first(answer["errors"]) == ("0", "APPLICATION_COMMAND_TOO_LARGE")


async def test_commands_keep_their_ids_and_are_created_200_times_a_day(rest: Rest) -> None:
    place = f"/applications/{rest.sandbox.application_id}/commands"
    _, before, _ = await rest("PUT", place, [command(), command("Mixed", type=3, description="")])
    _, after, _ = await rest("PUT", place, [command(description="Changed")])
    assert after[0]["id"] == before[0]["id"]
    assert (await rest("GET", place))[1] == after
    rest.sandbox.core.rate_limits.enabled = False
    for batch in range(2):
        names = [command(f"c{batch}-{number}") for number in range(99)]
        assert (await rest("PUT", place, names))[0] == 200
    status, answer, _ = await rest("PUT", place, [command("one"), command("more")])
    assert (status, answer["code"]) == (400, 30034)


async def test_commands_one_by_one(rest: Rest) -> None:
    guild = next(iter(rest.sandbox.state.guilds))
    place = f"/applications/{rest.sandbox.application_id}/guilds/{guild}/commands"
    status, made, _ = await rest("POST", place, command())
    assert status == 201
    one = f"{place}/{made['id']}"
    assert (await rest("PATCH", one, {"description": "New"}))[1]["description"] == "New"
    assert (await rest("GET", one))[1]["guild_id"] == str(guild)
    assert (await rest("DELETE", one))[0] == 204
    assert (await rest("GET", one))[1]["code"] == 10063


BAD_MODALS: list[tuple[dict[str, Any], str]] = [
    ({"title": "x" * 46}, "data.title"),
    ({"custom_id": ""}, "data.custom_id"),
    ({"components": []}, "data.components"),
    (
        {
            "components": [
                {
                    "type": 18,
                    "label": "l",
                    "component": {"type": 4, "custom_id": str(n), "style": 1},
                }
                for n in range(6)
            ]
        },
        "data.components",
    ),
    (
        {
            "components": [
                {
                    "type": 18,
                    "label": "x" * 46,
                    "component": {"type": 4, "custom_id": "t", "style": 1},
                }
            ]
        },
        "data.components.0.label",
    ),
    (
        {
            "components": [
                {
                    "type": 18,
                    "label": "l",
                    "component": {"type": 19, "custom_id": "f", "max_values": 11},
                }
            ]
        },
        "data.components.0.component.max_values",
    ),
    ({"components": [button()]}, "data.components.0.type"),
]


@pytest.mark.parametrize(("change", "path"), BAD_MODALS)
async def test_a_modal_that_does_not_fit(rest: Rest, change: dict[str, Any], path: str) -> None:
    core = rest.sandbox.core
    user = next(u for u in core.state.users.values() if not u.bot)
    channel = core.state.channels[rest.channel("art")]
    interaction = invoking.start(core, invoking.Act(user, channel), 2, {"name": "x", "type": 1})
    field = {"type": 18, "label": "l", "component": {"type": 4, "custom_id": "t", "style": 1}}
    modal = {"title": "T", "custom_id": "m", "components": [field]} | change
    where = f"/interactions/{interaction.id}/{interaction.token}/callback"
    status, answer, _ = await rest("POST", where, {"type": 9, "data": modal})
    assert (status, answer["code"]) == (400, 50035)
    assert first(answer["errors"])[0] == path
    for body in (
        {"type": 8, "data": {"choices": []}},
        {"type": 6},
        {"type": 5, "data": {"flags": V2}},
    ):
        assert (await rest("POST", where, body))[0] == 400
    assert interaction.acked_at is None
    assert (await rest("POST", where, {"type": 5, "data": {"flags": 64}}))[0] == 204
    assert (await rest("POST", where, {"type": 5}))[1]["code"] == 40060
