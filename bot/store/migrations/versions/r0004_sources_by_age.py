"""What the bounds on kept sources are told by, in their index by age."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Have the index hold everything that is asked of it.

    A row's age lies behind its bytes, so that SQLite would read them all to order the rows.
    """
    op.drop_index("ix_kept_sources_age", "kept_sources")
    op.create_index(
        "ix_kept_sources_age", "kept_sources", ["kept_at", "job_id", "position", "size"]
    )


def downgrade() -> None:
    """Have it hold the age alone."""
    op.drop_index("ix_kept_sources_age", "kept_sources")
    op.create_index("ix_kept_sources_age", "kept_sources", ["kept_at"])
