"""Application commands as registered: checked, numbered, and found again."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from bot.sandbox.errors import ApiError
from bot.sandbox.form import Form, Path
from bot.sandbox.models import Json
from bot.sandbox.state import State

CHAT, USER, MESSAGE = 1, 2, 3
MOST: Final = {CHAT: 100, USER: 5, MESSAGE: 5}
SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, ATTACHMENT, NUMBER = 3, 4, 5, 11, 10
CREATES_A_DAY: Final = 200
MAX_CHARACTERS: Final = 8000


class Registry:
    """The commands of the application, global ones under None and others by guild."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._created: dict[int | None, list[float]] = {}

    def overwrite(self, guild_id: int | None, commands: Any) -> list[Json]:
        """Replace all commands of a place; those that keep name and kind keep their id.

        Raises ApiError 50035 for a malformed command, 30032 for too many, 30034 past the creates
        of a day.
        """
        form = Form()
        if not isinstance(commands, list):
            form.add((), "BASE_TYPE_BAD_TYPE", "Only iterables may be used in a ListType.")
        else:
            for index, one in enumerate(commands):
                check_command(form, (index,), one)
        form.check()
        keys = [(one["name"], one.get("type", CHAT)) for one in commands]
        for kind, most in MOST.items():
            if sum(1 for _, each in keys if each == kind) > most:
                raise ApiError(
                    400, 30032, f"Maximum number of application commands reached ({most})"
                )
        if len(keys) != len(set(keys)):
            form.add((), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique")
            form.check()
        old = {(c["name"], c["type"]): c for c in self._state.commands[guild_id].values()}
        self._count(guild_id, sum(1 for key in keys if key not in old))
        place: dict[int, Json] = {}
        for one, key in zip(commands, keys, strict=True):
            stored = self._complete(one, old.get(key), guild_id)
            place[int(stored["id"])] = stored
        self._state.commands[guild_id] = place
        return list(place.values())

    def _count(self, guild_id: int | None, fresh: int) -> None:
        now = self._state.clock.now()
        recent = [one for one in self._created.get(guild_id, []) if one > now - 86_400]
        if len(recent) + fresh > CREATES_A_DAY:
            raise ApiError(
                400,
                30034,
                f"Max number of daily application command creates has been reached "
                f"({CREATES_A_DAY})",
            )
        self._created[guild_id] = recent + [now] * fresh

    def _complete(self, one: Json, old: Json | None, guild_id: int | None) -> Json:
        stored: Json = {
            "default_member_permissions": None,
            "nsfw": False,
            "description": "",
            "options": [],
            "contexts": None,
            "integration_types": [0],
            "dm_permission": True,
            **{key: value for key, value in one.items() if value is not None},
        }
        stored["type"] = one.get("type", CHAT)
        identity = self._state.ids.next()
        stored |= {
            "id": old["id"] if old else str(identity),
            "version": str(identity),
            "application_id": str(self._state.application_id),
        }
        if guild_id is not None:
            stored["guild_id"] = str(guild_id)
        return stored

    def find(self, name: str, guild_id: int | None, kind: int = CHAT) -> Json | None:
        """Return a command by name where a guild's own come before the global ones."""
        for place in ([guild_id] if guild_id is not None else []) + [None]:
            for command in self._state.commands[place].values():
                if command["type"] == kind and command["name"].lower() == name.lower():
                    return command
        return None

    def names(self, guild_id: int | None, kind: int = CHAT) -> list[str]:
        """Return the names of the commands that can be called in a place."""
        places = {None, guild_id}
        found = [c for place in places for c in self._state.commands[place].values()]
        return sorted(command["name"] for command in found if command["type"] == kind)


def valid_name(name: str) -> bool:
    """Say whether a name is allowed: letters, numbers, - _ ', and nothing in upper case."""
    if not 1 <= len(name) <= 32 or name != name.lower():
        return False
    return all(
        char in "-_'" or unicodedata.category(char)[0] in "LN" or "\u0900" <= char <= "\u0e7f"
        for char in name
    )


def check_command(form: Form, path: Path, command: Any) -> None:
    """Note every fault of one command."""
    if not form.mapping(path, command):
        return
    kind = command.get("type", CHAT)
    if not form.choice((*path, "type"), kind, (CHAT, USER, MESSAGE)):
        return
    _check_name(form, (*path, "name"), command.get("name"), chat=kind == CHAT)
    if kind == CHAT:
        form.length((*path, "description"), command.get("description"), 1, 100)
        _check_options(form, (*path, "options"), command.get("options") or [], depth=0)
        if form.sound and _characters(command) > MAX_CHARACTERS:
            message = f"Command exceeds maximum size ({MAX_CHARACTERS})"
            form.add(path, "APPLICATION_COMMAND_TOO_LARGE", message)
    elif command.get("description"):
        form.add(
            (*path, "description"),
            "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_CANNOT_EXIST",
            "Context menu commands cannot have description",
        )


def _check_name(form: Form, path: Path, name: Any, *, chat: bool) -> None:
    if form.length(path, name, 1, 32) and chat and not valid_name(name):
        form.add(
            path,
            "APPLICATION_COMMAND_INVALID_NAME",
            "Command name is invalid: lower-case letters, numbers, - and _ only",
        )


def _check_options(form: Form, path: Path, options: Any, *, depth: int) -> None:
    if not form.count(path, options, 0, 25):
        return
    seen_optional = False
    for index, option in enumerate(options):
        here = (*path, index)
        if not form.mapping(here, option):
            continue
        if not form.choice((*here, "type"), option.get("type"), tuple(range(1, 12))):
            continue
        _check_name(form, (*here, "name"), option.get("name"), chat=True)
        form.length((*here, "description"), option.get("description"), 1, 100)
        if option["type"] in (SUBCOMMAND, GROUP):
            if depth > 1 or (option["type"] == GROUP and depth > 0):
                form.add((*here, "type"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Too deep")
            _check_options(form, (*here, "options"), option.get("options") or [], depth=depth + 1)
            continue
        required = bool(option.get("required"))
        if required and seen_optional:
            form.add(
                here,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        seen_optional = seen_optional or not required
        _check_choices(form, here, option)
    names = [one.get("name") for one in options if isinstance(one, dict)]
    code = "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"
    form.unique(path, names, code, "Option name already exists")


def _check_choices(form: Form, path: Path, option: Json) -> None:
    choices = option.get("choices") or []
    if option.get("autocomplete") and choices:
        form.add(
            (*path, "autocomplete"),
            "APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES",
            "Options with autocomplete cannot have choices",
        )
    if not form.count((*path, "choices"), choices, 0, 25):
        return
    for index, choice in enumerate(choices):
        here = (*path, "choices", index)
        if form.mapping(here, choice):
            form.length((*here, "name"), choice.get("name"), 1, 100)
            if option["type"] == STRING:
                form.length((*here, "value"), choice.get("value"), 1, 100)


def _characters(command: Json) -> int:
    """Count name, description and values of a command and its options, the longest locale each."""
    total = 0
    for key in ("name", "description"):
        texts = [command.get(key) or "", *(command.get(f"{key}_localizations") or {}).values()]
        total += max(len(text) for text in texts)
    if isinstance(command.get("value"), str):
        total += len(command["value"])
    children = [*(command.get("options") or []), *(command.get("choices") or [])]
    return total + sum(_characters(child) for child in children if isinstance(child, dict))
