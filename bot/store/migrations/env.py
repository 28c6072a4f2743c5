"""Run by Alembic: migrates over the connection it is handed, inside that connection's transaction.

A new revision is made by hand in `versions/`: statements there have to suit both SQLite (no ALTER
of columns outside `op.batch_alter_table`) and PostgreSQL.
"""

from __future__ import annotations

from alembic import context

from bot.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
with context.begin_transaction():
    context.run_migrations()
