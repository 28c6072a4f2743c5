"""Copies of the pictures requests start from, where Discord would not give them out again."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from bot.errors import StoreError
from bot.store.database import Database
from bot.store.tables import jobs, kept_sources
from bot.store.upsert import insert_for

MAX_SOURCE_BYTES: Final = 256 * 1024 * 1024
MAX_SOURCES_PER_USER: Final = 100


class KeptSources(Database):
    """Sources by job and place, bounded in bytes and per member: the oldest give way.

    They go with their job: when it is forgotten, and when its member deletes their data.
    """

    def __init__(
        self, *args: Any, max_source_bytes: int = MAX_SOURCE_BYTES, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.max_source_bytes = max_source_bytes

    async def keep_source(self, job_id: str, position: int, data: bytes) -> None:
        """Keep a job's source; `position` counts its sources from 0.

        Raises StoreError: `kept_picture_too_large` above the bound for all of them together,
        `store_conflict` if the job is not in the store.
        """
        if len(data) > self.max_source_bytes:
            raise StoreError("kept_picture_too_large", size=len(data), limit=self.max_source_bytes)
        insert = insert_for(self.engine, kept_sources).values(
            job_id=job_id, position=position, size=len(data), data=data, kept_at=self._clock()
        )
        again = {name: insert.excluded[name] for name in ("size", "data", "kept_at")}
        async with self._writing() as connection:
            await connection.execute(
                insert.on_conflict_do_update(index_elements=["job_id", "position"], set_=again)
            )
            await connection.execute(self._too_many(job_id))

    def _too_many(self, job_id: str) -> sa.Delete:
        """Return the statement that drops the oldest sources over a bound.

        Only the member of `job_id` can have one too many; all together may be too large.
        """
        newest_first = (
            kept_sources.c.kept_at.desc(),
            kept_sources.c.job_id,
            kept_sources.c.position,
        )
        owner = sa.select(jobs.c.user_id).where(jobs.c.job_id == job_id).scalar_subquery()
        ranked = (
            sa.select(
                kept_sources.c.job_id,
                kept_sources.c.position,
                jobs.c.user_id,
                sa.func.sum(kept_sources.c.size).over(order_by=newest_first).label("total"),
                sa.func.row_number()
                .over(partition_by=jobs.c.user_id, order_by=newest_first)
                .label("place"),
            )
            .join(jobs)
            .subquery()
        )
        too_many = sa.select(ranked.c.job_id, ranked.c.position).where(
            (ranked.c.total > self.max_source_bytes)
            | ((ranked.c.user_id == owner) & (ranked.c.place > MAX_SOURCES_PER_USER))
        )
        return kept_sources.delete().where(
            sa.tuple_(kept_sources.c.job_id, kept_sources.c.position).in_(too_many)
        )

    async def read_source(self, job_id: str, position: int) -> bytes | None:
        """Return a kept source's bytes, or None where it was never kept or gave way."""
        query = sa.select(kept_sources.c.data).where(
            kept_sources.c.job_id == job_id, kept_sources.c.position == position
        )
        async with self._reading() as connection:
            data: bytes | None = (await connection.execute(query)).scalar_one_or_none()
        return data
