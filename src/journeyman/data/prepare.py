"""Prepare: traces to a dataset, sealed split included.

    traces ── collect ──► candidates ── merge ──► one row per input ── place ──► splits ──► manifest

The same traces give the same dataset hash, in whatever order they came in. Running it again changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import DataError
from journeyman.core.example import SPLITS, Example, Split
from journeyman.core.progress import Progress, Silent
from journeyman.core.trace import Trace
from journeyman.data.candidates import (
    ORIGINS,
    Candidate,
    Contradiction,
    Instructions,
    SetAside,
    collect,
    hash_input,
    merge,
)
from journeyman.data.dataset import Entry, Manifest, entries, hash_dataset, hash_schema
from journeyman.data.near import near_text
from journeyman.data.shares import Shares
from journeyman.data.splits import Item, Placement, place, rows_needed, wanted_shares
from journeyman.store.database import Store
from journeyman.store.rows import Assignment
from journeyman.task.task import Task

BATCH_ROWS = 500
COPIES = "copies of sealed rows"
RECORDED_TOO = "made-up rows that were recorded too"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset. ``funnel`` counts traces from import to split, ``notices`` are sentences for people, ``made_up`` the hashes of synthetic rows."""

    hash: str
    manifest: Mapping[str, Json]
    funnel: Mapping[str, Json]
    contradictions: tuple[Contradiction, ...]
    notices: tuple[str, ...]
    made_up: frozenset[str] = frozenset()

    def count(self, split: Split) -> int:
        """Rows of a split."""
        return len(cast(Mapping[str, Sequence[Json]], self.manifest["splits"])[split])


def prepare(
    task: Task,
    store: Store,
    settings: Shares,
    *,
    now: datetime,
    instructions: Instructions = "own",
    progress: Progress | None = None,
) -> Prepared:
    """Make the dataset of all of a task's traces and store rows, assignments and manifest.

    Args:
        instructions: ``own`` leaves out rows that were made under another instruction, ``any`` mixes them in.

    Raises:
        DataError: JM-305 too few rows to fill train, dev and test, JM-306 the task has no traces.
        StoreError: the database cannot be read or written.
    """
    bar = progress or Silent()
    aside = SetAside()
    traces = _Counted(store.traces(task.name, origins=ORIGINS), store.count_traces(task.name, origins=ORIGINS), bar)
    candidates = collect(task, traces, frozenset(store.tombstones(task.name)), instructions, aside)
    if not traces.count:
        raise DataError(
            "JM-306",
            "this task has no traces yet",
            where=f"task {task.name}",
            hint=f"run `journeyman import FILE --task {task.name}`",
        )
    assigned = store.assignments(task.name)
    work = _sort_out(candidates, assigned, aside)
    bar.start("group near copies", None, "rows")
    work.placement = place(_make_items(work, assigned, task.filled), settings)
    bar.finish(f"{len(set(work.placement.groups.values())):,} groups")
    _fill(work, _retired_inputs(store, task.name), aside)
    _check_filled(work, settings, task.name)
    _check_sums(traces.count, work, aside)
    manifest = _make_manifest(task, work, aside, settings, instructions, now, traces.count)
    hash = name_dataset(store, task.name, manifest)
    _save(store, task.name, work, assigned, bar)
    store.add_dataset(task.name, hash, manifest, now.isoformat(timespec="seconds"))
    funnel = cast(Mapping[str, Json], manifest["funnel"])
    return Prepared(
        hash, manifest, funnel, tuple(work.contradictions), _notices(task, work, aside), frozenset(_made_up(work))
    )


def name_dataset(store: Store, task: str, manifest: Manifest) -> str:
    """The content hash of its splits; another one where the same rows are stored already, read for another output."""
    hash = hash_dataset(task, {split: entries(manifest, split) for split in SPLITS})
    stored = store.dataset(hash, task=task)
    if stored is not None and stored["schema_hash"] != manifest["schema_hash"]:
        hash = content_hash({"dataset": hash, "schema": manifest["schema_hash"]})
    return hash


