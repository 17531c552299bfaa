"""Finding and deleting recorded calls and rows. Each call deletes one chunk in one transaction, so that whoever was stopped begins again and finds the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from sqlalchemy import ColumnElement, Connection, delete, func, select

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace
from journeyman.store.engine import Database
from journeyman.store.ledger import add_tombstones
from journeyman.store.statements import CHUNK
from journeyman.store.tables import EXAMPLES, TRACES

GIVEN = ("import", "synthesize")
"""Origins of what a user brought: not recorded, and so never too old."""


def find_calls(database: Database, *, key: str = "", person: str = "", id: str = "") -> Iterator[Trace]:
    """Of a key, of a person (by hash) or with an id, of all tasks, in insertion order, a page in memory at a time."""
    wanted: ColumnElement[bool] = TRACES.c.id == id
    if key:
        wanted = TRACES.c.key == key
    elif person:
        wanted = (TRACES.c.person != "") & TRACES.c.person.contains(person, autoescape=True)
    seen = 0
    while True:
        query = select(TRACES.c.seq, TRACES.c.document).where(wanted, TRACES.c.seq > seen)
        with database.reading() as connection:
            page = connection.execute(query.order_by(TRACES.c.seq).limit(CHUNK)).all()
        for seq, document in page:
            yield Trace.from_json(cast(dict[str, Json], document))
            seen = seq
        if len(page) < CHUNK:
            return


def delete_calls(connection: Connection, ids: Sequence[str]) -> int:
    return connection.execute(delete(TRACES).where(TRACES.c.id.in_(ids))).rowcount


def count_old(connection: Connection, task: str, before: str) -> int:
    return connection.scalar(select(func.count()).where(*_is_old(task, before))) or 0


def delete_old(database: Database, task: str, before: str) -> Iterator[int]:
    """Delete recorded calls of a task from before a time; after each chunk how many it had."""
    while True:
        with database.reading() as connection:
            chosen = list(connection.scalars(select(TRACES.c.seq).where(*_is_old(task, before)).limit(CHUNK)))
        if not chosen:
            return
        with database.writing() as connection:
            gone = connection.execute(delete(TRACES).where(TRACES.c.seq.in_(chosen))).rowcount
        yield gone


def erase_rows(connection: Connection, task: str, hashes: Sequence[str], reason: str, time: str) -> int:
    """Tombstones instead of rows; the number newly marked."""
    marked = add_tombstones(connection, task, hashes, reason, time)
    connection.execute(delete(EXAMPLES).where(EXAMPLES.c.hash.in_(hashes), EXAMPLES.c.task == task))
    return marked


def _is_old(task: str, before: str) -> tuple[ColumnElement[bool], ...]:
    return TRACES.c.task == task, TRACES.c.origin.not_in(GIVEN), TRACES.c.time < before
