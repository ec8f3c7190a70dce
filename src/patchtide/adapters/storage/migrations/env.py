"""Alembic's environment: the connection comes from `migrate`, which has begun a transaction."""

from __future__ import annotations

from alembic import context

from patchtide.adapters.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
