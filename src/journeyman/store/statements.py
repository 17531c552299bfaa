"""The few statements that SQLite and PostgreSQL write differently, and long lists of parameters in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice

from sqlalchemy import Connection, Executable, Table, text
from sqlalchemy.dialects import postgresql, sqlite

CHUNK = 500


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert what no unique constraint forbids; the number of rows really added."""
    if not rows:
        return 0
    values = [dict(row) for row in rows]
    if connection.dialect.name == "sqlite":
        return connection.execute(_insert_sqlite(table), values).rowcount
    return len(connection.execute(_insert_postgres(table), values).all())


@cache
def _insert_sqlite(table: Table) -> Executable:
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def _insert_postgres(table: Table) -> Executable:
    """psycopg does not count the rows of many statements together, so they report themselves."""
    return postgresql.insert(table).on_conflict_do_nothing().returning(*table.primary_key.columns)


def lock(connection: Connection, name: str) -> None:
    """Be the only writer of ``name`` until the transaction ends. SQLite has one writer anyhow."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def in_chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Lists of at most ``CHUNK`` values: databases limit the parameters of a statement."""
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
