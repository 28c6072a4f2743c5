"""Jobs: accepted, claimed, finished, remembered and forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from bot.store.batched import Batched
from bot.store.database import Database
from bot.store.records import UNFINISHED, Job, JobState, PostedPicture
from bot.store.tables import claims, jobs, kept_pictures
from bot.store.upsert import insert_for

PURGE_CHUNK: Final = 1000

Accepted = tuple[dict[str, Any], tuple[str, float] | None]
"""A new job's row, and its claim where it has an owner."""

# Written out in the statement: SQLite uses a partial index only where it can tell from the
# statement alone that the index has every row that is asked for.
_IS_UNFINISHED: Final = jobs.c.state.in_(
    sa.bindparam(
        "unfinished",
        [str(state) for state in UNFINISHED],
        expanding=True,
        literal_execute=True,
    )
)

_STILL_UNFINISHED: Final = (
    sa.select(jobs.c.job_id)
    .where(jobs.c.job_id.in_(sa.bindparam("job_ids", expanding=True)), _IS_UNFINISHED)
    .order_by(jobs.c.job_id)
    .with_for_update()
)

_FINISH: Final = (
    jobs.update()
    .where(jobs.c.job_id == sa.bindparam("ended_job_id"))
    .values(
        state=sa.bindparam("state"),
        error_code=sa.bindparam("error_code"),
        channel_id=sa.func.coalesce(
            sa.bindparam("posted_in", type_=sa.BigInteger), jobs.c.channel_id
        ),
        message_id=sa.bindparam("message_id"),
        attachments=sa.bindparam("attachments"),
        interaction_token=None,
        token_expires_at=None,
        updated_at=sa.bindparam("now"),
        finished_at=sa.bindparam("now"),
    )
)

_LET_GO: Final = claims.delete().where(claims.c.key.in_(sa.bindparam("job_ids", expanding=True)))


