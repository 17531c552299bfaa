"""Rows of datasets, by content hash, and the side of the split that each input is on for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, select

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.example import Example
from journeyman.store.statements import in_chunks, insert_new
from journeyman.store.tables import ASSIGNMENTS, EXAMPLES


@dataclass(frozen=True, slots=True)
class Assignment:
    """The near-copy group of an input, and the split that the group is on."""

    group: str
    split: str


def make_records(task: str, examples: Iterable[Example]) -> list[dict[str, object]]:
    return [{"hash": example.hash, "task": task, "document": example.to_json()} for example in examples]


def add_records(connection: Connection, records: list[dict[str, object]]) -> int:
    return insert_new(connection, EXAMPLES, records)


def read_rows(connection: Connection, hashes: Iterable[str]) -> dict[str, Example]:
    """The rows that are there, in the order of ``hashes``."""
    wanted = list(dict.fromkeys(hashes))
    found: dict[str, Example] = {}
    for chunk in in_chunks(wanted):
        query = select(EXAMPLES.c.hash, EXAMPLES.c.document).where(EXAMPLES.c.hash.in_(chunk))
        for hash, document in connection.execute(query):
            found[hash] = Example.from_json(cast(dict[str, Json], document))
    return {hash: found[hash] for hash in wanted if hash in found}


def read_assignments(connection: Connection, task: str) -> dict[str, Assignment]:
    query = select(ASSIGNMENTS.c.key, ASSIGNMENTS.c.group, ASSIGNMENTS.c.split).where(ASSIGNMENTS.c.task == task)
    return {key: Assignment(group, split) for key, group, split in connection.execute(query)}


def add_assignments(connection: Connection, task: str, assignments: Mapping[str, Assignment]) -> int:
    """Store new keys; the number added. A key that is there already must say the same.

    Raises:
        StoreError: JM-819, a key would change its group or its split; nothing is stored.
    """
    rows = [{"task": task, "key": key, "group": item.group, "split": item.split} for key, item in assignments.items()]
    added = insert_new(connection, ASSIGNMENTS, rows)
    if added < len(rows):
        _check_same(read_assignments(connection, task), task, assignments)
    return added


def _check_same(stored: Mapping[str, Assignment], task: str, wanted: Mapping[str, Assignment]) -> None:
    changed = [key for key, item in wanted.items() if stored[key] != item]
    if not changed:
        return
    old, new = stored[changed[0]], wanted[changed[0]]
    raise StoreError(
        "JM-819",
        f"{len(changed)} stored split assignment(s) would change; an input never leaves its side",
        where=f"task {task}, input {changed[0]}",
        expected=f"split {old.split}, group {old.group}",
        got=f"split {new.split}, group {new.group}",
        hint="give new rows the side that their group has, or quarantine them",
    )
