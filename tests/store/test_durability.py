"""A child process writes and is killed, or two of them write at once; what was acknowledged is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
from sqlalchemy import create_engine

from journeyman.core.trace import Trace
from journeyman.store.database import Store, open_store

WRITE = """
import sys
from journeyman.core.trace import Trace
from journeyman.store.database import open_store

url, durability, name, count, batch = sys.argv[1:4] + [int(value) for value in sys.argv[4:6]]
store = open_store(url, durability=durability)
sys.stdin.readline()
for start in range(0, count, batch):
    traces = [
        Trace(f"{name}-{n}", "tickets", "t", "serve", {"message": "x" * 500}, (), None, row_key=f"row-{n}" if batch > 1 else "")
        for n in range(start, start + batch)
    ]
    added = store.add_traces(traces)
    for trace in traces:
        print(trace.id, added, flush=True)
"""


def start(url: str, durability: str, name: str, count: int, batch: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE, url, durability, name, str(count), str(batch)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return child


@pytest.mark.parametrize(("durability", "acknowledged"), [("wal", 57), ("full", 23)])
def test_what_was_acknowledged_survives_a_kill(url: str, durability: str, acknowledged: int) -> None:
    child = start(url, durability, "t", 1_000_000, 1)
    assert child.stdout is not None
    lines = list(islice(child.stdout, acknowledged))
    child.send_signal(signal.SIGKILL)
    lines += list(child.stdout)
    assert child.wait(30) == -signal.SIGKILL
    printed = [line.split()[0] for line in lines if line.endswith("\n")]
    assert len(printed) >= acknowledged
    with open_store(url) as store:
        stored = [trace.id for trace in store.traces("tickets")]
        assert stored[: len(printed)] == printed
        assert len(stored) - len(printed) <= 1
        assert store.add_traces([Trace("after", "tickets", "t", "serve", {}, (), None)]) == 1
    if url.startswith("sqlite"):
        _check_integrity(url)


def _check_integrity(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    engine.dispose()


def test_a_batch_is_stored_whole_or_not_at_all(url: str) -> None:
    child = start(url, "wal", "t", 1_000_000, 50)
    assert child.stdout is not None
    lines = list(islice(child.stdout, 60))
    child.kill()
    child.communicate(timeout=30)
    assert len(lines) == 60
    with open_store(url) as store:
        assert store.count_traces("tickets") >= 60
        assert store.count_traces("tickets") % 50 == 0


def test_two_processes_that_import_the_same_rows(url: str) -> None:
    open_store(url).close()
    children = [start(url, "wal", name, 400, 20) for name in ("a", "b")]
    added = 0
    for child in children:
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        lines = output.splitlines()
        assert len(lines) == 400
        added += sum(int(line.split()[1]) for line in lines[::20])
    with open_store(url) as store:
        assert added == store.count_traces("tickets") == 400
        assert {trace.row_key for trace in store.traces("tickets")} == {f"row-{number}" for number in range(400)}


def test_threads_that_write_and_read_at_once(store: Store, make_trace: Callable[..., Trace]) -> None:
    def work(number: int) -> int:
        store.add_traces([make_trace(f"t{number}")])
        seen = [trace.id for trace in store.traces("tickets")]
        assert len(seen) == len(set(seen))
        assert f"t{number}" in seen
        return len(seen)

    with ThreadPoolExecutor(12) as pool:
        assert max(pool.map(work, range(120))) == 120
