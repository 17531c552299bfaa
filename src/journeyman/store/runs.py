"""Runs of the long commands: what they have decided and done, so that they resume where they were killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, Row, Select, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.statements import insert_new
from journeyman.store.tables import RUNS

COLUMNS = (RUNS.c.id, RUNS.c.task, RUNS.c.kind, RUNS.c.time, RUNS.c.state)


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    task: str
    kind: str
    time: str
    state: Mapping[str, Json]


def add_run(connection: Connection, run: Run) -> None:
    """Raises:
    StoreError: JM-824, the id is taken.
    """
    row = {"id": run.id, "task": run.task, "kind": run.kind, "time": run.time, "state": dict(run.state)}
    if not insert_new(connection, RUNS, [row]):
        raise StoreError(
            "JM-824", "a run of this id is there already", where=f"task {run.task}", got=run.id, hint="update that run"
        )


def update_run(connection: Connection, id: str, state: Mapping[str, Json]) -> None:
    """Replace the run's state.

    Raises:
        StoreError: JM-813, no such run.
    """
    if connection.execute(update(RUNS).where(RUNS.c.id == id).values(state=dict(state))).rowcount == 0:
        raise StoreError("JM-813", "there is no such run", got=id, hint="add the run before it is updated")


def read_run(connection: Connection, id: str) -> Run | None:
    return _first(connection, select(*COLUMNS).where(RUNS.c.id == id))


def read_runs(connection: Connection, task: str) -> list[Run]:
    """Oldest first."""
    query = select(*COLUMNS).where(RUNS.c.task == task).order_by(RUNS.c.seq)
    return [_to_run(row) for row in connection.execute(query)]


def read_latest(connection: Connection, task: str, kind: str | None) -> Run | None:
    query = select(*COLUMNS).where(RUNS.c.task == task).order_by(RUNS.c.seq.desc()).limit(1)
    return _first(connection, query if kind is None else query.where(RUNS.c.kind == kind))


def _first(connection: Connection, query: Select[str, str, str, str, Json]) -> Run | None:
    row = connection.execute(query).first()
    return None if row is None else _to_run(row)


def _to_run(row: Row[str, str, str, str, Json]) -> Run:
    id, task, kind, time, state = row
    return Run(id, task, kind, time, cast(dict[str, Json], state))
