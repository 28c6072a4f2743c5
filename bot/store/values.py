"""Small facts by key, such as the hash of the command tree Discord has."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store.database import Database
from bot.store.tables import key_values
from bot.store.upsert import insert_for


class KeyValues(Database):
    """Texts by key."""

    async def get_value(self, key: str) -> str | None:
        """Return the text under `key`, or None."""
        query = sa.select(key_values.c.value).where(key_values.c.key == key)
        async with self._reading() as connection:
            value: str | None = (await connection.execute(query)).scalar_one_or_none()
        return value

    async def set_value(self, key: str, value: str | None) -> None:
        """Put `value` under `key`; None removes it."""
        async with self._writing() as connection:
            if value is None:
                await connection.execute(key_values.delete().where(key_values.c.key == key))
                return
            insert = insert_for(self.engine, key_values).values(key=key, value=value)
            await connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[key_values.c.key], set_={"value": insert.excluded.value}
                )
            )
