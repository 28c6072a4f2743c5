"""Alembic's environment for the store; `bot.store.migrate` runs it at every start."""
