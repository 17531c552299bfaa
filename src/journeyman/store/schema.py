"""Brings a database to the schema of this version, in one transaction, whoever else opens it at the same moment."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from journeyman.core.errors import StoreError
from journeyman.store.engine import Database
from journeyman.store.statements import lock
from journeyman.store.tables import METADATA, VERSION_TABLE

HEAD = "0005"
FOLDER = Path(__file__).parent / "migrations"


def bring_to_head(database: Database) -> None:
    """A fresh database gets all tables, an older one the missing revisions, a current one is left alone.

    Raises:
        StoreError: JM-803 (a later Journeyman made it), JM-811 (tables of something else), or a failure of the database.
    """
    if _first_revision(database) == HEAD:
        return
    with database.writing() as connection:
        lock(connection, VERSION_TABLE)
        revision = read_revision(connection)
        if revision == HEAD:
            return
        if not revision:
            _check_free(connection, database.where)
        _migrate(connection, revision, database.where)


def read_revision(connection: Connection) -> str:
    """The revision that the database is at; empty for a fresh one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or "")


def _first_revision(database: Database) -> str:
    """SQLite does not wait while another process switches a new file to WAL, so the first connection waits here."""
    give_up = time.monotonic() + database.busy_timeout_s
    while True:
        try:
            with database.reading() as connection:
                return read_revision(connection)
        except StoreError as error:
            if error.code != "JM-805" or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _check_free(connection: Connection, where: str) -> None:
    taken = sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables))
    if taken:
        raise StoreError(
            "JM-811",
            "this database holds tables of something else",
            where=where,
            expected="an empty database, or one that Journeyman made",
            got=", ".join(taken),
            hint="give Journeyman a database of its own",
        )


def _migrate(connection: Connection, revision: str, where: str) -> None:
    # Loaded here: opening a current database, which is nearly always, need not pay for it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision and revision not in known:
        raise StoreError(
            "JM-803",
            "this database was made by a later Journeyman",
            where=where,
            expected=f"schema {HEAD} or earlier",
            got=f"schema {revision}",
            hint="pip install -U journeyman, or use another store",
        )
    command.upgrade(config, "head")
