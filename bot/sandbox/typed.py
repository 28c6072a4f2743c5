"""Reading a slash command as a person types it: `/imagine prompt:a red circle seed:7`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.errors import ControlError
from bot.sandbox.models import Json
from bot.sandbox.registry import GROUP, SUBCOMMAND, Registry


@dataclass
class Typed:
    """A command, the subcommand path taken in it, and the options by name as typed."""

    command: Json
    path: list[str]
    options: dict[str, Any] = field(default_factory=dict)


def leaf_options(command: Json, path: list[str]) -> list[Json]:
    """Return the option definitions at the end of a subcommand path. Raises ControlError."""
    options: list[Json] = command.get("options") or []
    for step in path:
        branch = next(
            (o for o in options if o["name"] == step and o["type"] in (SUBCOMMAND, GROUP)), None
        )
        if branch is None:
            raise ControlError(f"/{command['name']} has no subcommand {step!r}.")
        options = branch.get("options") or []
    return options


def find_command(registry: Registry, name: str, guild_id: int | None) -> tuple[Json, list[str]]:
    """Return a command and subcommand path for a name such as "settings limits".

    Raises ControlError for one that is not registered, or where a subcommand is missing.
    """
    words = name.strip().lstrip("/").split()
    command = registry.find(words[0], guild_id) if words else None
    if command is None:
        known = ", ".join(f"/{one}" for one in registry.names(guild_id)) or "none at all"
        asked = words[0] if words else ""
        raise ControlError(f"There is no command /{asked} here; the bot has {known}.", status=404)
    path: list[str] = []
    for word in words[1:]:
        leaf_options(command, [*path, word])
        path.append(word)
    branches = [o["name"] for o in leaf_options(command, path) if o["type"] in (SUBCOMMAND, GROUP)]
    if branches:
        so_far = " ".join([command["name"], *path])
        raise ControlError(f"/{so_far} needs one of its subcommands: {', '.join(branches)}.")
    return command, path


def parse(registry: Registry, text: str, guild_id: int | None) -> Typed:
    """Read a typed command.

    A word followed by a colon starts an option only where the command has one of that name, so a
    prompt may hold colons. Raises ControlError with a sentence for what cannot be read.
    """
    text = text.strip()
    if not text.startswith("/"):
        raise ControlError("A slash command starts with a slash, as in /imagine prompt:a cat.")
    head, _, rest = text[1:].partition(" ")
    command = registry.find(head, guild_id)
    path: list[str] = []
    while command is not None:
        branches = {o["name"] for o in leaf_options(command, path) if o["type"] in (1, 2)}
        word, _, tail = rest.lstrip().partition(" ")
        if word not in branches:
            break
        path.append(word)
        rest = tail
    command, path = find_command(registry, " ".join([head, *path]), guild_id)
    names = [option["name"] for option in leaf_options(command, path)]
    typed = Typed(command, path)
    starts = _starts(rest, names)
    lead = rest[: starts[0][0]] if starts else rest
    if lead.strip():
        raise ControlError(_unread(command, path, lead.strip(), names))
    for index, (_, name, begin) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(rest)
        if name in typed.options:
            raise ControlError(f"The option {name} is given twice.")
        typed.options[name] = rest[begin:end].strip()
    return typed


def _starts(text: str, names: list[str]) -> list[tuple[int, str, int]]:
    """Return where options begin, their names, and where their values begin."""
    if not names:
        return []
    pattern = re.compile(r"(?:^|(?<=\s))(" + "|".join(map(re.escape, names)) + r"):")
    found: list[tuple[int, str, int]] = []
    for match in pattern.finditer(text):
        found.append((match.start(), match.group(1), match.end()))
    return found


def _unread(command: Json, path: list[str], lead: str, names: list[str]) -> str:
    full = " ".join([command["name"], *path])
    known = f"its options are {', '.join(names)}" if names else "it takes no options"
    match = re.match(r"([\w-]+):", lead)
    if match:
        return f"/{full} has no option {match.group(1)!r}: {known}."
    return f"/{full} cannot tell what {lead[:40]!r} belongs to: {known}, each as name:value."
