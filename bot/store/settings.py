"""Guild settings in the database, with a short memory of them in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final

import sqlalchemy as sa

from bot.errors import StoreError
from bot.store.batched import Batched
from bot.store.database import Database
from bot.store.guild_settings import VERSION, GuildSettings
from bot.store.tables import guild_settings
from bot.store.upsert import insert_for

REMEMBERED_GUILDS: Final = 10_000

_OF_GUILDS: Final = sa.select(guild_settings.c.guild_id, guild_settings.c.settings).where(
    guild_settings.c.guild_id.in_(sa.bindparam("guild_ids", expanding=True))
)


class Settings(Database):
    """Each guild's choices, which outlast its leaving: whoever was banned there stays banned.

    A write counts at once in this process and within `settings_seconds` in others. When the
    database is away the last known choices go on counting: a ban must not lapse with a disk.
    """

    def __init__(self, *args: Any, settings_seconds: float = 5.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settings_seconds = settings_seconds
        self._remembered: OrderedDict[int, tuple[float, GuildSettings]] = OrderedDict()
        self._writes = 0
        self._read = Batched(self._read_settings)

    async def get_settings(self, guild_id: int) -> GuildSettings:
        """Return the guild's choices, the defaults where it has made none.

        Raises StoreError if the database is away and nothing is remembered.
        """
        remembered = self._remembered.get(guild_id)
        if remembered is not None and time.monotonic() < remembered[0]:
            self._remembered.move_to_end(guild_id)
            return remembered[1]
        writes = self._writes
        try:
            settings = await self._read(guild_id)
        except StoreError:
            if remembered is None:
                raise
            return remembered[1]
        if writes == self._writes:
            # Otherwise a write came while we read, and what we read may be older than it.
            self._remember(guild_id, settings)
        return settings

    async def _read_settings(self, guild_ids: list[int]) -> list[GuildSettings]:
        def work(connection: sa.Connection) -> dict[int, Any]:
            rows = connection.execute(_OF_GUILDS, {"guild_ids": guild_ids})
            return {row.guild_id: row.settings for row in rows}

        found = await self._at_once(work, write=False)
        return [
            GuildSettings.from_json(stored)
            if isinstance(stored := found.get(guild_id), dict)
            else GuildSettings()
            for guild_id in guild_ids
        ]

    async def save_settings(self, guild_id: int, settings: GuildSettings) -> None:
        """Store the guild's choices. Raises ValueError naming a field that cannot be."""
        stored = settings.to_json()
        insert = insert_for(self.engine, guild_settings).values(
            guild_id=guild_id, version=VERSION, settings=stored, updated_at=self._clock()
        )
        upsert = insert.on_conflict_do_update(
            index_elements=[guild_settings.c.guild_id],
            set_={name: insert.excluded[name] for name in ("version", "settings", "updated_at")},
        )
        async with self._writing() as connection:
            await connection.execute(upsert)
        self._writes += 1
        self._remember(guild_id, settings)

    def _remember(self, guild_id: int, settings: GuildSettings) -> None:
        self._remembered[guild_id] = (time.monotonic() + self.settings_seconds, settings)
        self._remembered.move_to_end(guild_id)
        while len(self._remembered) > REMEMBERED_GUILDS:
            self._remembered.popitem(last=False)
