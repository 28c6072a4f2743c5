"""From option values as a person gives them to the types a command declared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.sandbox import lookup, wire
from bot.sandbox.body import Upload
from bot.sandbox.errors import ControlError
from bot.sandbox.models import Attachment, Channel, Json
from bot.sandbox.registry import ATTACHMENT, BOOLEAN, INTEGER, NUMBER, STRING
from bot.sandbox.uploads import new_attachment

if TYPE_CHECKING:
    from bot.sandbox.core import Core

USER, CHANNEL, ROLE, MENTIONABLE = 6, 7, 8, 9


@dataclass
class Resolver:
    """Turns values into payload options, and gathers the objects they name in `resolved`."""

    core: Core
    channel: Channel
    uploads: dict[str, Upload] = field(default_factory=dict)
    resolved: Json = field(default_factory=dict)

    def options(
        self, definitions: list[Json], given: dict[str, Any], *, focused: str | None = None
    ) -> list[Json]:
        """Return the options of an interaction in the order declared.

        With `focused`, the option being completed, nothing else is required or checked hard.
        Raises ControlError with a sentence for a missing, unknown or unfit value.
        """
        names = [one["name"] for one in definitions]
        for name in [*given, *self.uploads]:
            if name not in names:
                known = ", ".join(names) or "none"
                raise ControlError(f"There is no option {name!r}; there are {known}.")
        result: list[Json] = []
        for definition in definitions:
            name = definition["name"]
            value = given.get(name)
            if name in self.uploads:
                value = self.uploads[name]
            if value is None or (value == "" and name != focused):
                if definition.get("required") and focused is None:
                    raise ControlError(f"The option {name} is required.")
                continue
            option: Json = {"name": name, "type": definition["type"]}
            if name == focused:
                option |= {"value": value, "focused": True}
            else:
                option["value"] = self._value(definition, value)
            result.append(option)
        return result

    def _value(self, definition: Json, value: Any) -> Any:
        name, kind = definition["name"], definition["type"]
        if kind == ATTACHMENT:
            if not isinstance(value, Upload):
                raise ControlError(f"The option {name} takes a file.")
            return self.attach(value)
        if kind in (USER, CHANNEL, ROLE, MENTIONABLE):
            return self.reference(kind, value)
        if kind == BOOLEAN:
            return _boolean(name, value)
        if definition.get("choices"):
            return _choice(definition, value)
        if kind in (INTEGER, NUMBER):
            return _number(definition, value)
        if kind == STRING:
            return _text(definition, str(value))
        raise ControlError(f"The option {name} has type {kind}, which no member can fill in.")

    def attach(self, upload: Upload) -> str:
        """Upload a file for this interaction; return the attachment's id."""
        attachment: Attachment = new_attachment(
            self.core.state,
            self.core.cdn,
            upload.filename,
            upload.data,
            channel_id=self.channel.id,
            ephemeral=True,
        )
        place = self.resolved.setdefault("attachments", {})
        place[str(attachment.id)] = wire.attachment_json(self.core.cdn, attachment)
        return str(attachment.id)

    def reference(self, kind: int, value: Any) -> str:
        """Resolve a user, channel or role named by id, mention or name; return its id."""
        state, guild = self.core.state, self.core.state.guild_of(self.channel)
        text = str(value).strip().strip("<>").lstrip("@&!")
        if kind == CHANNEL:
            found = lookup.channel(state, text, guild_name=guild.id if guild else None)
            data = wire.channel_json(state, found) | {"permissions": "0"}
            self.resolved.setdefault("channels", {})[str(found.id)] = data
            return str(found.id)
        if kind in (ROLE, MENTIONABLE) and guild is not None:
            for role in guild.roles.values():
                if text.lower() in (str(role.id), role.name.lower()):
                    data = wire.role_json(role)
                    self.resolved.setdefault("roles", {})[str(role.id)] = data
                    return str(role.id)
            if kind == ROLE:
                raise ControlError(f"There is no role {text!r} in {guild.name}.")
        return self.user(lookup.user(state, text).id)

    def user(self, user_id: int) -> str:
        """Put a user, and the member they are here, into `resolved`; return the id."""
        state, guild = self.core.state, self.core.state.guild_of(self.channel)
        self.resolved.setdefault("users", {})[str(user_id)] = wire.user_json(state.users[user_id])
        if guild is not None and user_id in guild.members:
            member = wire.member_json(state, guild.members[user_id], with_user=False)
            member["permissions"] = str(state.may(user_id, self.channel))
            self.resolved.setdefault("members", {})[str(user_id)] = member
        return str(user_id)


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "false": False, "no": False}
    if str(value).lower() not in words:
        raise ControlError(f"The option {name} is true or false, not {value!r}.")
    return words[str(value).lower()]


def _choice(definition: Json, value: Any) -> Any:
    for choice in definition["choices"]:
        if str(value).lower() in (str(choice["name"]).lower(), str(choice["value"]).lower()):
            return choice["value"]
    known = ", ".join(str(choice["name"]) for choice in definition["choices"])
    raise ControlError(f"The option {definition['name']} is one of {known}, not {value!r}.")


def _number(definition: Json, value: Any) -> int | float:
    name, whole = definition["name"], definition["type"] == INTEGER
    try:
        number = int(str(value)) if whole else float(value)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ControlError(f"The option {name} takes {kind}, not {value!r}.") from None
    low, high = definition.get("min_value", -(2**53)), definition.get("max_value", 2**53)
    if not low <= number <= high:
        raise ControlError(f"The option {name} goes from {low} to {high}, not {number}.")
    return number


def _text(definition: Json, value: str) -> str:
    low, high = definition.get("min_length", 0), definition.get("max_length", 6000)
    if not low <= len(value) <= high:
        raise ControlError(
            f"The option {definition['name']} takes {low} to {high} characters, not {len(value)}."
        )
    return value
