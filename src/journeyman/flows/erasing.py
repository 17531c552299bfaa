"""`erase`: recorded calls of a key, of a person or by their id, and the rows that were made of them; and calls that are too old.

    calls ─► synthetic rows made from them ─► rows made of all these ─► tombstones ─► synthetic rows deleted ─► calls deleted, last

The calls go last: whoever is stopped half way begins again and finds them, and by them what was made from them. A synthetic row goes with any one of the calls in its trace's ``made_from``. A row that other calls alone would make just so stays: it is theirs too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.example import Example, Split
from journeyman.core.person import hash_person
from journeyman.core.trace import Trace
from journeyman.data.candidates import (
    ORIGINS,
    Candidate,
    Instructions,
    SetAside,
    collect,
    hash_input,
    merge,
    read_trace,
)
from journeyman.data.dataset import count_erased, entries
from journeyman.flows.attached import read_attached
from journeyman.flows.workspace import Workspace
from journeyman.store.database import Store
from journeyman.task.task import Task

INSTRUCTIONS: tuple[Instructions, ...] = ("own", "any")


@dataclass(frozen=True, slots=True)
class Touched:
    """A dataset of a task: how many of its rows are erased, by split, and the releases that were trained with it."""

    task: str
    dataset: str
    rows: Mapping[Split, int]
    releases: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "task": self.task,
            "dataset": self.dataset,
            "erased_rows": {str(split): count for split, count in self.rows.items()},
            "releases": list(self.releases),
        }


@dataclass(frozen=True, slots=True)
class Erased:
    """``calls`` by task, ``synthetic`` rows by task that were made from them, ``rows`` of datasets that were made of both. ``touched`` counts rows of earlier erasures too."""

    calls: Mapping[str, int]
    rows: int = 0
    touched: tuple[Touched, ...] = ()
    synthetic: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {
            "calls": dict(self.calls),
            "synthetic": dict(self.synthetic),
            "rows": self.rows,
            "datasets": [item.to_json() for item in self.touched],
        }


@dataclass(slots=True)
class _Doomed:
    """Of one task: the calls, ``made`` from them, what these asked, and the row that each would be by itself, also if it came again."""

    ids: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    rows: set[str] = field(default_factory=set)


def erase(workspace: Workspace, *, key: str = "", user: str = "", id: str = "", is_dry: bool = False) -> Erased:
    """Erase the calls of a key, or of a person as the requests named them, or one call and what the teacher and other students were asked of it. ``is_dry`` changes nothing.

    Raises:
        StoreError: the database cannot be read or written. TaskError: a task file cannot be read.
    """
    store, tasks = workspace.store, {task.name: task for task in workspace.tasks()}
    person = hash_person(user) if user else ""
    reason = f"key {key}" if key else f"person {person}" if person else f"call {id}"
    found: defaultdict[str, _Doomed] = defaultdict(_Doomed)
    for trace in store.calls_of(key=key, person=person, id=id):
        _add(found[trace.task], trace, tasks.get(trace.task))
        if id:
            for audit in store.traces(trace.task, origins=("audit", "shadow")):
                if audit.meta.get("of") == id:
                    _add(found[trace.task], audit, tasks.get(trace.task))
    calls, synthetic, rows, touched = dict[str, int](), dict[str, int](), 0, list[Touched]()
    for name, doomed in sorted(found.items()):
        for trace in find_made_from(store, name, doomed.ids):
            doomed.made.add(trace.id)
            _add(doomed, trace, tasks.get(name))
        kept = _find_kept(workspace, tasks[name], doomed) if name in tasks else set[str]()
        made = _find_rows(workspace, name, doomed) - kept
        gone = made | (doomed.rows - kept)
        calls[name], rows = len(doomed.ids - doomed.made), rows + len(made)
        if doomed.made:
            synthetic[name] = len(doomed.made)
        if not is_dry:
            store.erase_rows(name, sorted(gone), reason, workspace.now())
            store.delete_calls(sorted(doomed.made))
            store.delete_calls(sorted(doomed.ids - doomed.made))
        touched += find_touched(workspace, name, gone)
    return Erased(calls, rows, tuple(touched), synthetic)


def erase_old(workspace: Workspace, task_name: str, days: int | None = None, *, is_dry: bool = False) -> Erased:
    """Delete a task's recorded calls that are older than ``days`` days, or than its file keeps them. Rows that were made of them stay.

    Raises:
        StoreError: JM-825 nobody said how old. TaskError: no such task.
    """
    kept = days if days is not None or task_name.startswith("model:") else workspace.task(task_name).records.keep_days
    if kept is None:
        raise StoreError(
            "JM-825",
            f"nobody said for how long calls of {task_name} are kept",
            expected="--older-than-days N, or `records: {keep_days: N}` in the task file",
            hint=f"journeyman erase --task {task_name} --older-than-days 30",
        )
    store, before = workspace.store, find_limit(kept)
    count = store.count_old(task_name, before) if is_dry else sum(store.delete_old(task_name, before))
    return Erased({task_name: count} if count else {})


def find_limit(days: int) -> str:
    """The time so many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def find_made_from(store: Store, task_name: str, ids: Iterable[str]) -> list[Trace]:
    """Synthetic rows of a task that were made from any of these calls, or from such rows."""
    known, found = set(ids), list[Trace]()
    while True:
        more = [
            trace
            for trace in store.traces(task_name, origins=("synthesize",))
            if trace.id not in known and not known.isdisjoint(_read_sources(trace))
        ]
        if not more:
            return found
        found += more
        known.update(trace.id for trace in more)


