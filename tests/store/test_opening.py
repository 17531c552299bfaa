from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest

from journeyman.core.errors import StoreError
from journeyman.store.database import open_store
from journeyman.store.engine import open_database, sqlite_url


@pytest.mark.parametrize(("durability", "synchronous"), [("wal", 1), ("full", 2)])
def test_sqlite_runs_with_a_write_ahead_log_and_foreign_keys(
    sqlite_file: Path, durability: str, synchronous: int
) -> None:
    database = open_database(sqlite_url(sqlite_file), durability, 1.5)  # type: ignore[arg-type]
    with database.reading() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    assert values == {"journal_mode": "wal", "synchronous": synchronous, "foreign_keys": 1, "busy_timeout": 1500}


def test_full_durability_on_postgres_waits_for_the_disk(postgres_schema: str) -> None:
    database = open_database(postgres_schema, "full", 1.5)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1500ms"
        assert str(connection.exec_driver_sql("SHOW search_path").scalar()).startswith("jm_")
    database.close()


@pytest.mark.parametrize("name", ["plain", "a b", "100%", "50%25", "why?x=1", "a#b", "ünï", "a;b&c"])
def test_any_path_makes_a_url(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "deep" / "journeyman.db"
    with open_store(sqlite_url(path)) as store:
        assert store.where == str(path)
    assert path.is_file()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://me:secret@host/db", "just words, secret", "", "postgresql+x://h/d"],
)
def test_a_url_that_is_no_store(url: str) -> None:
    with pytest.raises(StoreError, match="JM-818 this is not a store that Journeyman can open") as caught:
        open_store(url)
    assert "sqlite:///path/to/journeyman.db" in caught.value.expected
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StoreError, match=r"JM-816 .*the database server cannot be reached") as caught:
        open_store(f"postgresql://me:hunter2@127.0.0.1:{port}/journeyman")
    assert caught.value.retryable
    assert caught.value.where == f"postgresql+psycopg://me:***@127.0.0.1:{port}/journeyman"
    assert "hunter2" not in str(caught.value)


def test_a_database_that_the_server_lacks(postgres_url: str) -> None:
    url = postgres_url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(StoreError, match="JM-816") as caught:
        open_store(url)
    assert 'database "no_such_database" does not exist' in caught.value.got


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "project").write_text("not a folder")
    with pytest.raises(StoreError, match=r"JM-802 .*the database's folder cannot be made"):
        open_store(sqlite_url(tmp_path / "project" / ".journeyman" / "journeyman.db"))
    with pytest.raises(StoreError, match="JM-802"):
        open_store(sqlite_url(tmp_path / "project" / "journeyman.db"))


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"JM-802 .*the database cannot be opened for writing") as caught:
        open_store(sqlite_url(tmp_path))
    assert caught.value.got == "unable to open database file"


def test_closing_leaves_one_file(sqlite_file: Path) -> None:
    with open_store(sqlite_url(sqlite_file)) as store:
        store.add_run("run-1", "tickets", "t", {})
    assert [path.name for path in sqlite_file.parent.iterdir()] == ["journeyman.db"]
    with sqlite3.connect(sqlite_file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
