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

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
COLUMNS = (
    JOBS.c.id,
    JOBS.c.kind,
    JOBS.c.payload,
    JOBS.c.status,
    JOBS.c.worker,
    JOBS.c.attempts,
    JOBS.c.result,
    JOBS.c.error,
    JOBS.c.owner,
    JOBS.c.created,
    JOBS.c.finished,
    JOBS.c.state,
)


@dataclass(frozen=True, slots=True)
class Job:
    """``attempts`` counts the claims: a job that kills its workers can be seen by it. ``owner`` is who asked (a key's id); ``created`` and ``finished``
    are ISO 8601 in UTC or empty; ``state`` is what a worker wrote down for the one that goes on."""

    id: str
    kind: str
    payload: Json
    status: JobStatus
    worker: str
    attempts: int
    result: Json
    error: str
    owner: str = ""
    created: str = ""
    finished: str = ""
    state: Json = None


def add_job(
    connection: Connection, kind: str, payload: Json, owner: str = "", created: str = "", prefix: str = "job"
) -> str:
    id = make_id(prefix)
    empty = {"worker": "", "attempts": 0, "error": "", "owner": owner, "created": created}
    connection.execute(insert(JOBS).values(id=id, kind=kind, payload=payload, status="queued", **empty))
    return id


def claim_job(connection: Connection, worker: str, now: str, lease_s: float, kind: str = "") -> Job | None:
    """The oldest job (of a kind, or of any) that waits or whose lease has run out, now this worker's; None when there is none."""
    free = select(JOBS.c.id).where(_is_free(now, kind)).order_by(JOBS.c.seq).limit(1)
    id = connection.scalar(free.with_for_update(skip_locked=True))
    if id is None:
        return None
    claim = {"status": "running", "worker": worker, "lease_until": seconds(now) + lease_s}
    connection.execute(update(JOBS).where(JOBS.c.id == id).values(attempts=JOBS.c.attempts + 1, **claim))
    return read_job(connection, id)


def has_claimable(connection: Connection, kind: str, now: str) -> bool:
    return connection.scalar(select(JOBS.c.id).where(_is_free(now, kind)).limit(1)) is not None


def _is_free(now: str, kind: str) -> ColumnElement[bool]:
    is_expired = (JOBS.c.status == "running") & (JOBS.c.lease_until <= seconds(now))
    is_free = (JOBS.c.status == "queued") | is_expired
    return is_free & (JOBS.c.kind == kind) if kind else is_free


def extend_lease(connection: Connection, id: str, worker: str, now: str, lease_s: float) -> bool:
    """Heartbeat. False: the job is no longer this worker's, which must stop."""
    mine = (JOBS.c.id == id) & (JOBS.c.status == "running") & (JOBS.c.worker == worker)
    return connection.execute(update(JOBS).where(mine).values(lease_until=seconds(now) + lease_s)).rowcount == 1


def put_back_job(connection: Connection, id: str, worker: str, *, is_counted: bool) -> bool:
    """Let the next worker have it at once; ``is_counted``: this attempt was one. False: not this worker's."""
    mine = (JOBS.c.id == id) & (JOBS.c.status == "running") & (JOBS.c.worker == worker)
    attempts = JOBS.c.attempts if is_counted else JOBS.c.attempts - 1
    values = {"status": "queued", "worker": "", "lease_until": None, "attempts": attempts}
    return connection.execute(update(JOBS).where(mine).values(values)).rowcount == 1


def cancel_job(connection: Connection, id: str, now: str) -> bool:
    """From now on no worker's: the one that has it learns it by its next heartbeat. False: it has ended, or is not there."""
    is_open = (JOBS.c.id == id) & JOBS.c.status.in_(("queued", "running"))
    values = {"status": "cancelled", "lease_until": None, "finished": now}
    return connection.execute(update(JOBS).where(is_open).values(values)).rowcount == 1


def write_state(connection: Connection, id: str, worker: str, state: Json) -> bool:
    """What the next worker needs to go on. False: not this worker's."""
    mine = (JOBS.c.id == id) & (JOBS.c.status == "running") & (JOBS.c.worker == worker)
    return connection.execute(update(JOBS).where(mine).values(state=state)).rowcount == 1


def finish_job(
    connection: Connection, id: str, result: Json, error: str, worker: str | None, finished: str = ""
) -> bool:
    """Write the outcome: failed when ``error`` has text, else done. False: not running, or not this worker's.

    Raises:
        StoreError: JM-813, no such job.
    """
    condition: ColumnElement[bool] = (JOBS.c.id == id) & (JOBS.c.status == "running")
    if worker is not None:
        condition &= JOBS.c.worker == worker
    outcome = {"status": "failed" if error else "done", "error": error, "result": result, "finished": finished}
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


def read_page(connection: Connection, kind: str, owner: str, after: str, limit: int) -> list[Job]:
    """An owner's jobs of a kind, newest first, those older than ``after`` (a job's id; empty: from the newest).

    Raises:
        StoreError: JM-813, ``after`` is no job of this owner.
    """
    mine = (JOBS.c.kind == kind) & (JOBS.c.owner == owner)
    if after:
        seq = connection.scalar(select(JOBS.c.seq).where(mine, JOBS.c.id == after))
        if seq is None:
            raise StoreError("JM-813", "there is no such job", got=after, hint="list the jobs")
        mine &= JOBS.c.seq < seq
    return [
        _to_job(row)
        for row in connection.execute(select(*COLUMNS).where(mine).order_by(JOBS.c.seq.desc()).limit(limit))
    ]


def read_done(connection: Connection, kind: str, limit: int) -> list[Job]:
    """The last that were done, the latest first, whoever asked."""
    done = (JOBS.c.kind == kind) & (JOBS.c.status == "done")
    chosen = select(*COLUMNS).where(done).order_by(JOBS.c.finished.desc(), JOBS.c.seq.desc()).limit(limit)
    return [_to_job(row) for row in connection.execute(chosen)]


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
        owner=values["owner"],
        created=values["created"],
        finished=values["finished"],
        state=cast(Json, values["state"]),
    )
