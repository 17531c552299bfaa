"""Recorded calls: added once, read in the order in which they came."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import cast

from sqlalchemy import Connection, func, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.judgements import JUDGEMENTS
from journeyman.core.trace import Trace
from journeyman.store.engine import Database
from journeyman.store.statements import in_chunks, insert_new
from journeyman.store.tables import TRACES, encode, escape

PAGE = 500
LONGEST_KEY = 200
COLUMNS = [column.name for column in TRACES.columns if column.name != "seq"]
INSERT = f"INSERT INTO traces ({', '.join(COLUMNS)}) VALUES (:{', :'.join(COLUMNS)}) ON CONFLICT DO NOTHING"


def make_records(traces: Iterable[Trace]) -> list[dict[str, object]]:
    """One record per trace. Made before the transaction, so that a slow source never holds the database."""
    return [_make_record(trace) for trace in traces]


def add_records(connection: Connection, records: list[dict[str, object]]) -> int:
    """Add what is new by id and by (task, row_key); the number really added."""
    return insert_new(connection, TRACES, records)


def add_plainly(connection: sqlite3.Connection, records: list[dict[str, object]]) -> int:
    """`add_records` on SQLite's own connection."""
    return connection.executemany(INSERT, [_make_plain(record) for record in records]).rowcount


def read_traces(database: Database, task: str, origins: Collection[str] | None) -> Iterator[Trace]:
    """All traces of a task as they stand when the first is asked for, in insertion order, a page in memory at a time."""
    for _seq, trace in read_numbered(database, task, origins, 0):
        yield trace


def read_numbered(
    database: Database, task: str, origins: Collection[str] | None, after: int
) -> Iterator[tuple[int, Trace]]:
    """The same with their numbers, from the first after ``after`` on."""
    with database.reading() as connection:
        last = connection.scalar(select(func.max(TRACES.c.seq)).where(TRACES.c.task == task))
    seen = after
    while last is not None and seen < last:
        with database.reading() as connection:
            page = _read_page(connection, task, origins, seen, last)
        for seq, document in page:
            yield seq, _to_trace(document)
            seen = seq
        if len(page) < PAGE:
            return


def read_trace(connection: Connection, id: str) -> Trace | None:
    document = connection.scalar(select(TRACES.c.document).where(TRACES.c.id == id))
    return None if document is None else _to_trace(document)


def count_traces(connection: Connection, task: str, origins: Collection[str] | None = None) -> int:
    query = select(func.count()).where(TRACES.c.task == task)
    if origins is not None:
        query = query.where(TRACES.c.origin.in_(sorted(origins)))
    return connection.scalar(query) or 0


def count_passed(connection: Connection) -> dict[str, int]:
    query = select(TRACES.c.task, func.count()).where(TRACES.c.task.startswith("model:")).group_by(TRACES.c.task)
    return {str(task): int(count) for task, count in connection.execute(query.order_by(TRACES.c.task))}


def move_records(connection: Connection, records: Iterable[tuple[Trace, dict[str, object]]]) -> int:
    """Write each record over its trace, where that still stands as it was read; the number written."""
    moved = 0
    for before, record in records:
        document = connection.scalar(select(TRACES.c.document).where(TRACES.c.id == before.id).with_for_update())
        if document is not None and _to_trace(document) == before:
            connection.execute(update(TRACES).where(TRACES.c.id == before.id).values(record))
            moved += 1
    return moved


def find_row_keys(connection: Connection, task: str, keys: Iterable[str]) -> set[str]:
    """Those of ``keys`` that a trace of the task has."""
    wanted = {_index_key(key): key for key in keys if key}
    found: set[str] = set()
    for chunk in in_chunks(wanted):
        query = select(TRACES.c.row_key).where(TRACES.c.task == task, TRACES.c.row_key.in_(chunk))
        found.update(wanted[key] for key in connection.scalars(query))
    return found


def sum_costs(connection: Connection, since: str) -> dict[str, float]:
    """US dollars by key; nothing of keys whose calls had no price."""
    total = func.sum(TRACES.c.cost_usd)
    query = select(TRACES.c.key, total).where(TRACES.c.time >= since).group_by(TRACES.c.key)
    return {key: usd for key, usd in connection.execute(query) if usd is not None}


