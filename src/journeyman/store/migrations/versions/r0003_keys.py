"""Callers' keys, what was spent, and what servers hold of budgets; traces know the key that they were asked with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "keys",
        sa.Column("seq", sequence, primary_key=True, autoincrement=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("id", "name", "hash", "hint", "time", "expires", "revoked", "rights")
        ),
        sa.UniqueConstraint("id", name="keys_id"),
        sa.UniqueConstraint("hash", name="keys_hash"),
    )
    op.create_table(
        "spent",
        sa.Column("scope", sa.Text, primary_key=True, nullable=False),
        sa.Column("period", sa.Text, primary_key=True, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Index("leases_scope", "scope", "period"),
    )
    op.add_column("traces", sa.Column("key", sa.Text, nullable=False, server_default=""))
