from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from journeyman.core.errors import StoreError
from journeyman.store.database import open_store
from journeyman.store.engine import sqlite_url
from journeyman.store.ledger import Look
from journeyman.store.schema import FOLDER, HEAD
from journeyman.store.tables import METADATA, VERSION_TABLE
from tests.store.schemas import at_revision

OPEN_AND_ADD_RUN = """
import sys
from journeyman.store.database import open_store
sys.stdin.readline()
with open_store(sys.argv[1]) as store:
    store.add_run(sys.argv[2], "tickets", "t", {})
"""


def test_the_head_is_the_last_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_fresh_database_gets_exactly_the_tables_of_this_version(url: str) -> None:
    open_store(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == HEAD
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_reopening_keeps_everything(url: str) -> None:
    with open_store(url) as store:
        store.add_run("run-1", "tickets", "t", {})
    with open_store(url, durability="full") as store:
        assert store.run("run-1") is not None


def test_a_later_schema_is_refused(url: str) -> None:
    open_store(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.code == "JM-803"
    assert caught.value.expected == f"schema {HEAD} or earlier"
    assert caught.value.got == "schema 9999"
    assert "pip install -U journeyman" in caught.value.hint


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE jobs (title TEXT)")
    shop.close()
    with pytest.raises(StoreError, match=r"JM-811 .*this database holds tables of something else") as caught:
        open_store(sqlite_url(path))
    assert caught.value.got == "jobs"


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "journeyman.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (name TEXT)")
        database.execute("CREATE INDEX jobs_status ON other (name)")
    database.close()
    with pytest.raises(Exception, match="jobs_status already exists"):
        open_store(sqlite_url(path))
    with sqlite3.connect(path) as database:
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert names == {"other"}


def test_looks_of_the_first_schema_come_along(url: str) -> None:
    with at_revision(url, "0001") as connection:
        columns = "task, number, dataset, release, time, level, verdict"
        connection.execute(text(f"INSERT INTO looks ({columns}) VALUES ('tickets', 1, 'd', 'r', 't', 0.02, NULL)"))
    with open_store(url) as store:
        assert store.looks("tickets") == [Look(1, 0.02, "d", "r", None, "t")]
        assert store.begin_look("tickets", "d", "r", "later", "rule").number == 1
        assert store.begin_look("tickets", "d", "r", "later", "another").number == 2


def test_processes_that_open_a_fresh_database_at_once(url: str) -> None:
    opening = [sys.executable, "-c", OPEN_AND_ADD_RUN, url]
    children = [
        subprocess.Popen([*opening, f"run-{number}"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    with open_store(url) as store:
        assert {run.id for run in store.runs("tickets")} == {f"run-{number}" for number in range(3)}


def test_a_current_database_opens_without_loading_the_migrations(sqlite_file: Path) -> None:
    url = sqlite_url(sqlite_file)
    open_store(url).close()
    script = "import sys; from journeyman.store.database import open_store; open_store(sys.argv[1]).close(); print('alembic' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script, url], text=True).strip() == "False"