def find_touched(workspace: Workspace, task_name: str, more: Iterable[str] = ()) -> list[Touched]:
    """Datasets of a task that have erased rows (or rows in ``more``), and the releases that were trained with them."""
    gone, found = set(more), []
    if not gone and not workspace.store.tombstones(task_name):
        return []
    for entry in workspace.store.datasets(task_name):
        manifest = workspace.store.dataset(entry.hash, task=task_name)
        rows = count_erased(workspace.store, manifest, gone) if manifest is not None else {}
        if rows:
            found.append(Touched(task_name, entry.hash, rows, _find_releases(workspace, task_name, entry.hash)))
    return found


def count_learned(workspace: Workspace, task_name: str, release: str) -> int:
    """Rows that a release was trained with, or measured on, and that were erased since."""
    return sum(sum(item.rows.values()) for item in find_touched(workspace, task_name) if release in item.releases)


def _read_sources(trace: Trace) -> list[str]:
    named = trace.meta.get("made_from")
    return [str(id) for id in named] if isinstance(named, list) else []


def _add(doomed: _Doomed, trace: Trace, task: Task | None) -> None:
    doomed.ids.add(trace.id)
    doomed.inputs.add(_hash_asked(trace))
    if task is not None:
        doomed.rows.add(read_trace(task, trace)[0].hash)


def _hash_asked(trace: Trace) -> str:
    return hash_input(Example(trace.input, None, passages=trace.passages))


def _find_rows(workspace: Workspace, task_name: str, doomed: _Doomed) -> set[str]:
    """Rows of any dataset that have the input of a call."""
    store, named = workspace.store, set[str]()
    for entry in store.datasets(task_name):
        manifest = store.dataset(entry.hash, task=task_name) or {}
        for split in ("train", "dev", "calibration", "test", "unlabelled", "retired"):
            named.update(hash for hash, _, _ in entries(manifest, split))
    return {hash for hash, row in store.rows(named).items() if hash_input(row) in doomed.inputs}


def _find_kept(workspace: Workspace, task: Task, doomed: _Doomed) -> set[str]:
    """Rows that other calls make by themselves."""
    store = workspace.store
    others = [
        trace
        for trace in store.traces(task.name, origins=ORIGINS)
        if trace.id not in doomed.ids and _hash_asked(trace) in doomed.inputs
    ]
    kept, tombstones = set[str](), frozenset(store.tombstones(task.name))
    for instructions in INSTRUCTIONS:
        by_input: defaultdict[str, list[Candidate]] = defaultdict(list)
        for item in collect(task, others, tombstones, instructions, SetAside()):
            kept.add(item.example.hash)
            by_input[item.input_hash].append(item)
        kept.update(merge(items)[0].example.hash for items in by_input.values())
    return kept


def _find_releases(workspace: Workspace, task_name: str, dataset: str) -> tuple[str, ...]:
    folder = workspace.project.releases / task_name
    folders = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    return tuple(
        path.name for path in folders if read_attached(path, lambda found: str(found["dataset"]["hash"])) == dataset
    )
