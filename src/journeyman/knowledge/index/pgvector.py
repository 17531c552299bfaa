"""The vectors of an index in a table of PostgreSQL with pgvector: who writes the index brings it up to date, who reads asks it for candidates.

Filters stand inside the query. HNSW looks at some rows and filters them afterwards; its iterative scan goes on until enough are left, and where it gives up early the same question is asked without the index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from secrets import token_hex

import numpy as np
from sqlalchemy import Connection, text

from journeyman.core.errors import KnowledgeError
from journeyman.core.progress import Progress, Silent
from journeyman.knowledge.index.file import Index
from journeyman.knowledge.index.matrix import FETCHED, Floats, Ids, Matrix, read_blended
from journeyman.store.engine import Database

KEY = "pgvector"  # in the index's settings
EXTENSION = "vector"
LEAST_VERSION = (0, 8)  # the first whose scans go on
MOST_WIDTH = 1000  # of hnsw.ef_search
LEAST_WIDTH = 100
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Held:
    """The table of this index, which has all chunks up to ``known``."""

    table: str
    known: int


class Table:
    """Candidates from PostgreSQL."""

    def __init__(self, index: Index, database: Database) -> None:
        self._index, self._database = index, database
        self._held: Held | None = None

    def renew(self) -> int:
        """Raises: StoreError JM-816 the server is not reached."""
        self._held = _find_held(self._index)
        if self._held is None:
            return 0
        with self._database.reading() as connection:
            return self._held.known if _has_table(connection, self._held.table) else 0

    def find(self, vector: Floats, most: int, allowed: Sequence[int] | None = None) -> Ids:
        """Fewer than ``most`` only where the table has no more."""
        if self._held is None:
            return np.empty(0, np.int64)
        condition = "" if allowed is None else "WHERE document = ANY(CAST(:allowed AS bigint[]))"
        query = text(
            f"SELECT id FROM {self._held.table} {condition} ORDER BY vector <#> CAST(:vector AS halfvec) LIMIT :most"
        )
        values = {
            "vector": json.dumps(vector.tolist()),
            "most": most,
            "allowed": None if allowed is None else list(allowed),
        }
        width = str(min(MOST_WIDTH, max(LEAST_WIDTH, most)))
        with self._database.reading() as connection:
            _set(connection, {"hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": width})
            rows = connection.execute(query, values).scalars().all()
            if len(rows) < most:
                _set(connection, {"enable_indexscan": "off"})
                rows = connection.execute(query, values).scalars().all()
        return np.array(rows, np.int64)


def update_table(index: Index, database: Database, progress: Progress | None = None) -> int:
    """Bring the table up to date with the index; returns how many chunks were written.

    Raises:
        KnowledgeError: JM-945 the server has no pgvector, JM-946 one that is too old.
        StoreError: JM-816 the server is not reached, JM-801 its disk is full.
    """
    ids = np.sort(np.array([row[0] for row in index.rows("SELECT id FROM chunks")], np.int64))
    held = _find_held(index)
    with database.writing() as connection:
        _prepare(connection, database.where)
        if held and not _has_table(connection, held.table):
            held = None
    table, known = (held.table, held.known) if held else (f"journeyman_vectors_{token_hex(6)}", 0)
    new = ids[ids > known]
    bar = progress or Silent()
    bar.start("vectors to PostgreSQL", total=len(new), unit="chunks")
    with database.writing() as connection:
        if held:
            _drop_rows(connection, table, ids, known)
        for start in range(0, len(new), FETCHED):
            part = read_blended(index, new[start : start + FETCHED])
            if not held and not start:
                _make(connection, table, part.vectors.shape[1])
            _copy(connection, table, part)
            bar.advance(len(part))
        if not held and len(new):
            connection.execute(text(f"CREATE INDEX ON {table} (document)"))
            connection.execute(text(f"CREATE INDEX ON {table} USING hnsw (vector halfvec_ip_ops)"))
    bar.finish()
    if len(new):
        written = json.dumps(asdict(Held(table, int(new[-1]))))
        with index.writing() as file:
            file.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (KEY, written))
    return len(new)


def forget_table(index: Index, database: Database) -> None:
    """Drop the table of this index."""
    held = _find_held(index)
    if held is not None:
        with database.writing() as connection:
            connection.execute(text(f"DROP TABLE IF EXISTS {held.table}"))


def _find_held(index: Index) -> Held | None:
    written = index.setting(KEY)
    return Held(**json.loads(written)) if written else None


def _has_table(connection: Connection, table: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is not None


def _set(connection: Connection, values: dict[str, str]) -> None:
    """Until the end of the transaction."""
    for name, value in values.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})


def _prepare(connection: Connection, where: str) -> None:
    named = {"name": EXTENSION}
    offered = connection.execute(text("SELECT default_version FROM pg_available_extensions WHERE name = :name"), named)
    if offered.scalar() is None:
        raise KnowledgeError(
            "JM-945",
            "this PostgreSQL has no pgvector",
            where=where,
            hint='install its package (Debian: postgresql-NN-pgvector), or set vectors = "exact" under [knowledge] in journeyman.toml',
        )
    connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}"))
    found = str(connection.execute(text("SELECT extversion FROM pg_extension WHERE extname = :name"), named).scalar())
    if tuple(int(part) for part in found.split(".")[:2]) < LEAST_VERSION:
        raise KnowledgeError(
            "JM-946",
            "this pgvector would leave rows out under a filter",
            where=where,
            expected="0.8 or later, whose scans go on until enough rows are found",
            got=found,
            hint="upgrade the package, then ALTER EXTENSION vector UPDATE",
        )


def _make(connection: Connection, table: str, dimension: int) -> None:
    connection.execute(
        text(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, document bigint NOT NULL, vector halfvec({dimension}) NOT NULL)"
        )
    )


def _drop_rows(connection: Connection, table: str, ids: Ids, known: int) -> None:
    """Those that the index no longer has, and those that it never said to have."""
    stored = connection.execute(text(f"SELECT id FROM {table}")).scalars().all()
    gone = np.setdiff1d(np.array(stored, np.int64), ids[ids <= known])
    if len(gone):
        connection.execute(
            text(f"DELETE FROM {table} WHERE id = ANY(CAST(:gone AS bigint[]))"), {"gone": gone.tolist()}
        )


def _copy(connection: Connection, table: str, part: Matrix) -> None:
    """PostgreSQL's binary rows: a count of columns, then each with its length; a halfvec is its dimension, two zero bytes and its numbers."""
    n, d = part.vectors.shape
    rows = np.zeros(
        n,
        [
            *(("columns", ">i2"), ("id_bytes", ">i4"), ("id", ">i8"), ("document_bytes", ">i4"), ("document", ">i8")),
            *(("vector_bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", (d,))),
        ],
    )
    rows["columns"], rows["id_bytes"], rows["document_bytes"], rows["vector_bytes"] = 3, 8, 8, 4 + 2 * d
    rows["id"], rows["document"], rows["dimension"], rows["vector"] = part.ids, part.documents, d, part.vectors
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {table} (id, document, vector) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(COPY_HEAD + rows.tobytes() + COPY_END)
