"""Runs revisions on the connection, and inside the transaction, that ``store.schema`` hands over."""

from __future__ import annotations

from alembic import context

from journeyman.store.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
