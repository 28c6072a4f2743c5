"""What members see as it happens: a stream for each listener of the control API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.sandbox.models import Channel, Interaction, Json, Message
from bot.sandbox.traffic import Entry
from bot.sandbox.view import interaction_view, message_view

if TYPE_CHECKING:
    from bot.sandbox.core import Core


@dataclass(eq=False)
class Subscriber:
    """One open stream: whose eyes it looks through and what waits to be sent."""

    user_id: int
    with_traffic: bool = False
    queue: asyncio.Queue[Json] = field(default_factory=lambda: asyncio.Queue(maxsize=4096))

    def put(self, event: Json) -> None:
        """Add an event; a listener that has fallen 4096 behind loses the oldest one."""
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(event)


class EventHub:
    """Hands each event to those who may see it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._subscribers: set[Subscriber] = set()
        core.traffic.listeners.append(self._traffic)

    def subscribe(self, user_id: int, *, with_traffic: bool = False) -> Subscriber:
        """Open a stream for a member."""
        subscriber = Subscriber(user_id, with_traffic)
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Close a stream."""
        self._subscribers.discard(subscriber)

    def message(self, kind: str, message: Message) -> None:
        """Tell of message_create or message_update to everyone who sees the message."""
        for one in self._subscribers:
            if self._core.state.sees(one.user_id, message):
                view = message_view(self._core, message, one.user_id)
                one.put({"type": kind, "message": view})

    def message_delete(self, message: Message, *, only_for: int | None = None) -> None:
        """Tell that a message is gone."""
        event: Json = {
            "type": "message_delete",
            "id": str(message.id),
            "channel_id": str(message.channel_id),
        }
        for one in self._subscribers:
            if only_for in (None, one.user_id):
                one.put(event)

    def typing(self, channel: Channel, user_id: int) -> None:
        """Tell that someone is typing."""
        event = {"type": "typing", "channel_id": str(channel.id), "user_id": str(user_id)}
        for one in self._subscribers:
            if self._core.state.may(one.user_id, channel):
                one.put(event)

    def interaction(self, interaction: Interaction) -> None:
        """Tell the member who acted how their interaction stands, modals included."""
        for one in self._subscribers:
            if one.user_id == interaction.user_id:
                view = interaction_view(self._core, interaction)
                one.put({"type": "interaction", "interaction": view})
                if interaction.modal is not None and not interaction.modal_closed:
                    one.put({"type": "modal", "interaction": view, "modal": interaction.modal})

    def changed(self, what: str, data: Json) -> None:
        """Tell everyone of a change of the world: guild, channel, member, commands, settings."""
        for one in self._subscribers:
            one.put({"type": what} | data)

    def _traffic(self, entry: Entry) -> None:
        for one in self._subscribers:
            if one.with_traffic:
                one.put({"type": "traffic", "entry": entry.to_json()})
