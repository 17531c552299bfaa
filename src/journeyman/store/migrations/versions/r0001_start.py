"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_rows()
    _create_ledger()
    _create_work()


def _seq() -> sa.Column[int]:
    return sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)


def _text(name: str, *, is_key: bool = False, is_optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=is_key, nullable=is_optional)


def _create_rows() -> None:
    op.create_table(
        "traces",
        _seq(),
        *(_text(name) for name in ("id", "task", "origin", "time")),
        _text("row_key", is_optional=True),
        *(_text(name) for name in ("release", "model")),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cost_usd", sa.Double),
        sa.Column("latency_ms", sa.Double),
        *(_text(name) for name in ("status", "document")),
        sa.UniqueConstraint("id", name="traces_id"),
        sa.UniqueConstraint("task", "row_key", name="traces_row_key"),
    )
    op.create_index("traces_task", "traces", ["task", "seq"])
    op.create_table("examples", _text("hash", is_key=True), _text("task"), _text("document"))
    op.create_table(
        "assignments", _text("task", is_key=True), _text("key", is_key=True), _text("group"), _text("split")
    )
    op.create_table(
        "datasets",
        _text("task", is_key=True),
        _text("hash", is_key=True),
        _text("time"),
        sa.Column("place", sa.BigInteger, nullable=False),
        _text("manifest"),
    )
    op.create_index("datasets_hash", "datasets", ["hash"])


def _create_ledger() -> None:
    op.create_table(
        "looks",
        _text("task", is_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *(_text(name) for name in ("dataset", "release", "time")),
        sa.Column("level", sa.Double, nullable=False),
        _text("verdict", is_optional=True),
        sa.UniqueConstraint("task", "dataset", "release", name="looks_once"),
    )
    for table, key in (("reveals", "row_hash"), ("tombstones", "hash")):
        op.create_table(table, _text("task", is_key=True), _text(key, is_key=True), _text("reason"), _text("time"))


def _create_work() -> None:
    op.create_table("alias_entries", _seq(), *(_text(name) for name in ("task", "release", "action", "reason", "time")))
    op.create_index("alias_entries_task", "alias_entries", ["task", "seq"])
    op.create_table(
        "runs",
        _seq(),
        *(_text(name) for name in ("id", "task", "kind", "time", "state")),
        sa.UniqueConstraint("id", name="runs_id"),
    )
    op.create_index("runs_task", "runs", ["task", "seq"])
    op.create_table(
        "jobs",
        _seq(),
        *(_text(name) for name in ("id", "kind")),
        _text("payload", is_optional=True),
        *(_text(name) for name in ("status", "worker")),
        sa.Column("lease_until", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        _text("result", is_optional=True),
        _text("error"),
        sa.UniqueConstraint("id", name="jobs_id"),
    )
    op.create_index("jobs_status", "jobs", ["status", "seq"])
