"""Slash commands as a person types them, and what is said of those that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from bot.sandbox import Sandbox, SandboxClient, SandboxError
from bot.sandbox.errors import ControlError
from bot.sandbox.typed import parse
from tests.sandbox.helpers import picture

NOTHING: dict[str, Any] = {}
IMAGINE = {
    "name": "imagine",
    "description": "Draw",
    "options": [
        {"name": "prompt", "type": 3, "description": "d", "required": True, "max_length": 50},
        {"name": "seed", "type": 4, "description": "d", "min_value": 0, "max_value": 99},
        {"name": "guidance", "type": 10, "description": "d"},
        {"name": "private", "type": 5, "description": "d"},
        {
            "name": "size",
            "type": 3,
            "description": "d",
            "choices": [
                {"name": "Wide screen", "value": "wide"},
                {"name": "Tall", "value": "tall"},
            ],
        },
        {"name": "image", "type": 11, "description": "d"},
        {"name": "who", "type": 6, "description": "d"},
        {"name": "where", "type": 7, "description": "d"},
        {"name": "role", "type": 8, "description": "d"},
    ],
}
SETTINGS = {
    "name": "settings",
    "description": "Set",
    "options": [
        {"name": "show", "type": 1, "description": "d"},
        {
            "name": "limits",
            "type": 2,
            "description": "d",
            "options": [
                {
                    "name": "set",
                    "type": 1,
                    "description": "d",
                    "options": [{"name": "daily", "type": 4, "description": "d"}],
                }
            ],
        },
    ],
}


@pytest.fixture(autouse=True)
def _registered(sandbox: Sandbox) -> None:
    sandbox.core.registry.overwrite(None, [IMAGINE, SETTINGS])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "/imagine prompt:a red circle on blue seed:7",
            {"prompt": "a red circle on blue", "seed": "7"},
        ),
        ("/imagine seed:7 prompt:a cat: the film", {"prompt": "a cat: the film", "seed": "7"}),
        ("/imagine   prompt:  spaced   ", {"prompt": "spaced"}),
        ("/imagine prompt:http://x/y style:oil", {"prompt": "http://x/y style:oil"}),
        ("/IMAGINE prompt:two\nlines size:tall", {"prompt": "two\nlines", "size": "tall"}),
    ],
)
def test_options_start_at_their_names(sandbox: Sandbox, text: str, options: dict[str, str]) -> None:
    assert parse(sandbox.core.registry, text, None).options == options


def test_subcommands_are_walked(sandbox: Sandbox) -> None:
    read = parse(sandbox.core.registry, "/settings limits set daily:5", None)
    assert (read.path, read.options) == (["limits", "set"], {"daily": "5"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("imagine prompt:x", "starts with a slash"),
        ("/paint prompt:x", "There is no command /paint here; the bot has /imagine, /settings"),
        ("/imagine style:oil", "/imagine has no option 'style': its options are prompt, seed"),
        ("/imagine a cat", "cannot tell what 'a cat' belongs to"),
        ("/imagine prompt:a prompt:b", "prompt is given twice"),
        ("/settings", "/settings needs one of its subcommands: show, limits"),
        ("/settings limits", "/settings limits needs one of its subcommands: set"),
    ],
)
def test_what_cannot_be_read_is_said(sandbox: Sandbox, text: str, sentence: str) -> None:
    with pytest.raises(ControlError) as caught:
        parse(sandbox.core.registry, text, None)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/imagine seed:7", "The option prompt is required."),
        ("/imagine prompt:", "The option prompt is required."),
        ("/imagine prompt:x seed:many", "seed takes a whole number, not 'many'"),
        ("/imagine prompt:x seed:100", "seed goes from 0 to 99, not 100"),
        ("/imagine prompt:x guidance:high", "guidance takes a number"),
        ("/imagine prompt:x private:maybe", "private is true or false"),
        ("/imagine prompt:x size:round", "size is one of Wide screen, Tall"),
        ("/imagine prompt:x image:cat.png", "image takes a file"),
        ("/imagine prompt:x who:dora", "no user 'dora'"),
        ("/imagine prompt:" + "x" * 51, "prompt takes 0 to 50 characters, not 51"),
    ],
)
async def test_values_that_do_not_fit_are_refused_in_words(
    client: SandboxClient, text: str, sentence: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        await client.command(text)
    assert sentence in str(caught.value)


async def test_values_become_what_the_command_declared(
    client: SandboxClient, sandbox: Sandbox
) -> None:
    text = (
        "/imagine prompt:x seed:7 guidance:1.5 private:true size:Wide screen "
        "who:@ben where:#art role:Moderator"
    )
    record = await client.interaction(
        await client.command(text, files={"image": ("p.png", picture())})
    )
    values = {one["name"]: one["value"] for one in record["data"]["options"]}
    resolved = record["data"]["resolved"]
    assert (values["seed"], values["guidance"], values["private"]) == (7, 1.5, True)
    assert values["size"] == "wide"
    assert resolved["users"][values["who"]]["username"] == "ben"
    assert values["who"] in resolved["members"]
    assert resolved["channels"][values["where"]]["name"] == "art"
    assert resolved["roles"][values["role"]]["name"] == "Moderator"
    attachment = resolved["attachments"][values["image"]]
    assert (attachment["filename"], attachment["width"]) == ("p.png", 64)
    assert attachment["ephemeral"]


async def test_a_file_without_an_options_name_takes_the_free_one(client: SandboxClient) -> None:
    started = await client.command("/imagine prompt:x", files={"cat.png": picture()})
    data = (await client.interaction(started))["data"]
    assert data["options"][-1]["name"] == "image"
    two = {"a.png": picture(), "b.png": picture()}
    with pytest.raises(SandboxError, match="more files than options"):
        await client.command("/imagine prompt:x", files=two)


async def test_options_by_name(client: SandboxClient) -> None:
    started = await client.invoke("settings limits set", {"daily": 3})
    data = (await client.interaction(started))["data"]
    assert data["options"][0]["options"][0]["options"] == [{"name": "daily", "type": 4, "value": 3}]
    with pytest.raises(SandboxError, match="no option 'weekly'; there are daily"):
        await client.invoke("settings limits set", {"weekly": 3})
