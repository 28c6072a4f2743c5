"""Jobs, taken events, undelivered pictures, sources and guild settings, on SQLite or PostgreSQL.

A SQLite store may be copied while the bot runs, by SQLite's own means only, because its newest
rows live in the `-wal` file beside it:

    sqlite3 data/turbocord.db ".backup backup.db"
    sqlite3 data/turbocord.db "VACUUM INTO 'backup.db'"

To restore, stop the bot, put the copy in the place of the file and remove `-wal` and `-shm`.
PostgreSQL is backed up by `pg_dump`.
"""

from __future__ import annotations

from bot.store.events import TakenEvents
from bot.store.guild_settings import GuildSettings, NsfwPolicy
from bot.store.jobs import Jobs
from bot.store.kept import KeptPictures
from bot.store.records import Job, JobState, KeptPicture, PostedPicture
from bot.store.settings import Settings
from bot.store.sources import KeptSources
from bot.store.values import KeyValues

__all__ = [
    "GuildSettings",
    "Job",
    "JobState",
    "KeptPicture",
    "NsfwPolicy",
    "PostedPicture",
    "Store",
]


class Store(Jobs, TakenEvents, KeptPictures, KeptSources, Settings, KeyValues):
    """Everything that outlives the process; `await Store.open(url)` opens and migrates it.

    Every call raises StoreError when the database fails, and the bot then goes on without it.
    """
