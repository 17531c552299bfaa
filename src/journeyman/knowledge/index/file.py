"""An index file, opened: what it holds of each document, and the one way to write.

A document with its chunks and vectors comes in one transaction and leaves in one; whoever is killed between two loses nothing that was
acknowledged. Any number of processes read; writers wait for each other.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document, Fact, Link
from journeyman.knowledge.index.packing import pack_layout, pack_text, unpack_layout, unpack_links, unpack_text
from journeyman.knowledge.index.schema import connect
from journeyman.store.failures import store_errors

Floats = npt.NDArray[np.float32]
ASKED = 500  # names in one statement
TOGETHER = 50  # layouts that are held at once


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document came from: ``name`` below ``root``, the ``stamp`` of its file, the ``hash`` of its bytes, the ``reader`` with its version."""

    root: str
    name: str
    stamp: str
    hash: str
    reader: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Shelved:
    """A document in the index, without its text."""

    id: int
    origin: Origin
    media: str
    title: str
    facts: Mapping[str, Fact]
    chunks: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that gave nothing, and why."""

    root: str
    name: str
    stamp: str
    reader: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk with its number in the index, its text and the hash under which its vector stands."""

    id: int
    document: int
    number: int
    start: int
    end: int
    page: int
    headings: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a chunk stands: its document's ``name``, the ``above`` that was embedded with it."""

    name: str
    above: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A chunk to be written with what stands above it; ``embedded`` is the hash of both, under which their vector is kept."""

    chunk: Chunk
    above: str
    text: str
    embedded: bytes


class Lacking(Exception):
    """Vectors that a document needs are not here: they were when they were asked for, and another process has dropped them since. Nothing was written."""

    def __init__(self, hashes: set[bytes]) -> None:
        self.hashes = hashes
        super().__init__(f"{len(hashes)} vectors")


class Index:
    """Open it by `open_index`; use it from one thread at a time, or let the lock queue them."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, is_writer: bool) -> None:
        self.path, self.is_writer = path, is_writer
        self.where = str(path)
        self._connection = connection
        self._lock = threading.RLock()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # what was settled when the index was made

    def setting(self, key: str) -> str:
        rows = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def settle(self, key: str, value: str) -> None:
        """Raises: KnowledgeError JM-953 when the index was made with another value: its vectors and chunks would not fit."""
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        self.expect(key, value)

    def expect(self, key: str, value: str) -> None:
        """Raises: KnowledgeError JM-953 when another value was settled."""
        if (found := self.setting(key)) and found != value:
            raise KnowledgeError(
                "JM-953",
                f"this index was made with another {key}",
                where=self.where,
                expected=found,
                got=value,
                hint="journeyman knowledge add --anew builds it again",
            )

    # documents

    def documents(self, root: str | None = None) -> list[Shelved]:
        """All, or those below one root, by name."""
        where, values = ("WHERE root = ?", (root,)) if root is not None else ("", ())
        return [
            Shelved(row[0], Origin(*row[1:7]), row[7], row[8], _facts(row[9]), row[10])
            for row in self.rows(
                f"""SELECT id, root, name, stamp, hash, reader, size_bytes, media, title, facts,
                (SELECT count(*) FROM chunks WHERE document = documents.id) FROM documents {where} ORDER BY name, root""",
                values,
            )
        ]

    def refusals(self, root: str | None = None) -> list[Refusal]:
        where, values = ("WHERE root = ?", (root,)) if root is not None else ("", ())
        return [
            Refusal(*row)
            for row in self.rows(
                f"SELECT root, name, stamp, reader, code, reason FROM refused {where} ORDER BY name", values
            )
        ]

    def document(self, id: int) -> Document:
        """Raises: KnowledgeError JM-954 when it has left the index."""
        rows = self.rows("SELECT name, media, text, title, facts, layout FROM documents WHERE id = ?", (id,))
        if not rows:
            raise KnowledgeError("JM-954", "this document has left the index", where=self.where, got=str(id))
        name, media, text, title, facts, layout = rows[0]
        return Document(name, media, unpack_text(text), title=title, facts=_facts(facts), **unpack_layout(layout))

    def links(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, tuple[Link, ...]]]:
        """Documents, all or these, by number, each with what it points to; those that have left the index, and those without, are left out."""
        wanted = [row[0] for row in self.rows("SELECT id FROM documents ORDER BY id")] if ids is None else list(ids)
        for start in range(0, len(wanted), TOGETHER):
            part = wanted[start : start + TOGETHER]
            marks = ",".join("?" * len(part))
            for id, layout in self.rows(f"SELECT id, layout FROM documents WHERE id IN ({marks}) ORDER BY id", part):
                if links := unpack_links(layout):
                    yield id, links

    def put(self, origin: Origin, document: Document, chunks: Sequence[Ready], vectors: Mapping[bytes, Floats]) -> int:
        """One document, in place of the one that had its name; ``vectors`` has those that the index lacks. Returns its id.

        Raises:
            Lacking: some are neither there nor here.
        """
        with self.writing() as connection:
            _leave(connection, origin.root, origin.name)
            connection.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                ((key, vector.astype("<f2").tobytes()) for key, vector in vectors.items()),
            )
            if lacking := self.missing(item.embedded for item in chunks):
                raise Lacking(lacking)
            cursor = connection.execute(
                """INSERT INTO documents (root, name, stamp, hash, reader, size_bytes, media, title, facts, text, layout, added)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(origin.root, origin.name, origin.stamp, origin.hash, origin.reader, origin.size_bytes),
                    *(document.media, document.title, json.dumps(document.facts, ensure_ascii=False, default=list)),
                    *(pack_text(document.text), pack_layout(document), time.time()),
                ),
            )
            id = int(cursor.lastrowid or 0)
            connection.executemany(
                'INSERT INTO chunks (document, number, start, "end", page, headings, above, text, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
                (
                    (
                        *(id, number, item.chunk.start, item.chunk.end, document.page_of(item.chunk.start)),
                        *(json.dumps(item.chunk.headings, ensure_ascii=False), item.above, item.text, item.embedded),
                    )
                    for number, item in enumerate(chunks)
                ),
            )
        return id

    def restamp(self, id: int, stamp: str) -> None:
        """The file was touched and says the same."""
        with self.writing() as connection:
            connection.execute("UPDATE documents SET stamp = ? WHERE id = ?", (stamp, id))

    def refuse(self, refusal: Refusal) -> None:
        """What an earlier version of the file said leaves with it."""
        with self.writing() as connection:
            _leave(connection, refusal.root, refusal.name)
            connection.execute(
                "INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)",
                (refusal.root, refusal.name, refusal.stamp, refusal.reader, refusal.code, refusal.reason),
            )

    def remove(self, root: str, names: Iterable[str]) -> int:
        """Documents and refusals of these names. Returns how many documents left."""
        with self.writing() as connection:
            return sum(_leave(connection, root, name) for name in names)

    def compact(self) -> int:
        """Drop vectors that no chunk names and give free pages back. Returns how many vectors left."""
        with self.writing() as connection:
            gone = connection.execute("DELETE FROM vectors WHERE hash NOT IN (SELECT vector FROM chunks)").rowcount
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
        with self._lock, store_errors(self.where):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)

    # chunks and vectors

    def missing(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Which of these texts were never embedded here."""
        wanted = list(dict.fromkeys(hashes))
        found: set[bytes] = set()
        for start in range(0, len(wanted), ASKED):
            part = wanted[start : start + ASKED]
            marks = ",".join("?" * len(part))
            found.update(row[0] for row in self.rows(f"SELECT hash FROM vectors WHERE hash IN ({marks})", part))
        return set(wanted) - found

    def pieces(self, ids: Sequence[int]) -> list[Piece]:
        """In the order of ``ids``; those that have left the index are left out."""
        found: dict[int, Piece] = {}
        for start in range(0, len(ids), ASKED):
            part = list(ids[start : start + ASKED])
            marks = ",".join("?" * len(part))
            for row in self.rows(
                f'SELECT id, document, number, start, "end", page, headings, text FROM chunks WHERE id IN ({marks})',
                part,
            ):
                found[row[0]] = _piece(row)
        return [found[id] for id in ids if id in found]

    def standing(self, ids: Sequence[int]) -> dict[int, Standing]:
        """By the number of the chunk; those that have left the index are left out."""
        found: dict[int, Standing] = {}
        for start in range(0, len(ids), ASKED):
            part = list(ids[start : start + ASKED])
            marks = ",".join("?" * len(part))
            for id, name, above in self.rows(
                f"SELECT chunks.id, name, above FROM chunks JOIN documents ON documents.id = document WHERE chunks.id IN ({marks})",
                part,
            ):
                found[id] = Standing(name, above)
        return found

    def neighbours(self, document: int, first: int, last: int) -> list[Piece]:
        """The chunks ``first`` to ``last`` of a document, by their numbers."""
        return [
            _piece(row)
            for row in self.rows(
                'SELECT id, document, number, start, "end", page, headings, text FROM chunks '
                "WHERE document = ? AND number BETWEEN ? AND ? ORDER BY number",
                (document, first, last),
            )
        ]

    def overlapping(self, document: int, start: int, end: int) -> list[Piece]:
        """The chunks of a document that have some of ``text[start:end]``, in its order."""
        return [
            _piece(row)
            for row in self.rows(
                'SELECT id, document, number, start, "end", page, headings, text FROM chunks '
                'WHERE document = ? AND start < ? AND "end" > ? ORDER BY number',
                (document, end, start),
            )
        ]

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, store_errors(self.where):
            return self._connection.execute(statement, values).fetchall()

    def version(self) -> int:
        """Another number whenever another connection has written."""
        return int(self.rows("PRAGMA data_version")[0][0])

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        with self._lock, store_errors(self.where):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def open_index(path: Path, *, is_writer: bool = False) -> Index:
    """Raises: as `connect`."""
    return Index(path, connect(path, is_writer=is_writer), is_writer=is_writer)


def _leave(connection: sqlite3.Connection, root: str, name: str) -> int:
    connection.execute("DELETE FROM refused WHERE root = ? AND name = ?", (root, name))
    return connection.execute("DELETE FROM documents WHERE root = ? AND name = ?", (root, name)).rowcount


def _piece(row: tuple[Any, ...]) -> Piece:
    id, document, number, start, end, page, headings, text = row
    return Piece(id, document, number, start, end, page, tuple(json.loads(headings)), text)


def _facts(text: str) -> dict[str, Fact]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()}
