"""Traces know the person that they were made for, by a hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("traces", sa.Column("person", sa.Text, nullable=False, server_default=""))
    named = sa.text("person <> ''")
    op.create_index("traces_person", "traces", ["person"], sqlite_where=named, postgresql_where=named)