class Jobs(Database):
    """The jobs of every process that shares the database."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._accept = Batched(self._accept_group)
        self._finish = Batched(self._finish_group)
        insert = insert_for(self.engine, claims)
        # Built once, because building it takes longer than carrying it out.
        self._take = insert.on_conflict_do_update(
            index_elements=[claims.c.key],
            set_={"owner": insert.excluded.owner, "expires_at": insert.excluded.expires_at},
            where=(claims.c.expires_at <= sa.bindparam("now", type_=sa.Double))
            | (claims.c.owner == insert.excluded.owner),
        )

    async def close(self) -> None:
        """Finish what is being written and close every connection."""
        await self._accept.finish()
        await self._finish.finish()
        await super().close()

    async def accept_job(
        self,
        *,
        job_id: str,
        kind: str,
        user_id: int,
        guild_id: int | None = None,
        channel_id: int | None = None,
        application_id: int | None = None,
        interaction_token: str | None = None,
        token_expires_at: float | None = None,
        parent_job_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        owner: str | None = None,
        ttl: float = 60.0,
    ) -> None:
        """Write a new job down, and claim it for `owner` where one is given.

        Raises StoreError, with the code `store_conflict` if the job is there already.
        """
        row: dict[str, Any] = {
            "job_id": job_id,
            "kind": kind,
            "state": str(JobState.ACCEPTED),
            "guild_id": guild_id,
            "channel_id": channel_id,
            "user_id": user_id,
            "application_id": application_id,
            "interaction_token": interaction_token,
            "token_expires_at": token_expires_at,
            "parent_job_id": parent_job_id,
            "parameters": dict(parameters or {}),
            "attachments": [],
        }
        await self._accept((row, None if owner is None else (owner, ttl)))

    async def _accept_group(self, group: list[Accepted]) -> list[None]:
        """Write new jobs down with their claims."""

        def work(connection: sa.Connection) -> None:
            # Only now: a wait for the writer's turn must not eat into the claims.
            now = self._clock()
            rows = [row | {"created_at": now, "updated_at": now} for row, _ in group]
            connection.execute(jobs.insert(), rows)
            taken = [_claim(row["job_id"], held[0], now, held[1]) for row, held in group if held]
            if taken:
                connection.execute(self._take, taken)

        await self._at_once(work, write=True)
        return [None] * len(group)

    async def mark_running(self, job_id: str) -> bool:
        """Note that the engine has the job; return whether it was waiting."""
        async with self._writing() as connection:
            result = await connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.state == str(JobState.ACCEPTED))
                .values(state=str(JobState.RUNNING), updated_at=self._clock())
            )
        return result.rowcount == 1

    async def finish_job(
        self,
        job_id: str,
        state: JobState,
        *,
        error_code: str | None = None,
        channel_id: int | None = None,
        message_id: int | None = None,
        attachments: Sequence[PostedPicture] = (),
    ) -> bool:
        """Note how the job ended, and forget its claim and the token that answered it.

        Returns whether it was unfinished until now: of two that finish it, one is told so.
        """
        if state in UNFINISHED:
            raise ValueError(f"{state} is not an end")
        now = self._clock()
        return await self._finish(
            {
                "ended_job_id": job_id,
                "state": str(state),
                "error_code": error_code,
                "posted_in": channel_id,
                "message_id": message_id,
                "attachments": [asdict(picture) for picture in attachments],
                "now": now,
            }
        )

    async def _finish_group(self, group: list[dict[str, Any]]) -> list[bool]:
        """Note how jobs ended; return for each whether it was unfinished until now."""
        job_ids = [one["ended_job_id"] for one in group]

        def work(connection: sa.Connection) -> list[bool]:
            unfinished = set(connection.scalars(_STILL_UNFINISHED, {"job_ids": job_ids}))
            # Of several ends of the same job the first one counts.
            firsts = {one["ended_job_id"]: one for one in reversed(group)}
            ended = [
                firsts[one["ended_job_id"]] is one and one["ended_job_id"] in unfinished
                for one in group
            ]
            if any(ended):
                connection.execute(_FINISH, list(itertools.compress(group, ended)))
            connection.execute(_LET_GO, {"job_ids": job_ids})
            return ended

        return await self._at_once(work, write=True)

    async def get_job(self, job_id: str) -> Job | None:
        """Return the job, or None if it was never there or is forgotten."""
        async with self._reading() as connection:
            row = (await connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id))).first()
        return None if row is None else _job(row)

    async def jobs_of_user(
        self,
        user_id: int,
        *,
        limit: int = 10,
        before: tuple[float, str] | None = None,
        without: Collection[str] = (),
    ) -> list[Job]:
        """Return the member's jobs, newest first, but those of the kinds `without`.

        `before` is the last one's `cursor`.
        """
        query = (
            sa.select(jobs)
            .where(jobs.c.user_id == user_id, jobs.c.kind.not_in(without))
            .order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(
                sa.tuple_(jobs.c.created_at, jobs.c.job_id)
                < sa.tuple_(sa.literal(before[0], sa.Double), sa.literal(before[1], sa.Text))
            )
        async with self._reading() as connection:
            return [_job(row) for row in await connection.execute(query)]

    async def unfinished_jobs(self, *, orphaned: bool = False, limit: int = 1000) -> list[Job]:
        """Return jobs without an end, oldest first; `orphaned` leaves out those under a claim."""
        query = sa.select(jobs).where(_IS_UNFINISHED).order_by(jobs.c.created_at).limit(limit)
        if orphaned:
            held = sa.select(claims.c.key).where(
                claims.c.key == jobs.c.job_id, claims.c.expires_at > self._clock()
            )
            query = query.where(~held.exists())
        async with self._reading() as connection:
            return [_job(row) for row in await connection.execute(query)]

    async def claim(self, key: str, owner: str, ttl: float) -> bool:
        """Take `key`, a job's id, for `ttl` seconds; return whether it is ours.

        Of any number of processes one gets it. The same owner may take it again, which renews it.
        """
        async with self._writing() as connection:
            result = await connection.execute(self._take, _claim(key, owner, self._clock(), ttl))
        return result.rowcount == 1

    async def take_job(self, job_id: str, owner: str, ttl: float) -> bool:
        """Claim an unfinished job for `ttl` seconds; return whether it is ours to answer.

        Who looks for orphans holds a list that others work on meanwhile: a job that came to its
        end since has no claim any more and must not be drawn again.
        """
        async with self._writing() as connection:
            # Locked, where others can write at the same time, so that it cannot end just now.
            state = await connection.scalar(
                sa.select(jobs.c.state).where(jobs.c.job_id == job_id).with_for_update()
            )
            if state is None or JobState(state) not in UNFINISHED:
                return False
            result = await connection.execute(self._take, _claim(job_id, owner, self._clock(), ttl))
        return result.rowcount == 1

    async def renew_claims(self, owner: str, ttl: float) -> int:
        """Hold everything of `owner` for another `ttl` seconds; return how much that is."""
        async with self._writing() as connection:
            result = await connection.execute(
                claims.update()
                .where(claims.c.owner == owner)
                .values(expires_at=self._clock() + ttl)
            )
        return result.rowcount

    async def release_claims(self, owner: str) -> int:
        """Let go of everything of `owner`, so that others need not wait; return how much it was."""
        async with self._writing() as connection:
            result = await connection.execute(claims.delete().where(claims.c.owner == owner))
        return result.rowcount

    async def delete_jobs_of_user(self, user_id: int) -> int:
        """Forget everything the member asked for, the pictures and sources kept of it included.

        On SQLite nothing of it is left in the file or its log. Raises StoreError.
        """
        async with self._writing() as connection:
            theirs = sa.select(jobs.c.job_id).where(jobs.c.user_id == user_id)
            await connection.execute(claims.delete().where(claims.c.key.in_(theirs)))
            result = await connection.execute(jobs.delete().where(jobs.c.user_id == user_id))
        await self.fold_log()
        return result.rowcount

    async def purge(self, older_than: float) -> int:
        """Forget jobs untouched since `older_than` (Unix time), and whatever has expired.

        Returns how many jobs went. Deletes in chunks, so that writers are never kept waiting long.
        """
        now = self._clock()
        async with self._writing() as connection:
            await connection.execute(
                kept_pictures.delete().where(kept_pictures.c.expires_at <= now)
            )
            await connection.execute(claims.delete().where(claims.c.expires_at <= now))
            # Those that finished have no token any more.
            await connection.execute(
                jobs.update()
                .where(_IS_UNFINISHED, jobs.c.token_expires_at <= now)
                .values(interaction_token=None, token_expires_at=None)
            )
        gone = 0
        while True:
            old = sa.select(jobs.c.job_id).where(jobs.c.updated_at < older_than)
            async with self._writing() as connection:
                result = await connection.execute(
                    jobs.delete().where(jobs.c.job_id.in_(old.limit(PURGE_CHUNK)))
                )
            gone += result.rowcount
            if result.rowcount < PURGE_CHUNK:
                return gone


def _claim(key: str, owner: str, now: float, ttl: float) -> dict[str, Any]:
    """Return what takes a claim that is free, expired or ours already."""
    return {"key": key, "owner": owner, "expires_at": now + ttl, "now": now}


def _job(row: sa.Row[Any]) -> Job:
    """Return a row as the value the rest of the project knows."""
    values = dict(row._mapping)
    values["state"] = JobState(values["state"])
    values["attachments"] = tuple(PostedPicture(**one) for one in values["attachments"])
    return Job(**values)