def add_feedback(connection: Connection, id: str, feedback: Mapping[str, Json]) -> None:
    """Merge ``feedback`` into the trace's own; a later value of the same key wins.

    Raises:
        StoreError: JM-813, no such trace.
    """
    document = connection.scalar(select(TRACES.c.document).where(TRACES.c.id == id).with_for_update())
    if document is None:
        raise StoreError("JM-813", "there is no such trace", got=id, hint="use the id that the reply carried")
    changed = cast(dict[str, Json], document)
    changed["feedback"] = {**cast(dict[str, Json], changed.get("feedback") or {}), **feedback}
    connection.execute(update(TRACES).where(TRACES.c.id == id).values(document=changed))


def add_verdicts(connection: Connection, changes: Mapping[str, Mapping[str, Json]]) -> None:
    """Merge verdicts into each trace's own, of those that are there; a later value of the same key wins."""
    for id, verdicts in changes.items():
        document = connection.scalar(select(TRACES.c.document).where(TRACES.c.id == id).with_for_update())
        if document is not None:
            changed = cast(dict[str, Json], document)
            changed["verdicts"] = {**cast(dict[str, Json], changed.get("verdicts") or {}), **verdicts}
            connection.execute(update(TRACES).where(TRACES.c.id == id).values(document=changed))


def set_judgements(
    connection: Connection, by: str, changes: Mapping[str, Mapping[str, Json] | None]
) -> dict[str, dict[str, Json] | None]:
    """Write one person's judgement of each trace, None takes it back; what stood there before, of those that are there."""
    before: dict[str, dict[str, Json] | None] = {}
    for id, judgement in changes.items():
        document = connection.scalar(select(TRACES.c.document).where(TRACES.c.id == id).with_for_update())
        if document is None:
            continue
        changed = cast(dict[str, Json], document)
        feedback = dict(cast(dict[str, Json], changed.get("feedback") or {}))
        people = dict(cast(dict[str, dict[str, Json]], feedback.pop(JUDGEMENTS, None) or {}))
        before[id] = people.pop(by, None)
        if judgement is not None:
            people[by] = dict(judgement)
        if people:
            feedback[JUDGEMENTS] = cast(Json, people)
        changed["feedback"] = feedback
        connection.execute(update(TRACES).where(TRACES.c.id == id).values(document=changed))
    return before


def _read_page(
    connection: Connection, task: str, origins: Collection[str] | None, after: int, last: int
) -> list[tuple[int, Json]]:
    query = select(TRACES.c.seq, TRACES.c.document).where(
        TRACES.c.task == task, TRACES.c.seq > after, TRACES.c.seq <= last
    )
    if origins is not None:
        query = query.where(TRACES.c.origin.in_(sorted(origins)))
    return [(seq, document) for seq, document in connection.execute(query.order_by(TRACES.c.seq).limit(PAGE))]


def _make_record(trace: Trace) -> dict[str, object]:
    return {
        "id": trace.id,
        "task": trace.task,
        "origin": trace.origin,
        "time": trace.time,
        "row_key": _index_key(trace.row_key) if trace.row_key else None,
        "release": trace.release,
        "model": trace.model,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "cost_usd": trace.cost_usd,
        "latency_ms": trace.latency_ms,
        "status": trace.status,
        "document": trace.to_json(),
        "key": str(trace.meta.get("key") or ""),
        "person": str(trace.meta.get("person") or ""),
    }


def _make_plain(record: dict[str, object]) -> dict[str, object]:
    plain = {name: escape(value) if isinstance(value, str) else value for name, value in record.items()}
    return plain | {"document": encode(record["document"])}


def _index_key(key: str) -> str:
    """A key that any index takes: a long one keeps its start and gets its SHA-256 (PostgreSQL's limit is 2,704 bytes)."""
    plain = escape(key)
    if len(plain) <= LONGEST_KEY:
        return plain
    return plain[:LONGEST_KEY] + "#" + hashlib.sha256(plain.encode()).hexdigest()


def _to_trace(document: Json) -> Trace:
    return Trace.from_json(cast(dict[str, Json], document))
