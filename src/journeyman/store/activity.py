"""What was asked lately, by task, in one query.

It reads the calls of that time alone: their ids begin with it, and have an index.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, select

from journeyman.store.tables import TRACES

PREFIX = "trace-"
OTHERS = ""
"""Stands for every task that is none of ours: models that were passed on, bases, embeddings."""


@dataclass(frozen=True, slots=True)
class Activity:
    """``calls`` in all, ``failed`` of them; the rest were answered, ``student`` of them by a release. Latencies are of all calls; ``usd`` counts what has a price."""

    task: str
    calls: int
    student: int
    failed: int
    p50_ms: float
    p95_ms: float
    usd: float


def read_activity(connection: Connection, since: datetime, origins: Collection[str]) -> list[Activity]:
    return [_make(row) for row in connection.execute(select_activity(since, origins))]


def _make(row: Row[Any]) -> Activity:
    task, calls, student, failed, p50_ms, p95_ms, usd = tuple(row)
    return Activity(task, calls, student, failed, p50_ms, p95_ms, usd)


def select_activity(since: datetime, origins: Collection[str]) -> Select[Any]:
    """A percentile is the least latency that so many of the calls do not pass."""
    task = case((TRACES.c.task.contains(":"), OTHERS), else_=TRACES.c.task)
    took = func.coalesce(TRACES.c.latency_ms, 0.0)
    first = f"{PREFIX}{since.astimezone(UTC):%Y%m%dT%H%M%S}"
    calls = (
        select(
            task.label("task"),
            took.label("took"),
            TRACES.c.release,
            TRACES.c.status,
            TRACES.c.cost_usd,
            func.row_number().over(partition_by=task, order_by=took).label("place"),
            func.count().over(partition_by=task).label("count"),
        )
        .where(TRACES.c.id >= first, TRACES.c.origin.in_(sorted(origins)))
        .subquery()
    )
    column, is_well = calls.c, calls.c.status == "ok"
    half, most = (func.max(case((column.place * 100 < column.count * share + 100, column.took))) for share in (50, 95))
    return (
        select(
            column.task,
            func.count(),
            func.sum(case((is_well & (column.release != ""), 1), else_=0)),
            func.sum(case((is_well, 0), else_=1)),
            half,
            most,
            func.coalesce(func.sum(column.cost_usd), 0.0),
        )
        .group_by(column.task)
        .order_by(column.task)
    )
