"""Full, read-only, locked and damaged disks, each for real."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journeyman.core.errors import StoreError
from journeyman.core.trace import Trace
from journeyman.store.blobs import write_blob
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url

Make = Callable[..., Trace]

WRITE_UNTIL_IT_FAILS = """
import resource, sys
from journeyman.core.errors import StoreError
from journeyman.core.trace import Trace
from journeyman.store.database import open_store

store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (440_000, 440_000))
for number in range(10_000):
    try:
        store.add_traces([Trace(f"t{number}", "tickets", "t", "serve", {"message": "x" * 2000}, (), None)])
    except StoreError as error:
        print(error.code)
        break
    print(number, flush=True)
"""


def _mount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or not shutil.which("mount") or sys.platform != "linux":
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount(folder, "size=1m")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def make_read_only() -> Iterator[Callable[[Path], None]]:
    """Takes away the right to write, from root as well."""
    locked: list[Path] = []
    is_root = os.geteuid() == 0

    def forbid(path: Path) -> None:
        if not is_root:
            path.chmod(0o555 if path.is_dir() else 0o444)
        elif subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
            pytest.skip("root can write anywhere here: this file system has no immutable flag")
        locked.append(path)

    if is_root and not shutil.which("chattr"):
        pytest.skip("root can write anywhere here: there is no chattr")
    yield forbid
    for path in locked:
        if is_root:
            subprocess.run(["chattr", "-i", path], check=True)
        else:
            path.chmod(0o755)


def _fill(store: Store, make_trace: Make) -> tuple[list[str], StoreError]:
    acknowledged: list[str] = []
    while len(acknowledged) < 5000:
        id = f"t{len(acknowledged)}"
        try:
            store.add_traces([make_trace(id, meta={"text": "x" * 5000})])
        except StoreError as error:
            return acknowledged, error
        acknowledged.append(id)
    pytest.fail("the disk never filled")


def test_a_full_disk_loses_nothing(small_disk: Path, make_trace: Make) -> None:
    url = sqlite_url(small_disk / "journeyman.db")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    with open_store(url) as store:
        acknowledged, error = _fill(store, make_trace)
        assert error.code == "JM-801"
        assert "the disk is full" in str(error)
        assert "free some space" in error.hint
        assert error.where == str(small_disk / "journeyman.db")
        assert [trace.id for trace in store.traces("tickets")] == acknowledged
        ballast.unlink()
        assert store.add_traces([make_trace("after")]) == 1
    with open_store(url) as store:
        assert [trace.id for trace in store.traces("tickets")] == [*acknowledged, "after"]


def test_a_database_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(b"x" * (2 << 20))
    with pytest.raises(StoreError, match="JM-801"):
        open_store(sqlite_url(small_disk / "journeyman.db"))
    with pytest.raises(StoreError, match=r"JM-801 .*the disk is full"):
        write_blob(small_disk / "blobs", b"x" * 10_000)


def test_a_file_size_limit_loses_nothing(sqlite_file: Path, make_trace: Make) -> None:
    url = sqlite_url(sqlite_file)
    output = subprocess.check_output([sys.executable, "-c", WRITE_UNTIL_IT_FAILS, url], text=True).split()
    assert output[-1] in ("JM-801", "JM-817")
    assert len(output) > 10
    with open_store(url) as store:
        assert [trace.id for trace in store.traces("tickets")] == [f"t{number}" for number in output[:-1]]


def test_a_read_only_folder(tmp_path: Path, make_read_only: Callable[[Path], None]) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    make_read_only(folder)
    with pytest.raises(StoreError, match="JM-802") as caught:
        open_store(sqlite_url(folder / "journeyman.db"))
    assert caught.value.where == str(folder / "journeyman.db")
    assert "permissions" in caught.value.hint
    with pytest.raises(StoreError, match=r"JM-802 .*this folder cannot be written"):
        open_store(sqlite_url(folder / ".journeyman" / "journeyman.db"))
    with pytest.raises(StoreError, match="JM-802"):
        write_blob(folder, b"data")


def test_a_read_only_file(sqlite_file: Path, make_trace: Make, make_read_only: Callable[[Path], None]) -> None:
    url = sqlite_url(sqlite_file)
    with open_store(url) as store:
        store.add_traces([make_trace("t")])
    make_read_only(sqlite_file)
    with pytest.raises(StoreError, match=r"JM-802 .*cannot be opened for writing"), open_store(url) as store:
        store.add_traces([make_trace("u")])


def test_a_database_opened_for_reading_refuses_to_write(sqlite_file: Path, make_trace: Make) -> None:
    with open_store(sqlite_url(sqlite_file)) as store:
        store.add_traces([make_trace("t")])
    with open_store(f"sqlite:///file:{sqlite_file}?mode=ro&uri=true") as store:
        assert store.count_traces("tickets") == 1
        with pytest.raises(StoreError, match="JM-802") as caught:
            store.add_traces([make_trace("u")])
        assert caught.value.got == "attempt to write a readonly database"


def test_a_lock_that_another_process_holds(sqlite_file: Path, make_trace: Make) -> None:
    url = sqlite_url(sqlite_file)
    with open_store(url, busy_timeout_s=0.2) as store:
        store.add_traces([make_trace("t")])
        other = sqlite3.connect(sqlite_file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"JM-805 .*locked for too long") as caught:
            store.add_traces([make_trace("u")])
        assert caught.value.retryable
        assert store.count_traces("tickets") == 1
        other.execute("ROLLBACK")
        other.close()
        assert store.add_traces([make_trace("u")]) == 1


def test_a_lock_that_another_connection_to_postgres_holds(postgres_schema: str, make_trace: Make) -> None:
    with open_store(postgres_schema, busy_timeout_s=0.2) as store, open_store(postgres_schema) as other:
        with other._database.writing() as connection:
            connection.exec_driver_sql("LOCK TABLE traces IN EXCLUSIVE MODE")
            with pytest.raises(StoreError, match="JM-805") as caught:
                store.add_traces([make_trace("t")])
        assert caught.value.retryable
        assert "lock timeout" in caught.value.got
        assert store.add_traces([make_trace("t")]) == 1


def test_a_thread_that_waits_too_long_for_another(sqlite_file: Path, make_trace: Make) -> None:
    with open_store(sqlite_url(sqlite_file), busy_timeout_s=0.2) as store:
        caught: list[StoreError] = []

        def write() -> None:
            try:
                store.add_traces([make_trace("t")])
            except StoreError as error:
                caught.append(error)

        with store._database.writing():
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        assert [error.code for error in caught] == ["JM-805"]
        assert caught[0].got == "another thread wrote for 0.2 s"
        assert store.add_traces([make_trace("t")]) == 1


def test_a_file_that_is_no_database(sqlite_file: Path) -> None:
    sqlite_file.parent.mkdir()
    sqlite_file.write_bytes(b"this is a letter, not a database\n" * 100)
    with pytest.raises(StoreError, match=r"JM-804 .*the database file is damaged") as caught:
        open_store(sqlite_url(sqlite_file))
    assert caught.value.got == "file is not a database"
    assert caught.value.where == str(sqlite_file)


def test_a_file_that_was_overwritten_in_the_middle(sqlite_file: Path, make_trace: Make) -> None:
    url = sqlite_url(sqlite_file)
    with open_store(url) as store:
        store.add_traces(make_trace(f"t{number}", meta={"text": "x" * 3000}) for number in range(200))
    size = sqlite_file.stat().st_size
    with sqlite_file.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    with pytest.raises(StoreError, match="JM-804") as caught, open_store(url) as store:
        list(store.traces("tickets"))
    assert "where is my card" not in str(caught.value)


def test_a_document_that_was_overwritten(sqlite_file: Path, make_trace: Make) -> None:
    url = sqlite_url(sqlite_file)
    with open_store(url) as store:
        store.add_traces([make_trace("t")])
        with sqlite3.connect(sqlite_file) as database:
            database.execute("UPDATE traces SET document = '{\"id\": '")
        database.close()
        with pytest.raises(StoreError, match="JM-804 the database holds a damaged document"):
            store.trace("t")


def test_an_empty_file_is_a_fresh_database(sqlite_file: Path) -> None:
    sqlite_file.parent.mkdir()
    sqlite_file.touch()
    with open_store(sqlite_url(sqlite_file)) as store:
        assert store.jobs() == []
