"""What members do that the bot must answer: commands, presses, choices, modals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.sandbox import answering, permissions, typed, wire
from bot.sandbox.acting import enter
from bot.sandbox.body import Upload
from bot.sandbox.components import BUTTON, SELECTS, walk
from bot.sandbox.errors import ControlError
from bot.sandbox.models import Channel, Interaction, Json, Message, User
from bot.sandbox.payload import context_of, interaction_payload
from bot.sandbox.registry import ATTACHMENT, GROUP, MESSAGE, SUBCOMMAND, USER
from bot.sandbox.submitting import fill
from bot.sandbox.values import Resolver

if TYPE_CHECKING:
    from bot.sandbox.core import Core


@dataclass(frozen=True)
class Act:
    """Who does something, where, and with which files (by option or field name)."""

    user: User
    channel: Channel
    files: dict[str, list[Upload]] = field(default_factory=dict)


def start(
    core: Core,
    act: Act,
    kind: int,
    data: Json,
    *,
    name: str = "",
    message: Message | None = None,
    opened_by: int | None = None,
) -> Interaction:
    """Make an interaction, send it to the bot and start its three seconds."""
    state, channel = core.state, act.channel
    guild = state.guild_of(channel)
    now = core.clock.now()
    installed_only = not core.bot_in(channel.guild_id) and (
        state.application_id not in channel.recipients
    )
    may = state.may(act.user.id, channel)
    interaction = Interaction(
        state.ids.next(),
        state.new_token(),
        kind,
        act.user.id,
        channel.guild_id,
        channel.id,
        data,
        now,
        permissions.upload_limit(guild.premium_tier if guild else 0),
        message_id=message.id if message else None,
        opened_by=opened_by,
        name=name,
        user_installed_only=installed_only,
        context=context_of(core, channel),
    )
    if installed_only and guild is not None:
        interaction.force_ephemeral = not may & permissions.USE_EXTERNAL_APPS
    state.keep(interaction)
    interaction.deadline = core.clock.call_at(
        now + answering.ACK_WITHIN_S, lambda: answering.expire(core, interaction)
    )
    payload = interaction_payload(core, interaction)
    core.gateway.dispatch("INTERACTION_CREATE", payload, guild_id=channel.guild_id)
    core.events.interaction(interaction)
    return interaction


def command(
    core: Core,
    act: Act,
    definition: Json,
    path: list[str],
    options: dict[str, Any],
    *,
    focused: str | None = None,
) -> Interaction:
    """Run a slash command, or ask for the choices of the option `focused`.

    Raises ControlError with a sentence where the member may not run it here, or for a value that
    does not fit.
    """
    _allow(core, act, definition)
    leaf = typed.leaf_options(definition, path)
    resolver = Resolver(core, act.channel, _by_option(leaf, act.files))
    filled = resolver.options(leaf, options, focused=focused)
    for depth, step in reversed(list(enumerate(path))):
        kind = GROUP if depth == 0 and len(path) == 2 else SUBCOMMAND
        filled = [{"name": step, "type": kind, "options": filled}]
    data = _command_data(definition, resolver.resolved) | {"options": filled}
    name = " ".join([definition["name"], *path])
    return start(core, act, 2 if focused is None else 4, data, name=name)


def _command_data(definition: Json, resolved: Json) -> Json:
    data: Json = {
        "id": definition["id"],
        "name": definition["name"],
        "type": definition["type"],
    }
    if definition.get("guild_id"):
        data["guild_id"] = definition["guild_id"]
    if resolved:
        data["resolved"] = resolved
    return data


def _by_option(leaf: list[Json], files: dict[str, list[Upload]]) -> dict[str, Upload]:
    """Match files to attachment options: by name, and what has no option's name in order."""
    names = [one["name"] for one in leaf if one["type"] == ATTACHMENT]
    found = {name: uploads[0] for name, uploads in files.items() if name in names and uploads}
    free = [name for name in names if name not in found]
    others = [one for name, uploads in files.items() if name not in names for one in uploads]
    if len(others) > len(free):
        room = ", ".join(names) or "none"
        raise ControlError(f"There are more files than options for them ({room}).")
    return found | dict(zip(free, others, strict=False))


def _allow(core: Core, act: Act, definition: Json) -> None:
    """Check that a command may be run by this member here. Raises ControlError."""
    channel, user, name = act.channel, act.user, definition["name"]
    enter(core, user, channel)
    guild = core.state.guild_of(channel)
    types = definition.get("integration_types") or [0]
    by_guild = 0 in types and (
        core.bot_in(channel.guild_id) or core.state.application_id in channel.recipients
    )
    by_user = 1 in types and user.has_installed
    if not by_guild and not by_user:
        raise ControlError(f"{name} is not installed here, nor on {user.username}'s account.")
    contexts = definition.get("contexts")
    context = context_of(core, channel)
    if contexts is not None and context not in contexts:
        place = ("servers", "direct messages with the bot", "other private channels")[context]
        raise ControlError(f"{name} does not work in {place}.")
    if context and contexts is None and definition.get("dm_permission") is False:
        raise ControlError(f"{name} does not work in direct messages.")
    if guild is None:
        return
    enter(core, user, channel, permissions.USE_APPLICATION_COMMANDS)
    needed = definition.get("default_member_permissions")
    base = permissions.base_permissions(guild, user.id)
    if needed is not None and base & int(needed) != int(needed):
        raise ControlError(f"{user.username} lacks the permissions that {name} needs.", status=403)
    if definition.get("nsfw") and not channel.nsfw:
        raise ControlError(f"{name} runs only in age-restricted channels.", status=403)


