"""Finished pictures that could not be delivered, kept for a while for their member."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from bot.errors import StoreError
from bot.store.database import Database
from bot.store.records import KeptPicture
from bot.store.tables import jobs, kept_pictures

MAX_KEPT_BYTES: Final = 256 * 1024 * 1024
MAX_KEPT_PER_USER: Final = 20


class KeptPictures(Database):
    """Undelivered pictures, bounded in bytes and per member: the oldest give way."""

    def __init__(self, *args: Any, max_kept_bytes: int = MAX_KEPT_BYTES, **options: Any) -> None:
        super().__init__(*args, **options)
        self.max_kept_bytes = max_kept_bytes

    async def keep_picture(
        self, *, job_id: str, filename: str, data: bytes, expires_at: float
    ) -> int:
        """Keep a job's picture until `expires_at` (Unix time) and return its id.

        Raises StoreError: `kept_picture_too_large` above the bound for all pictures together,
        `store_conflict` if the job is not in the store.
        """
        if len(data) > self.max_kept_bytes:
            raise StoreError("kept_picture_too_large", size=len(data), limit=self.max_kept_bytes)
        async with self._writing() as connection:
            result = await connection.execute(
                kept_pictures.insert().returning(kept_pictures.c.picture_id),
                {
                    "job_id": job_id,
                    "filename": filename,
                    "size": len(data),
                    "data": data,
                    "expires_at": expires_at,
                },
            )
            picture_id: int = result.scalar_one()
            await connection.execute(
                kept_pictures.delete().where(kept_pictures.c.expires_at <= self._clock())
            )
            await connection.execute(self._overflow(job_id))
        return picture_id

    def _overflow(self, job_id: str) -> sa.Delete:
        """Return the statement that drops the oldest pictures over a bound.

        Only the member of `job_id` can have one too many; all together may be too large.
        """
        newest_first = kept_pictures.c.picture_id.desc()
        owner = sa.select(jobs.c.user_id).where(jobs.c.job_id == job_id).scalar_subquery()
        total = sa.func.sum(kept_pictures.c.size).over(order_by=newest_first)
        place = sa.func.row_number().over(partition_by=jobs.c.user_id, order_by=newest_first)
        ranked = (
            sa.select(
                kept_pictures.c.picture_id,
                jobs.c.user_id,
                total.label("total"),
                place.label("place"),
            )
            .join(jobs)
            .subquery()
        )
        return kept_pictures.delete().where(
            kept_pictures.c.picture_id.in_(
                sa.select(ranked.c.picture_id).where(
                    (ranked.c.total > self.max_kept_bytes)
                    | ((ranked.c.user_id == owner) & (ranked.c.place > MAX_KEPT_PER_USER))
                )
            )
        )

    async def kept_pictures(self, user_id: int) -> list[KeptPicture]:
        """Return what is kept for the member, oldest first, without the bytes."""
        columns = [kept_pictures.c[name] for name in KeptPicture.__dataclass_fields__]
        query = (
            sa.select(*columns)
            .join(jobs)
            .where(jobs.c.user_id == user_id, kept_pictures.c.expires_at > self._clock())
            .order_by(kept_pictures.c.picture_id)
        )
        async with self._reading() as connection:
            return [KeptPicture(**row._mapping) for row in await connection.execute(query)]

    async def read_picture(self, picture_id: int, *, user_id: int) -> bytes | None:
        """Return a kept picture's bytes to the member it is kept for, else None."""
        query = (
            sa.select(kept_pictures.c.data)
            .join(jobs)
            .where(
                kept_pictures.c.picture_id == picture_id,
                kept_pictures.c.expires_at > self._clock(),
                jobs.c.user_id == user_id,
            )
        )
        async with self._reading() as connection:
            data: bytes | None = (await connection.execute(query)).scalar_one_or_none()
        return data

    async def drop_picture(self, picture_id: int, *, user_id: int) -> bool:
        """Forget a kept picture, once delivered or unwanted; return whether it was theirs."""
        theirs = sa.select(jobs.c.job_id).where(jobs.c.user_id == user_id)
        async with self._writing() as connection:
            result = await connection.execute(
                kept_pictures.delete().where(
                    kept_pictures.c.picture_id == picture_id, kept_pictures.c.job_id.in_(theirs)
                )
            )
        return result.rowcount == 1
