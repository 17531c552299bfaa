"""The tables of an index file, and its connections.

| table      | holds                                                                                                 |
|------------|-------------------------------------------------------------------------------------------------------|
| meta       | edition, what embeds, what chunks                                                                     |
| documents  | name below a root, stamp and hash of the file, reader and version, text and layout, facts as JSON      |
| refused    | files that gave nothing, with the reason, so that they are not read again until they change           |
| chunks     | spans of documents with their text, headings and the key of their vector                              |
| words      | FTS5 over the text of chunks and what stands above it (title, headings, a table's header), by triggers  |
| vectors    | float16 by the hash of the embedded text: a text is embedded once, whichever chunk it is              |

WAL: several processes read while one writes; each document comes and goes in one transaction.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from journeyman.core.errors import KnowledgeError
from journeyman.core.files import disk_errors
from journeyman.store.failures import store_errors

EDITION = 1
APPLICATION = 0x4A4D4B31  # "JMK1"
BUSY_TIMEOUT_S = 30.0
TOKENIZE = "porter unicode61 remove_diacritics 2"

TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root TEXT NOT NULL, name TEXT NOT NULL,
    stamp TEXT NOT NULL, hash TEXT NOT NULL, reader TEXT NOT NULL,
    media TEXT NOT NULL, title TEXT NOT NULL, facts TEXT NOT NULL,
    text BLOB NOT NULL, layout BLOB NOT NULL, size_bytes INTEGER NOT NULL, added REAL NOT NULL,
    UNIQUE (root, name)
);
CREATE TABLE refused (
    root TEXT NOT NULL, name TEXT NOT NULL, stamp TEXT NOT NULL, reader TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (root, name)
) WITHOUT ROWID;
CREATE TABLE vectors (hash BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER NOT NULL,
    headings TEXT NOT NULL, above TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX chunks_of ON chunks (document, number);
CREATE VIRTUAL TABLE words USING fts5 (text, above, content='chunks', content_rowid='id', tokenize='{TOKENIZE}');
CREATE TRIGGER chunks_in AFTER INSERT ON chunks BEGIN
    INSERT INTO words (rowid, text, above) VALUES (new.id, new.text, new.above);
END;
CREATE TRIGGER chunks_out AFTER DELETE ON chunks BEGIN
    INSERT INTO words (words, rowid, text, above) VALUES ('delete', old.id, old.text, old.above);
END;
"""


def connect(path: Path, *, is_writer: bool) -> sqlite3.Connection:
    """A connection for one thread at a time; a writer makes the file where there is none.

    Raises:
        KnowledgeError: JM-950 no index there, JM-951 another kind of file, JM-952 a later edition.
        StoreError: JM-802 not to be opened, JM-804 damaged.
    """
    if not is_writer and not path.is_file():
        raise KnowledgeError(
            "JM-950", "there is no index yet", where=str(path), hint="journeyman knowledge add FILE... makes one"
        )
    if is_writer:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    with store_errors(str(path)):
        connection = _open(path, is_writer=is_writer)
        try:
            _check(connection, path, is_writer=is_writer)
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path, *, is_writer: bool) -> sqlite3.Connection:
    connection = _connect(path, "mode=rwc" if is_writer else "mode=ro")
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        connection.close()
        is_shut = isinstance(error, sqlite3.OperationalError)
        if is_writer or not is_shut or path.with_name(f"{path.name}-wal").exists():
            raise
        # A folder that cannot be written has no place for the files by which readers and writers see each other: nobody writes there either.
        connection = _connect(path, "mode=ro&immutable=1")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA mmap_size = 1073741824")
    if is_writer:
        connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _check(connection: sqlite3.Connection, path: Path, *, is_writer: bool) -> None:
    application, edition = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if application == 0 and edition == 0 and is_writer and not _tables(connection):
        _make(connection)
        return
    if application != APPLICATION:
        raise KnowledgeError("JM-951", "this file is no index of ours", where=str(path), hint="choose another path")
    if edition > EDITION:
        raise KnowledgeError(
            "JM-952",
            "this index is of a later edition",
            where=str(path),
            expected=f"edition {EDITION} or earlier",
            got=f"edition {edition}",
            hint="upgrade journeyman: pip install -U journeyman",
        )


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _tables(connection):  # another process may have been first
            for statement in _statements(TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {EDITION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _statements(script: str) -> list[str]:
    found, part = [], ""
    for piece in script.split(";"):
        part += piece + ";"
        if sqlite3.complete_statement(part) and part.strip(" \n;"):
            found.append(part)
            part = ""
    return found


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
