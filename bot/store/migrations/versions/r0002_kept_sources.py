"""Copies of the pictures that requests start from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_sources",
        sa.Column(
            "job_id",
            sa.Text,
            sa.ForeignKey("jobs.job_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("kept_at", sa.Double, nullable=False),
    )
    op.create_index("ix_kept_sources_age", "kept_sources", ["kept_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("kept_sources")
