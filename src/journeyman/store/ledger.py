"""The ledger of looks at sealed splits, of rows shown to people, and of rows erased.

Each look at a task's sealed split spends a part of the error that the gate may make, 0.025 over any number of looks: the
first spends 0.02, look j ≥ 2 spends 0.005 / (j (j − 1)), and those sum to 0.005 (Bonferroni with a telescoping series).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy import Connection, Row, Table, func, insert, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.statements import insert_new, lock
from journeyman.store.tables import LOOKS, REVEALS, TOMBSTONES

GATE = ("metric", "against")
FIRST_LEVEL = 0.02
LATER_LEVELS = 0.005


@dataclass(frozen=True, slots=True)
class Look:
    """One look: its number within the task (from 1), the one-sided level it is decided at, and its verdict once known. ``rule`` is the hash of what
    decided it, empty for looks from before rules were kept."""

    number: int
    level: float
    dataset: str
    release: str
    verdict: Mapping[str, Json] | None
    time: str
    rule: str = ""


def level(number: int) -> float:
    """The one-sided error that look ``number`` may spend.

    Raises:
        ValueError: looks count from 1.
    """
    if number < 1:
        raise ValueError(f"looks count from 1, got {number}")
    return FIRST_LEVEL if number == 1 else LATER_LEVELS / (number * (number - 1))


def begin_look(
    connection: Connection,
    task: str,
    dataset: str,
    release: str,
    time: str,
    rule: str = "",
    gate: Mapping[str, Json] | None = None,
) -> Look:
    """The look of this release at this dataset by this rule: the one that was begun before, else the task's next number.

    A look from before rules were kept is this one where its verdict, if it has one, names the same ``gate``.
    """
    lock(connection, f"looks/{task}")
    same = (LOOKS.c.task == task) & (LOOKS.c.dataset == dataset) & (LOOKS.c.release == release)
    known = select(LOOKS).where(same, LOOKS.c.rule.in_([rule, ""])).order_by(LOOKS.c.rule.desc())
    for found in map(_to_look, connection.execute(known)):
        if found.rule != rule and found.verdict and gate and not _is_same(found.verdict, gate):
            continue
        if found.rule != rule:
            mine = (LOOKS.c.task == task) & (LOOKS.c.number == found.number)
            connection.execute(update(LOOKS).where(mine).values(rule=rule))
        return replace(found, rule=rule)
    number = (connection.scalar(select(func.max(LOOKS.c.number)).where(LOOKS.c.task == task)) or 0) + 1
    look = Look(number, level(number), dataset, release, None, time, rule)
    connection.execute(insert(LOOKS).values(task=task, **{name: getattr(look, name) for name in look.__slots__}))
    return look


def finish_look(connection: Connection, task: str, number: int, verdict: Mapping[str, Json]) -> Look:
    """Write the verdict of a look and return the look as it stands: a verdict that is there already stays.

    Raises:
        StoreError: JM-813, no such look.
    """
    lock(connection, f"looks/{task}")
    mine = (LOOKS.c.task == task) & (LOOKS.c.number == number)
    connection.execute(update(LOOKS).where(mine, LOOKS.c.verdict.is_(None)).values(verdict=dict(verdict)))
    row = connection.execute(select(LOOKS).where(mine)).one_or_none()
    if row is None:
        raise StoreError("JM-813", "there is no such look", where=f"task {task}", got=f"look {number}")
    return _to_look(row)


def _is_same(verdict: Mapping[str, Json], gate: Mapping[str, Json]) -> bool:
    """The margin is none of a floor's business, nor the floor of a margin's; no look from before rules had required tests."""
    limit = "floor" if gate["against"] == "floor" else "margin"
    return not gate.get("behaviour") and all(verdict.get(key) == gate[key] for key in (*GATE, limit))


def read_looks(connection: Connection, task: str) -> list[Look]:
    query = select(LOOKS).where(LOOKS.c.task == task).order_by(LOOKS.c.number)
    return [_to_look(row) for row in connection.execute(query)]


def add_reveal(connection: Connection, task: str, row_hashes: Iterable[str], reason: str, time: str) -> int:
    """Retire rows from the sealed split because a person saw them; the number that was not retired before."""
    return _add(connection, REVEALS, "row_hash", task, row_hashes, reason, time)


def add_tombstones(connection: Connection, task: str, hashes: Iterable[str], reason: str, time: str) -> int:
    """Mark rows as erased; the number that was not marked before. The first reason stays."""
    return _add(connection, TOMBSTONES, "hash", task, hashes, reason, time)


def read_revealed(connection: Connection, task: str) -> set[str]:
    return set(connection.scalars(select(REVEALS.c.row_hash).where(REVEALS.c.task == task)))


def read_tombstones(connection: Connection, task: str) -> set[str]:
    return set(connection.scalars(select(TOMBSTONES.c.hash).where(TOMBSTONES.c.task == task)))


def _add(
    connection: Connection, table: Table, key: str, task: str, hashes: Iterable[str], reason: str, time: str
) -> int:
    return insert_new(connection, table, [{"task": task, key: hash, "reason": reason, "time": time} for hash in hashes])


def _to_look(row: Row[tuple[object, ...]]) -> Look:
    values = row._mapping
    return Look(
        number=values["number"],
        level=values["level"],
        dataset=values["dataset"],
        release=values["release"],
        verdict=cast(Mapping[str, Json] | None, values["verdict"]),
        time=values["time"],
        rule=values["rule"],
    )
