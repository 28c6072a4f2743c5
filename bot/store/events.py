"""Gateway events that some process has taken to act on, for as long as they can come again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa

from bot.store.database import Database
from bot.store.tables import taken_events
from bot.store.upsert import insert_for

EVENT_SECONDS: Final = 15 * 60
"""How long an event stays taken: Discord's interactions can be answered for as long."""

PRUNE_SECONDS: Final = 60.0


class TakenEvents(Database):
    """Who came first to an event; nothing is ever renewed, and what is old goes by itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prune_at = 0.0
        insert = insert_for(self.engine, taken_events).on_conflict_do_nothing()
        self._take_event = insert.returning(taken_events.c.event_id)

    async def take_events(self, event_ids: Iterable[int]) -> set[int]:
        """Take the events that nobody has taken and return them; of several processes one does."""
        now = self._clock()
        # Sorted, so that two processes that take the same events cannot wait for each other.
        rows = [{"event_id": one, "taken_at": now} for one in sorted(event_ids)]

        def work(connection: sa.Connection) -> set[int]:
            taken = set(connection.scalars(self._take_event, rows))
            if now >= self._prune_at:
                self._prune_at = now + PRUNE_SECONDS
                # Looked for without an index: there are few, and every arrival would pay for one.
                connection.execute(
                    taken_events.delete().where(taken_events.c.taken_at <= now - EVENT_SECONDS)
                )
            return taken

        return await self._at_once(work, write=True)
