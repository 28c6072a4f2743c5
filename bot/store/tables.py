"""The tables as the newest migration leaves them; a test holds the two together."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()

_UNFINISHED: Final = sa.text("state IN ('accepted', 'running')")

jobs: Final = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("guild_id", sa.BigInteger),
    sa.Column("channel_id", sa.BigInteger),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("message_id", sa.BigInteger),
    sa.Column("application_id", sa.BigInteger),
    sa.Column("interaction_token", sa.Text),
    sa.Column("token_expires_at", sa.Double),
    sa.Column("parent_job_id", sa.Text),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("attachments", sa.JSON, nullable=False),
    sa.Column("error_code", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Index("ix_jobs_history", "user_id", "created_at", "job_id"),
    sa.Index("ix_jobs_updated", "updated_at"),
    sa.Index(
        "ix_jobs_unfinished",
        "created_at",
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    ),
)

claims: Final = sa.Table(
    "claims",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Index("ix_claims_owner", "owner"),
)

taken_events: Final = sa.Table(
    "taken_events",
    metadata,
    sa.Column("event_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("taken_at", sa.Double, nullable=False),
)

kept_pictures: Final = sa.Table(
    "kept_pictures",
    metadata,
    # SQLite counts up by itself only for a plain INTEGER key.
    sa.Column(
        "picture_id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Index("ix_kept_pictures_job", "job_id"),
    sa.Index("ix_kept_pictures_expiry", "expires_at"),
)

kept_sources: Final = sa.Table(
    "kept_sources",
    metadata,
    sa.Column(
        "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("kept_at", sa.Double, nullable=False),
    # Everything the bounds are told by: what lies behind the bytes is slow to read on SQLite.
    sa.Index("ix_kept_sources_age", "kept_at", "job_id", "position", "size"),
)

guild_settings: Final = sa.Table(
    "guild_settings",
    metadata,
    sa.Column("guild_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)

key_values: Final = sa.Table(
    "key_values",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
