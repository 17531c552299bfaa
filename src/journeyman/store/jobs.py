"""Long work that was asked for over HTTP or from a page: queued here, claimed by a worker for a while, finished once.

A claim is a lease. A worker that dies stops its heartbeats, the lease runs out, and the job can be claimed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.ids import make_id
from journeyman.store.tables import JOBS

JobStatus = Literal["queued", "running", "done", "failed"]
COLUMNS = (
    JOBS.c.id,
    JOBS.c.kind,
    JOBS.c.payload,
    JOBS.c.status,
    JOBS.c.worker,
    JOBS.c.attempts,
    JOBS.c.result,
    JOBS.c.error,
)


@dataclass(frozen=True, slots=True)
class Job:
    """``attempts`` counts the claims: a job that kills its workers can be seen by it."""

    id: str
    kind: str
    payload: Json
    status: JobStatus
    worker: str
    attempts: int
    result: Json
    error: str


def add_job(connection: Connection, kind: str, payload: Json) -> str:
    id = make_id("job")
    empty = {"worker": "", "attempts": 0, "error": ""}
    connection.execute(insert(JOBS).values(id=id, kind=kind, payload=payload, status="queued", **empty))
    return id


def claim_job(connection: Connection, worker: str, now: str, lease_s: float) -> Job | None:
    """The oldest job that waits or whose lease has run out, now this worker's; None when there is none."""
    moment = seconds(now)
    is_expired = (JOBS.c.status == "running") & (JOBS.c.lease_until <= moment)
    free = select(JOBS.c.id).where((JOBS.c.status == "queued") | is_expired).order_by(JOBS.c.seq).limit(1)
    id = connection.scalar(free.with_for_update(skip_locked=True))
    if id is None:
        return None
    claim = {"status": "running", "worker": worker, "lease_until": moment + lease_s}
    connection.execute(update(JOBS).where(JOBS.c.id == id).values(attempts=JOBS.c.attempts + 1, **claim))
    return read_job(connection, id)


def extend_lease(connection: Connection, id: str, worker: str, now: str, lease_s: float) -> bool:
    """Heartbeat. False: the job is no longer this worker's, which must stop."""
    mine = (JOBS.c.id == id) & (JOBS.c.status == "running") & (JOBS.c.worker == worker)
    return connection.execute(update(JOBS).where(mine).values(lease_until=seconds(now) + lease_s)).rowcount == 1


def finish_job(connection: Connection, id: str, result: Json, error: str, worker: str | None) -> bool:
    """Write the outcome: ``error`` when it has text, else ``result``. False: not running, or not this worker's.

    Raises:
        StoreError: JM-813, no such job.
    """
    condition: ColumnElement[bool] = (JOBS.c.id == id) & (JOBS.c.status == "running")
    if worker is not None:
        condition &= JOBS.c.worker == worker
    outcome = {"status": "failed", "error": error} if error else {"status": "done", "result": result}
    if connection.execute(update(JOBS).where(condition).values(lease_until=None, **outcome)).rowcount == 1:
        return True
    if read_job(connection, id) is None:
        raise StoreError("JM-813", "there is no such job", got=id, hint="list the jobs")
    return False


def read_job(connection: Connection, id: str) -> Job | None:
    row = connection.execute(select(*COLUMNS).where(JOBS.c.id == id)).one_or_none()
    return None if row is None else _to_job(row)


def read_jobs(connection: Connection) -> list[Job]:
    """Oldest first."""
    return [_to_job(row) for row in connection.execute(select(*COLUMNS).order_by(JOBS.c.seq))]


def seconds(time: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; one without an offset is UTC.

    Raises:
        ValueError: not such a time.
    """
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _to_job(row: Row[*tuple[object, ...]]) -> Job:
    values = row._mapping
    return Job(
        id=values["id"],
        kind=values["kind"],
        payload=cast(Json, values["payload"]),
        status=cast(JobStatus, values["status"]),
        worker=values["worker"],
        attempts=values["attempts"],
        result=cast(Json, values["result"]),
        error=values["error"],
    )
