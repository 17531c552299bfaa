"""Manifests of datasets, named by the hash of their splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ColumnElement, Connection, func, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.statements import insert_new, lock
from journeyman.store.tables import DATASETS

SHORTEST_PREFIX = 6


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A dataset's hash and the time at which it was first prepared."""

    hash: str
    time: str


def add_dataset(connection: Connection, task: str, hash: str, manifest: Mapping[str, Json], time: str) -> bool:
    """Store a manifest and make it the task's latest; False when the hash was there: its account of rows without
    an answer, and of what became of every trace, is then the new one."""
    lock(connection, f"datasets/{task}")
    place = (connection.scalar(select(func.max(DATASETS.c.place)).where(DATASETS.c.task == task)) or 0) + 1
    row = {"task": task, "hash": hash, "time": time, "place": place, "manifest": dict(manifest)}
    if insert_new(connection, DATASETS, [row]):
        return True
    same = update(DATASETS).where(DATASETS.c.task == task, DATASETS.c.hash == hash)
    connection.execute(same.values(place=place, manifest=row["manifest"]))
    return False


def read_dataset(connection: Connection, hash: str, task: str | None) -> Mapping[str, Json] | None:
    """The manifest of a hash, or of a prefix of at least six characters that only one hash has.

    Raises:
        StoreError: JM-812, several datasets fit.
    """
    found = find_dataset(connection, hash, task)
    return _read_manifest(connection, *found) if found else None


def find_dataset(connection: Connection, hash: str, task: str | None) -> tuple[str, str] | None:
    """The task and the whole hash that ``hash`` is, or is the beginning of. Raises as `read_dataset`."""
    fitting = _find(connection, DATASETS.c.hash == hash, task)
    if not fitting and len(hash) >= SHORTEST_PREFIX:
        fitting = _find(connection, DATASETS.c.hash.startswith(hash, autoescape=True), task)
    if len(fitting) > 1:
        raise StoreError(
            "JM-812",
            "several datasets fit this name",
            expected="a prefix that one dataset has, or the task it belongs to",
            got=f"{hash}: " + ", ".join(f"{name} {full[:16]}" for name, full in fitting),
            hint="write more characters of the hash",
        )
    return fitting[0] if fitting else None


def read_latest(connection: Connection, task: str) -> str | None:
    """The hash that was prepared last, also when it had been prepared before."""
    query = select(DATASETS.c.hash).where(DATASETS.c.task == task).order_by(DATASETS.c.place.desc()).limit(1)
    return connection.scalar(query)


def read_entries(connection: Connection, task: str) -> list[DatasetEntry]:
    query = select(DATASETS.c.hash, DATASETS.c.time).where(DATASETS.c.task == task).order_by(DATASETS.c.place)
    return [DatasetEntry(hash, time) for hash, time in connection.execute(query)]


def _find(connection: Connection, condition: ColumnElement[bool], task: str | None) -> list[tuple[str, str]]:
    query = select(DATASETS.c.task, DATASETS.c.hash).where(condition)
    if task is not None:
        query = query.where(DATASETS.c.task == task)
    return [(name, hash) for name, hash in connection.execute(query.order_by(DATASETS.c.task, DATASETS.c.hash))]


def _read_manifest(connection: Connection, task: str, hash: str) -> Mapping[str, Json]:
    query = select(DATASETS.c.manifest).where(DATASETS.c.task == task, DATASETS.c.hash == hash)
    return cast(dict[str, Json], connection.scalar(query))
