"""One call of the control API, with the things its body names looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.sandbox import lookup
from bot.sandbox.body import Body, Upload
from bot.sandbox.errors import ControlError
from bot.sandbox.models import Channel, Guild, Json, User

if TYPE_CHECKING:
    from bot.sandbox.core import Core


@dataclass(frozen=True)
class ControlCall:
    """A call: path parameters, query and body."""

    core: Core
    params: dict[str, str]
    query: dict[str, str]
    body: Body

    @property
    def data(self) -> Json:
        """The JSON object sent, empty where none was. Raises ControlError for other JSON."""
        payload = self.body.payload
        if payload is None:
            return {}
        if not isinstance(payload, dict):
            raise ControlError("This route takes one JSON object.")
        return payload

    def get(self, key: str) -> Any:
        """Return a value of the body or else of the query."""
        return self.data.get(key, self.query.get(key))

    def user(self, given: Any = None) -> User:
        """Return the member who acts: the one named, else the first person there is."""
        name = given if given is not None else self.get("user")
        if name is None:
            people = [one for one in self.core.state.users.values() if not one.bot]
            if not people:
                raise ControlError("There is no member yet: create a user first.")
            return people[0]
        return lookup.user(self.core.state, name)

    def channel(self, data: Json | None = None) -> Channel:
        """Return the channel named in the body, the query or another mapping."""
        source = data if data is not None else self.query | self.data
        return lookup.channel(
            self.core.state, source.get("channel"), guild_name=source.get("guild")
        )

    def guild(self) -> Guild:
        """Return the guild the path names."""
        return lookup.guild(self.core.state, self.params["guild"])

    def files_by_name(self) -> dict[str, list[Upload]]:
        """Return the files sent, by field, in their order."""
        found: dict[str, list[Upload]] = {}
        for upload in self.body.files:
            found.setdefault(upload.name, []).append(upload)
        return found


ControlHandler = Callable[[ControlCall], Awaitable[Any]]
Routes = list[tuple[str, str, ControlHandler]]
