"""Reading a dataset: rows of a split by manifest, the lock on the sealed one, and the check that nothing leaked.

manifest = {edition, task, instruction_hash, schema_hash, splits: {split: [[row hash, count, group], ...]},
            unlabelled, retired, set_aside, funnel, contradictions, crossing, settings, terms, sealed_by, created}

Of `prepare --keep` also ``kept``: {of: the dataset that it was chosen from, rows, left_out, by, seed, features, hard, values}. The hash names ``splits``, which never change under it; the rest is the account of the last time that it was prepared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import DataError
from journeyman.core.example import SPLITS, Example, Split
from journeyman.data.candidates import hash_input
from journeyman.data.near import find_pairs, jaccard, make_shingles, near_text
from journeyman.store.database import Store

Entry = tuple[str, int, str]
Manifest = Mapping[str, Json]
Purpose = Literal["tune", "assess", "look"]
Half = Literal["fit", "threshold"]
STREAMED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Leak:
    """A row that may be learned from and the sealed row that it is a copy of. ``similarity`` 1.0 with ``is_exact``: the same input."""

    row_hash: str
    sealed_hash: str
    similarity: float
    is_exact: bool


def hash_dataset(task: str, splits: Mapping[Split, Sequence[Entry]]) -> str:
    """Content hash: which rows are on which side, how often and in which group; no ids, no times, no order.

    Rows without an answer are no part of it: a released student's own calls would make every day's dataset another one,
    and its student out of date.
    """
    return content_hash({"task": task, "splits": {name: sorted(map(list, splits[name])) for name in SPLITS}})


def hash_schema(schema: Mapping[str, Json] | None) -> str:
    """What the answers of a dataset were read by."""
    return content_hash(dict(schema) if schema is not None else None)


def read_manifest(store: Store, task: str, hash: str = "") -> tuple[str, Manifest]:
    """A task's dataset by hash (or its beginning), or the latest one.

    Raises:
        DataError: JM-352, there is none.
    """
    name = store.find_dataset(hash, task=task) if hash else store.latest_dataset(task)
    manifest = store.dataset(name, task=task) if name else None
    if name is None or manifest is None:
        raise DataError(
            "JM-352",
            "there is no such dataset" if hash else "this task has no dataset yet",
            where=f"task {task}",
            got=hash,
            hint=f"run `journeyman prepare {task}`",
        )
    return name, manifest


def entries(manifest: Manifest, split: Split | Literal["unlabelled", "retired"]) -> list[Entry]:
    source = manifest["splits"] if split in SPLITS else manifest
    rows = cast(Mapping[str, list[list[Json]]], source).get(split) or []
    return [(str(hash), cast(int, count), str(group)) for hash, count, group in rows]


def check_current(manifest: Manifest, task_name: str, schema: Mapping[str, Json] | None) -> None:
    """Raises: DataError: JM-354, the dataset was prepared for another output than the task's."""
    if manifest["schema_hash"] != hash_schema(schema):
        raise DataError(
            "JM-354",
            "the task's output has changed since this dataset was prepared",
            where=f"task {task_name}",
            hint=f"journeyman prepare {task_name}",
        )


def read_split(
    store: Store, manifest: Manifest, split: Split, *, purpose: Purpose = "look", half: Half | None = None
) -> list[Example]:
    """The rows of a split in the manifest's order, with their count and group, without those that were erased.

    The sealed split opens for ``purpose="assess"`` alone: nothing else can reach it by mistake. ``half`` chooses a half
    of ``calibration``.

    Raises:
        DataError: JM-351 the sealed split for another purpose, JM-353 a row is no longer in the store.
    """
    if split == "test" and purpose != "assess":
        raise DataError(
            "JM-351",
            "the test split is sealed",
            where=f"task {manifest['task']}",
            expected='purpose "assess"',
            got=f'purpose "{purpose}"',
            hint="read dev or calibration instead; `journeyman assess` measures on the sealed split",
        )
    chosen = [entry for entry in entries(manifest, split) if half is None or calibration_half(entry[2]) == half]
    return _read(store, manifest, chosen)


def stream_split(store: Store, manifest: Manifest, split: Literal["train", "dev", "calibration"]) -> Iterator[Example]:
    """The rows of an open split as ``read_split`` gives them, some in memory at a time."""
    chosen = iter(entries(manifest, split))
    while some := list(islice(chosen, STREAMED_ROWS)):
        yield from _read(store, manifest, some)


def read_unlabelled(store: Store, manifest: Manifest) -> list[Example]:
    """Inputs without any answer; none is a near copy of a sealed row."""
    return _read(store, manifest, entries(manifest, "unlabelled"))


def count_erased(store: Store, manifest: Manifest, more: Collection[str] = ()) -> dict[Split, int]:
    """Rows of a dataset that were erased since, or are in ``more``, by split, where there are any."""
    gone = store.tombstones(str(manifest["task"])) | set(more)
    counts = {split: sum(hash in gone for hash, _, _ in entries(manifest, split)) for split in SPLITS}
    return {split: count for split, count in counts.items() if count}


def calibration_half(group: str) -> Half:
    """``fit`` or ``threshold``, by the group's hash: a group is never on both."""
    return "fit" if int(content_hash({"half": group})[:8], 16) % 2 == 0 else "threshold"


def find_leaks(rows: Sequence[Example], sealed: Sequence[Example], threshold: float) -> list[Leak]:
    """Exact and near copies (Jaccard similarity of at least ``threshold``) of sealed rows among ``rows``."""
    leaks: list[Leak] = []
    by_input: dict[str, str] = {}
    for example in sealed:
        by_input.setdefault(hash_input(example), example.hash)
    for example in rows:
        if copied := by_input.get(hash_input(example)):
            leaks.append(Leak(example.hash, copied, 1.0, is_exact=True))
    found = {leak.row_hash for leak in leaks}
    texts = [near_text(example) for example in (*sealed, *rows)]
    for earlier, later in find_pairs(texts, threshold, kept=len(sealed)):
        if earlier < len(sealed) <= later:
            row = rows[later - len(sealed)].hash
            if row not in found:
                similarity = jaccard(make_shingles(texts[earlier]), make_shingles(texts[later]))
                leaks.append(Leak(row, sealed[earlier].hash, similarity, is_exact=False))
    return leaks


def _read(store: Store, manifest: Manifest, chosen: Sequence[Entry]) -> list[Example]:
    rows = store.rows(hash for hash, _, _ in chosen)
    missing = [hash for hash, _, _ in chosen if hash not in rows]
    erased = store.tombstones(str(manifest["task"])) if missing else set()
    missing = [hash for hash in missing if hash not in erased]
    if missing:
        raise DataError(
            "JM-353",
            f"{len(missing):,} rows of this dataset are no longer in the store",
            where=f"task {manifest['task']}",
            got=missing[0],
            hint=f"run `journeyman prepare {manifest['task']}` to make a dataset of what is there",
        )
    return [replace(rows[hash], count=count, group=group) for hash, count, group in chosen if hash in rows]
