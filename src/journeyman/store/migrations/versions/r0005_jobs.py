"""Jobs know who asked for them, when, and what has been done; their events, and the files that callers uploaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name in ("owner", "created", "finished"):
        op.add_column("jobs", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("state", sa.Text))
    op.create_table(
        "job_events",
        sa.Column("seq", sequence, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("job", "time", "level", "message")),
        sa.Column("data", sa.Text),
        sa.Index("job_events_job", "job", "seq"),
    )
    op.create_table(
        "files",
        sa.Column("seq", sequence, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("id", "owner", "name", "purpose", "created")),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("facts", sa.Text),
        sa.UniqueConstraint("id", name="files_id"),
        sa.Index("files_owner", "owner", "seq"),
    )
