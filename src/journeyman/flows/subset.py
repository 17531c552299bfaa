"""`prepare T --keep N`: a dataset with fewer train rows, chosen so that a student learns from them what it would from all. Dev, calibration and sealed rows stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast
from zlib import crc32

import numpy as np

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import DataError
from journeyman.core.example import Example
from journeyman.data.dataset import stream_split
from journeyman.data.prepare import Prepared
from journeyman.data.subset import By, Chosen, Pool, choose_rows, draw_rows, keep_rows
from journeyman.flows.values import read_value
from journeyman.flows.vectors import embed_rows
from journeyman.flows.workspace import Workspace
from journeyman.measure.coverage import Ints
from journeyman.task.closed import choices_of
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

FOLDS = 5
ROWS_OF_STRATUM = 5
"""That are kept in the mean, for a further field to count."""


@dataclass(frozen=True, slots=True)
class Keep:
    """``rows`` of train, ``by`` which method. ``seed``: of a random draw, and of the parts that large strata are dealt into."""

    rows: int
    by: By = "coverage"
    seed: int = 0


def choose_keep(rows: int | None, by: By | None = None, seed: int | None = None) -> Keep | None:
    """What was asked for; None: all rows. Raises: DataError: JM-368 how to choose, and not how many."""
    if rows is None and (by is not None or seed is not None):
        option = "--keep-by" if by is not None else "--seed"
        raise DataError(
            "JM-368",
            f"{option} would change nothing here",
            expected="--keep with a number of rows",
            got=option,
            hint=f"add --keep, or leave {option} out",
        )
    return Keep(rows, by or "coverage", seed or 0) if rows is not None else None


@dataclass(slots=True)
class _Read:
    """What is remembered of each train row; ``values`` by closed field."""

    hashes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)


def keep_fewer(workspace: Workspace, task: Task, prepared: Prepared, keep: Keep) -> Prepared:
    """The dataset of ``keep.rows`` train rows, made the latest; ``prepared`` itself where it has no more.

    Raises:
        DataError: JM-367 too few rows for the values of a closed field, or for anything to be learned. ModelError: JM-403, JM-438 of the embedding model, where there is one.
    """
    if keep.rows >= prepared.count("train"):
        return prepared
    read = _read(workspace, task, prepared)
    _refuse_few(task, read, keep)
    counted = [name for name in read.values if len(set(read.values[name])) > 1]
    chosen, features = _choose(workspace, read, counted, keep)
    kept = {read.hashes[row] for row in chosen.rows}
    account: dict[str, Json] = {
        "by": keep.by,
        "seed": keep.seed,
        "features": features,
        "hard": chosen.hard,
        "values": cast(Json, {name: _tally(column, chosen.rows) for name, column in read.values.items()}),
    }
    left = Counter(terms for hash, terms in zip(read.hashes, read.terms, strict=True) if hash not in kept)
    return keep_rows(workspace.store, prepared, kept, left, account, datetime.now(UTC))


def _read(workspace: Workspace, task: Task, prepared: Prepared) -> _Read:
    found = _Read(values={name: [] for name, _values in choices_of(task.schema)})
    for row in stream_split(workspace.store, prepared.manifest, "train"):
        found.hashes.append(row.hash)
        found.texts.append(_text(task, row))
        found.folds.append(crc32(row.group.encode()) % FOLDS)
        found.counts.append(row.count)
        found.terms.append(str(row.terms))
        for name, column in found.values.items():
            column.append(dump(read_value(row, name)))
    return found


def _text(task: Task, row: Example) -> str:
    return "\n".join([*(message.text for message in row.context), user_text(task, row.input)])


def _choose(workspace: Workspace, read: _Read, fields: Sequence[str], keep: Keep) -> tuple[Chosen, str]:
    if keep.by == "random":
        return draw_rows(len(read.hashes), keep.rows, keep.seed), ""
    vectors, features = embed_rows(read.texts, workspace.progress)
    strata = _stratify([read.values[name] for name in fields], len(read.hashes), keep.rows)
    pool = Pool(vectors, strata, np.array(read.folds, dtype=np.int64), np.array(read.counts, dtype=np.float32))
    return choose_rows(pool, keep.rows, keep.seed, workspace.progress), features


def _stratify(columns: Sequence[Sequence[str]], size: int, rows: int) -> Ints:
    """Numbers of the fields' values together; a further field counts as long as its combinations get some rows each."""
    joint: list[tuple[str, ...]] = [()] * size
    for place, column in enumerate(columns):
        wider = [(*before, value) for before, value in zip(joint, column, strict=True)]
        if place and len(set(wider)) * ROWS_OF_STRATUM > rows:
            break
        joint = wider
    return np.unique([dump(list(names)) for names in joint], return_inverse=True)[1].astype(np.int64)


def _tally(column: Sequence[str], rows: Ints) -> Mapping[str, Json]:
    """Rows kept and rows there were of each value, the commonest first."""
    kept = Counter(column[row] for row in rows)
    return {value: [kept[value], count] for value, count in Counter(column).most_common()}


def _refuse_few(task: Task, read: _Read, keep: Keep) -> None:
    """Raises: DataError: JM-367."""
    most = max(((len(set(column)), name) for name, column in read.values.items()), default=(1, ""))
    if keep.rows < max(2, most[0]):
        raise DataError(
            "JM-367",
            f"{keep.rows:,} rows cannot hold every value of {most[1] or 'the answer'}",
            where=f"task {task.name}",
            expected=f"--keep of at least {max(2, most[0])}",
            got=f"--keep {keep.rows}",
            hint=f"journeyman prepare {task.name} --keep {10 * max(2, most[0])}",
        )
