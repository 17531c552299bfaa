"""Erasing calls and rows, on both databases."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from journeyman.core.example import Example
from journeyman.core.person import find_person, hash_person
from journeyman.core.trace import Trace
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url
from tests.store.schemas import at_revision

ERASE = """
import sys
from journeyman.store.database import open_store

with open_store(sys.argv[1]) as store:
    sys.stdin.readline()
    for count in store.delete_old("tickets", "2026-11-01"):
        print(count, flush=True)
"""


def ids(store: Store, **wanted: str) -> list[str]:
    return [trace.id for trace in store.calls_of(**wanted)]


def test_calls_are_found_by_key_person_and_id_whatever_their_task(
    store: Store, make_trace: Callable[..., Trace]
) -> None:
    ada, both = find_person({"user": "ada"}), find_person({"user": "bob", "safety_identifier": "ada"})
    store.add_traces(
        [
            make_trace("a", meta={"key": "key-1", "person": ada}),
            make_trace("b", "model:big", meta={"key": "key-1"}),
            make_trace("c", meta={"key": "key-10", "person": both}),
            make_trace("d"),
            *(make_trace(f"many-{number}", meta={"key": "key-2"}) for number in range(1201)),
        ]
    )
    assert ids(store, key="key-1") == ["a", "b"]
    assert ids(store, person=hash_person("ada")) == ["a", "c"]
    assert ids(store, person=hash_person("bob")) == ["c"]
    assert ids(store, person=hash_person("eve")) == []
    assert ids(store, id="d") == ["d"]
    assert len(ids(store, key="key-2")) == 1201
    assert store.delete_calls(ids(store, key="key-2")) == 1201
    assert store.delete_calls(["a", "never"]) == 1
    assert [trace.id for trace in store.traces("tickets")] == ["c", "d"]


def test_what_is_erased_leaves_a_tombstone(store: Store, make_example: Callable[..., Example]) -> None:
    rows = [make_example(f"row {number}") for number in range(700)]
    store.add_rows("tickets", rows)
    hashes = [row.hash for row in rows]
    assert store.erase_rows("tickets", hashes[:600], "key k", "t") == 600
    assert store.erase_rows("tickets", hashes[:601], "key k", "t") == 1
    assert store.erase_rows("another", hashes[650:], "key k", "t") == 50
    assert list(store.rows(hashes)) == hashes[601:]
    assert store.tombstones("tickets") == set(hashes[:601])


def test_old_calls_go_and_imported_rows_stay(store: Store, make_trace: Callable[..., Trace]) -> None:
    old, new = "2026-10-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00"
    store.add_traces(make_trace(f"old-{number}", origin="serve", time=old) for number in range(1100))
    store.add_traces([make_trace("given", time=old), make_trace("new", origin="serve", time=new), make_trace("other", "other", origin="serve", time=old)])  # fmt: skip
    assert store.count_old("tickets", "2026-11-01") == 1100
    assert sum(store.delete_old("tickets", "2026-11-01")) == 1100
    assert [trace.id for trace in store.traces("tickets")] == ["given", "new"]
    assert store.count_traces("other") == 1


def test_a_deletion_that_was_killed_is_done_by_the_next(url: str, make_trace: Callable[..., Trace]) -> None:
    with open_store(url) as store:
        store.add_traces(make_trace(f"t-{number}", origin="serve", time="2026-10-01") for number in range(5000))
    child = subprocess.Popen([sys.executable, "-c", ERASE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    assert child.stdout.readline() == "500\n"
    child.send_signal(signal.SIGKILL)
    rest = child.communicate(timeout=30)[0]
    assert child.returncode == -signal.SIGKILL
    with open_store(url) as store:
        left = store.count_traces("tickets")
        assert left <= 4500 - 500 * rest.count("\n")
        assert left % 500 == 0
        assert sum(store.delete_old("tickets", "2026-11-01")) == left
        assert store.count_traces("tickets") == 0


def test_nothing_of_an_erased_call_is_left_in_the_file(sqlite_file: Path, make_trace: Callable[..., Trace]) -> None:
    with open_store(sqlite_url(sqlite_file)) as store:
        store.add_traces(make_trace(f"t{number}", input={"message": f"xyzzy {number}" * 300}) for number in range(50))
        store.delete_calls([f"t{number}" for number in range(50)])
    left = b"".join(path.read_bytes() for path in sqlite_file.parent.iterdir())
    assert left
    assert b"xyzzy" not in left


def test_calls_from_before_there_were_persons_have_none(url: str) -> None:
    with at_revision(url, "0003") as connection:
        columns = "id, task, origin, time, release, model, status, document"
        document = Trace("t", "tickets", "2026", "serve", {}, (), None).to_json()
        values = {"document": json.dumps(document)}
        connection.execute(text(f"INSERT INTO traces ({columns}) VALUES ('t', 'tickets', 'serve', '2026', '', '', 'ok', :document)"), values)  # fmt: skip
    with open_store(url) as store:
        assert ids(store, id="t") == ["t"]
        assert ids(store, person=hash_person("ada")) == []


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({}, []),
        ({"user": ""}, []),
        ({"user": 7, "metadata": "x", "safety_identifier": None}, []),
        ({"user": "ada"}, ["ada"]),
        ({"safety_identifier": "ada", "user": "ada"}, ["ada"]),
        ({"safety_identifier": "ada", "user": "bob", "metadata": {"user_id": "eve"}}, ["ada", "bob", "eve"]),
    ],
)
def test_whom_a_request_names(raw: dict[str, object], named: list[str]) -> None:
    assert find_person(raw).split() == sorted(hash_person(id) for id in named)  # type: ignore[arg-type]
