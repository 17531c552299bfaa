"""An open database: SQLite or PostgreSQL, and its two kinds of transaction.

SQLite runs in WAL mode. ``synchronous=NORMAL`` survives the death of the process at any moment, ``FULL`` also that of the
machine. A write starts with ``BEGIN IMMEDIATE``, so that it waits its turn instead of failing half way, and threads of one
process queue at a lock before they queue at the file.
This module knows nothing about tables.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from journeyman.core.errors import StoreError
from journeyman.core.files import disk_errors
from journeyman.store.failures import make_failure, store_errors

Durability = Literal["wal", "full"]
T = TypeVar("T")
CONNECT_TIMEOUT_S = 10
WRITING = "journeyman_writing"


@dataclass(frozen=True)
class Database:
    """An engine with its address as people may see it (no password). Safe to use from many threads."""

    engine: Engine
    where: str
    busy_timeout_s: float
    turn: threading.Lock | None = field(default_factory=threading.Lock)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Keep it short: a long one stops SQLite from shrinking its log."""
        with store_errors(self.where), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """All or nothing, durable once the block is left. Never enter it twice in one thread."""
        with store_errors(self.where), self._turn(), self._writer.begin() as connection:
            yield connection

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def write_plainly(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """`writing` on SQLite's own connection, which stays open, and without contexts: a fifth of the time, for what every call of the server writes."""
        self._take_turn()
        try:
            connection = self._plain.driver_connection
            assert isinstance(connection, sqlite3.Connection), "SQLite only"
            connection.execute("BEGIN IMMEDIATE")
            try:
                written = write(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except Exception:
            with store_errors(self.where):
                raise
        finally:
            self._end_turn()
        return written

    @cached_property
    def _plain(self) -> PoolProxiedConnection:
        return self.engine.raw_connection()

    @cached_property
    def _writer(self) -> Engine:
        return self.engine.execution_options(**{WRITING: True})

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._take_turn()
        try:
            yield
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        if self.turn is not None and not self.turn.acquire(timeout=self.busy_timeout_s):
            raise make_failure("JM-805", self.where, f"another thread wrote for {self.busy_timeout_s:g} s")

    def _end_turn(self) -> None:
        if self.turn is not None:
            self.turn.release()

    def close(self) -> None:
        if plain := self.__dict__.pop("_plain", None):
            plain.close()
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def open_database(url: str, durability: Durability, busy_timeout_s: float) -> Database:
    """Connect lazily; a SQLite file's folder is made.

    Raises:
        StoreError: JM-801, JM-802 (the folder), JM-818 (not a URL that we know).
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, durability, busy_timeout_s)
    return _open_postgres(parsed, durability, busy_timeout_s)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _url_error("(not shown: it may hold a password)") from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        return parsed
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise _url_error(parsed.render_as_string(hide_password=True))


def _url_error(got: str) -> StoreError:
    return StoreError(
        "JM-818",
        "this is not a store that Journeyman can open",
        expected="sqlite:///path/to/journeyman.db (a file) or postgresql://user@host/database",
        got=got,
        hint="set url in the [store] section of journeyman.toml, or leave it empty for SQLite",
    )


def _open_sqlite(url: URL, durability: Durability, busy_timeout_s: float) -> Database:
    path = _path(url.database or "")
    with disk_errors(path.parent):
        _make_folder(path.parent)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s}, pool_size=16, max_overflow=-1)
    synchronous = "FULL" if durability == "full" else "NORMAL"

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        _set_wal(connection, str(path))
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten, not only let go

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get(WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return Database(engine, str(path), busy_timeout_s)


def _path(database: str) -> Path:
    """The file behind a path, or behind SQLite's own ``file:`` address."""
    return Path(unquote(database.removeprefix("file:")) if database.startswith("file:") else database)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            "JM-802",
            "the database's folder cannot be made",
            where=str(folder),
            expected="a folder",
            got="a file of that name is in the way",
            hint="move the file away or choose another url for the store",
        ) from error


def _set_wal(connection: sqlite3.Connection, where: str) -> None:
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            "JM-810",
            "this file system cannot hold a write-ahead log",
            where=where,
            expected="journal mode wal",
            got=str(mode),
            hint="put the project on a local disk, or use PostgreSQL",
        )


def _open_postgres(url: URL, durability: Durability, busy_timeout_s: float) -> Database:
    options = [str(url.query.get("options", "")), f"-c lock_timeout={int(busy_timeout_s * 1000)}"]
    if durability == "full":
        options.append("-c synchronous_commit=on")
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, "options": " ".join(options).strip()}
    shown = url.render_as_string(hide_password=True)
    try:
        engine = create_engine(
            url.difference_update_query(["options"]), connect_args=arguments, pool_pre_ping=True, max_overflow=20
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "JM-823",
            "PostgreSQL needs a driver that is not installed",
            where=shown,
            got=f"no module {error.name}",
            hint='pip install "journeyman[postgres]"',
        ) from error
    return Database(engine, shown, busy_timeout_s, turn=None)
