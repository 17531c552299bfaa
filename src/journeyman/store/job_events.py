"""What happened in a job, line by line, for who asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import Connection, insert, select

from journeyman.core.canonical import Json
from journeyman.store.tables import JOB_EVENTS

Level = Literal["info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class JobEvent:
    """``number`` grows with time over all jobs; ``data`` are a step's numbers, or None."""

    number: int
    time: str
    level: Level
    message: str
    data: Json = None


def add_event(connection: Connection, job: str, time: str, level: Level, message: str, data: Json) -> None:
    connection.execute(insert(JOB_EVENTS).values(job=job, time=time, level=level, message=message, data=data))


def read_events(connection: Connection, job: str, before: int | None, limit: int) -> list[JobEvent]:
    """The latest first; with ``before`` those that came before the one of that number."""
    wanted = JOB_EVENTS.c.job == job
    if before is not None:
        wanted &= JOB_EVENTS.c.seq < before
    columns = (JOB_EVENTS.c.seq, JOB_EVENTS.c.time, JOB_EVENTS.c.level, JOB_EVENTS.c.message, JOB_EVENTS.c.data)
    rows = connection.execute(select(*columns).where(wanted).order_by(JOB_EVENTS.c.seq.desc()).limit(limit))
    return [JobEvent(row[0], row[1], cast(Level, row[2]), row[3], cast(Json, row[4])) for row in rows]