def context_menu(
    core: Core, act: Act, name: str, *, message: Message | None = None, user: User | None = None
) -> Interaction:
    """Run a command from the context menu of a message or a user. Raises ControlError."""
    kind = MESSAGE if message is not None else USER
    definition = core.registry.find(name, act.channel.guild_id, kind)
    if definition is None:
        known = ", ".join(core.registry.names(act.channel.guild_id, kind)) or "none"
        what = "messages" if kind == MESSAGE else "users"
        raise ControlError(f"There is no command {name!r} for {what}; there are {known}.")
    _allow(core, act, definition)
    resolver = Resolver(core, act.channel)
    if message is not None:
        whole = wire.message_json(core.state, core.cdn, message)
        resolver.resolved["messages"] = {str(message.id): whole}
        target = message.id
    elif user is not None:
        resolver.user(user.id)
        target = user.id
    data = _command_data(definition, resolver.resolved) | {"target_id": str(target)}
    return start(core, act, 2, data, name=definition["name"])


def press(core: Core, act: Act, message: Message, custom_id: str) -> Interaction:
    """Press a button, found by its custom_id or else its label. Raises ControlError."""
    buttons = [one for one in walk(message.components) if one.get("type") == BUTTON]
    found = next((b for b in buttons if b.get("custom_id") == custom_id), None) or next(
        (b for b in buttons if b.get("label") == custom_id and b.get("custom_id")), None
    )
    if found is None:
        known = ", ".join(str(b.get("label") or b.get("custom_id")) for b in buttons) or "none"
        raise ControlError(f"The message has no button {custom_id!r}; it has {known}.", status=404)
    _press_check(core, act, message, found)
    data = {"component_type": BUTTON, "custom_id": found["custom_id"], "id": found.get("id", 0)}
    return start(core, act, 3, data, name=found["custom_id"], message=message)


def select(
    core: Core, act: Act, message: Message, custom_id: str, values: list[Any]
) -> Interaction:
    """Choose in a select menu. Raises ControlError."""
    menus = [one for one in walk(message.components) if one.get("type") in SELECTS]
    found = next((menu for menu in menus if menu.get("custom_id") == custom_id), None)
    if found is None:
        known = ", ".join(str(menu.get("custom_id")) for menu in menus) or "none"
        raise ControlError(f"The message has no menu {custom_id!r}; it has {known}.", status=404)
    _press_check(core, act, message, found)
    resolver = Resolver(core, act.channel)
    chosen = fill(resolver, found, values, [])
    data: Json = {
        "component_type": found["type"],
        "custom_id": custom_id,
        "id": found.get("id", 0),
        "values": chosen["values"],
    }
    if resolver.resolved:
        data["resolved"] = resolver.resolved
    return start(core, act, 3, data, name=custom_id, message=message)


def _press_check(core: Core, act: Act, message: Message, component: Json) -> None:
    if not core.state.sees(act.user.id, message):
        raise ControlError(f"{act.user.username} cannot see that message.", status=403)
    if component.get("disabled"):
        label = component.get("label") or component.get("custom_id")
        raise ControlError(f"{label!r} is disabled.")


def submit(core: Core, act: Act, opener: Interaction, values: Json) -> Interaction:
    """Submit the modal an interaction opened. Raises ControlError where a field does not fit."""
    if opener.modal is None or opener.modal_closed:
        raise ControlError("No modal is open for that interaction.", status=404)
    if opener.user_id != act.user.id:
        raise ControlError("That modal is open for someone else.", status=403)
    fields = [
        one
        for one in walk(opener.modal["components"])
        if one.get("custom_id") is not None and one["type"] not in (1, 18)
    ]
    known = [one["custom_id"] for one in fields]
    for name in [*values, *act.files]:
        if name not in known:
            raise ControlError(f"The modal has no field {name!r}; it has {', '.join(known)}.")
    resolver = Resolver(core, act.channel)
    filled = {
        one["custom_id"]: fill(
            resolver,
            one,
            values.get(one["custom_id"]),
            act.files.get(one["custom_id"], []),
            in_modal=True,
        )
        for one in fields
    }
    data: Json = {
        "custom_id": opener.modal["custom_id"],
        "components": [
            _submitted(one, filled, i) for i, one in enumerate(opener.modal["components"], 1)
        ],
    }
    if resolver.resolved:
        data["resolved"] = resolver.resolved
    opener.modal_closed = True
    message = None
    if opener.message_id is not None:
        message = core.state.messages[act.channel.id].get(opener.message_id)
    return start(core, act, 5, data, name=data["custom_id"], message=message, opened_by=opener.id)


def _submitted(one: Json, filled: dict[str, Json], number: int) -> Json:
    base: Json = {"type": one["type"], "id": one.get("id") or number}
    if one["type"] == 1:
        return base | {"components": [filled[child["custom_id"]] for child in one["components"]]}
    if one["type"] == 18:
        return base | {"component": filled[one["component"]["custom_id"]]}
    return base