@dataclass(slots=True)
class _Work:
    """``sealed``: rows of a test file, each as it came; ``sealed_sources``: what they and their copies elsewhere come from, by input hash. ``rows``: every other input once, by input hash."""

    sealed: list[Candidate] = field(default_factory=list)
    sealed_sources: dict[str, set[str]] = field(default_factory=dict)
    rows: dict[str, Candidate] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)
    kept_sealed: int = 0
    placement: Placement = field(default_factory=Placement)
    splits: dict[Split, list[Entry]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    unlabelled: list[Entry] = field(default_factory=list)
    retired: list[Entry] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        return [entry for rows in (*self.splits.values(), self.unlabelled, self.retired) for entry in rows]


class _Counted:
    """Traces on their way, counted and shown."""

    def __init__(self, traces: Iterator[Trace], total: int, progress: Progress) -> None:
        self.count = 0
        self._traces = traces
        self._total = total
        self._progress = progress

    def __iter__(self) -> Iterator[Trace]:
        self._progress.start("read traces", self._total, "traces")
        while page := list(islice(self._traces, BATCH_ROWS)):
            yield from page
            self.count += len(page)
            self._progress.advance(len(page))
        self._progress.finish()


def _sort_out(candidates: Sequence[Candidate], assigned: Mapping[str, Assignment], aside: SetAside) -> _Work:
    """Sealed rows as they are; of everything else one row per input, and no input that is sealed."""
    work = _Work(sealed=[item for item in candidates if item.split == "test"])
    sealed = {item.input_hash for item in work.sealed}
    by_input: defaultdict[str, list[Candidate]] = defaultdict(list)
    for item in candidates:
        if item.split == "test":
            continue
        if item.input_hash in sealed:
            aside.add(COPIES, item.example)
            work.sealed_sources.setdefault(item.input_hash, set()).update(item.sources)
        else:
            by_input[item.input_hash].append(item)
    for name in sorted(by_input):
        row, contradiction = merge(_prefer_recorded(by_input[name], aside))
        stored = assigned.get(name)
        if stored is not None and stored.split == "test" and row.split and not sealed:
            # Sealed by an earlier dataset: a file that gives this input to another split cannot unseal it.
            row = replace(row, split="")
            work.kept_sealed += 1
        work.rows[name] = row
        if contradiction is not None:
            work.contradictions.append(contradiction)
    return work


def _prefer_recorded(candidates: Sequence[Candidate], aside: SetAside) -> Sequence[Candidate]:
    """What somebody asked is no made-up row, and has the answer that it was given."""
    recorded = [item for item in candidates if not item.is_synthetic]
    if not recorded:
        return candidates
    for item in candidates:
        if item.is_synthetic:
            aside.add(RECORDED_TOO, item.example)
    return recorded


def _make_items(work: _Work, assigned: Mapping[str, Assignment], filled: str) -> list[Item]:
    sealed = {item.input_hash: item for item in work.sealed}
    sources = work.sealed_sources
    for item in work.sealed:
        sources.setdefault(item.input_hash, set()).update(item.sources)
    items = [
        Item(name, near_text(item.example, filled), given="test", sources=tuple(sorted(sources[name])))
        for name, item in sealed.items()
    ]
    for name, row in work.rows.items():
        stored = assigned[name].split if name in assigned else "train" if row.is_led else ""
        labelled = row.example.answer is not None
        given = row.split if labelled else ""
        items.append(Item(name, near_text(row.example, filled), given, stored, labelled, row.sources, row.is_synthetic))
    return items


def _retired_inputs(store: Store, task: str) -> set[str]:
    """Inputs that people were shown: they leave the sealed split and cannot be learned from."""
    revealed = store.revealed(task)
    return {hash_input(example) for example in store.rows(revealed).values()} | revealed


def _fill(work: _Work, retired: set[str], aside: SetAside) -> None:
    """Put every row where the placement says."""
    place = work.placement
    for item in work.sealed:
        _put(work, item.example, place.groups[item.input_hash], "test", item.input_hash, retired)
    for name, row in work.rows.items():
        if name in place.aside:
            aside.add(place.aside[name], row.example, row.example.count)
        else:
            _put(work, row.example, place.groups[name], place.splits.get(name), name, retired)
    for rows in (*work.splits.values(), work.unlabelled, work.retired):
        rows.sort()


def _put(work: _Work, example: Example, group: str, split: Split | None, name: str, retired: set[str]) -> None:
    row_hash = example.hash
    entry = (row_hash, example.count, group)
    if split == "test" and (name in retired or row_hash in retired):
        work.retired.append(entry)
    elif split is None:
        work.unlabelled.append(entry)
    else:
        work.splits[split].append(entry)
    # Count and group belong to the dataset, not to the stored row.
    work.examples.append(replace(example, count=1, group=""))


def _check_filled(work: _Work, settings: Shares, task: str) -> None:
    """Raises: DataError: JM-305, with how many rows there would have to be."""
    given = {item.split for item in (*work.sealed, *work.rows.values())}
    wanted = wanted_shares(settings, given)
    needs: tuple[Split, ...] = ("train", "dev", "test")
    empty = [name for name in needs if not work.splits[name] and (name == "train" or settings.share(name) > 0)]
    if not empty:
        return
    free = sum(1 for name, row in work.rows.items() if name in work.placement.splits and not row.split)
    unlabelled = f", {len(work.unlabelled):,} without an answer" if work.unlabelled else ""
    raise DataError(
        "JM-305",
        f"too few rows to fill {' and '.join(empty)}",
        where=f"task {task}",
        expected=f"at least {rows_needed(wanted)} different inputs with an answer, besides those imported with --split",
        got=f"{free:,} such rows{unlabelled}",
        hint="import more rows, import a file with --split, or change the shares in journeyman.toml",
    )


def _check_sums(traces: int, work: _Work, aside: SetAside) -> None:
    """Every trace is in a row or was set aside for a reason: nothing vanishes."""
    kept, dropped = sum(count for _, count, _ in work.entries), sum(aside.counts.values())
    if traces != kept + dropped:
        raise AssertionError(f"{traces} traces, but {kept} in rows and {dropped} set aside")


def _make_manifest(
    task: Task,
    work: _Work,
    aside: SetAside,
    settings: Shares,
    instructions: Instructions,
    now: datetime,
    traces: int,
) -> dict[str, Json]:
    terms = Counter(str(example.terms) for example in work.examples)
    return {
        "edition": 1,
        "task": task.name,
        "instruction_hash": task.instruction_hash,
        "schema_hash": hash_schema(task.schema),
        "splits": {name: _to_json(rows) for name, rows in work.splits.items()},
        "unlabelled": _to_json(work.unlabelled),
        "retired": _to_json(work.retired),
        "set_aside": {reason: cast(list[Json], sorted(hashes)) for reason, hashes in sorted(aside.hashes.items())},
        "funnel": _make_funnel(work, aside, traces),
        "contradictions": [item.to_json() for item in work.contradictions],
        "crossing": [
            {"first": first, "second": second, "kind": kind, "pairs": count}
            for (first, second, kind), count in sorted(work.placement.crossing.items())
        ],
        "settings": settings.to_json() | {"instructions": instructions},
        "terms": dict(sorted(terms.items())),
        "synthetic": _count_synthetic(work),
        "sealed_by": "file" if work.sealed else "share",
        "created": now.isoformat(timespec="seconds"),
    }


def _count_synthetic(work: _Work) -> dict[str, Json]:
    """Made-up rows by split; splits without any are left out."""
    made_up = _made_up(work)
    counts = {split: sum(hash in made_up for hash, _, _ in rows) for split, rows in work.splits.items()}
    return {split: count for split, count in counts.items() if count}


def _made_up(work: _Work) -> set[str]:
    return {item.example.hash for item in (*work.sealed, *work.rows.values()) if item.is_synthetic}


def _to_json(rows: Sequence[Entry]) -> list[Json]:
    return [list(entry) for entry in rows]


def _make_funnel(work: _Work, aside: SetAside, traces: int) -> dict[str, Json]:
    """``traces == sum(set_aside) + repeats + rows``, and ``rows == splits + unlabelled + retired``."""
    entries = work.entries
    return {
        "traces": traces,
        "set_aside": dict(sorted(aside.counts.items())),
        "repeats": sum(count - 1 for _, count, _ in entries),
        "rows": len(entries),
        "groups": len({group for _, _, group in entries}),
        "contradictions": len(work.contradictions),
        "splits": {name: len(rows) for name, rows in work.splits.items()},
        "unlabelled": len(work.unlabelled),
        "retired": len(work.retired),
    }


def _save(store: Store, task: str, work: _Work, assigned: Mapping[str, Assignment], progress: Progress) -> None:
    """Rows and assignments before the manifest that names them: a kill in between leaves nothing that misleads."""
    progress.start("store rows", len(work.examples), "rows")
    for start in range(0, len(work.examples), BATCH_ROWS):
        batch = work.examples[start : start + BATCH_ROWS]
        store.add_rows(task, batch)
        progress.advance(len(batch))
    place = work.placement
    fresh = {
        name: Assignment(place.groups[name], split) for name, split in place.splits.items() if name not in assigned
    }
    store.add_assignments(task, fresh)
    progress.finish(f"{len(work.examples):,} rows")


def _notices(task: Task, work: _Work, aside: SetAside) -> tuple[str, ...]:
    notices = [
        f"{count:,} pairs of {kind} lie across {first} and {second}: both rows were given to their split at import"
        for (first, second, kind), count in sorted(work.placement.crossing.items())
    ]
    if work.contradictions:
        notices.append(f"{len(work.contradictions):,} inputs have contradicting answers; the manifest lists them")
    if work.kept_sealed:
        notices.append(f"{work.kept_sealed:,} inputs given to a split at import are sealed already and stay sealed")
    if aside.counts["another instruction"]:
        notices.append(
            f"{aside.counts['another instruction']:,} rows were made under another instruction than the task's"
        )
    if not work.splits["calibration"]:
        notices.append("there are no calibration rows: a fallback threshold cannot be set")
    sizes = Counter(group for rows in work.splits.values() for _, _, group in rows)
    total = sum(sizes.values())
    if sizes and sizes[largest := max(sizes, key=lambda group: sizes[group])] > total / 2:
        is_told = largest in work.placement.told
        kind = "rows with one `group`, and their near copies," if is_told else "near copies"
        what = "they stand for one draw" if is_told else "the rows differ little"
        notices.append(f"one group of {kind} holds {sizes[largest]:,} of {total:,} rows: {what}")
    for split, count in _count_synthetic(work).items():
        kind = ": figures on them say how it does on what was made up" if split != "train" else ""
        notices.append(f"{count:,} of {len(work.splits[cast(Split, split)]):,} {split} rows are synthetic{kind}")
    restricted = sum(example.terms == "restricted" for example in work.examples)
    if restricted:
        notices.append(f"the terms of {restricted:,} rows restrict training: `tune {task.name}` warns, release refuses")
    return tuple(notices)
