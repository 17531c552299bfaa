"""`extract T FILES --ladder 0,5,10,25,50`: how good values are, and what they cost, by how many documents are labelled.

At 0 stands the base with the instruction (and the teacher, where that is asked for), then students tuned on ever more of the labelled documents, each on those of the step before and more. All read the same other documents, whose
truths they are held against. A step works in a small project of its own, so that the task's dataset and releases stay as they are; what was tuned and what was read of each document is kept, and the same command goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, bytes_hash, content_hash
from journeyman.core.errors import KnowledgeError
from journeyman.core.files import append_line, disk_errors, mend_lines
from journeyman.core.settings import Setting
from journeyman.data.intake import hash_source
from journeyman.flows.extracting import (
    Extracted,
    Given,
    Outcome,
    Unread,
    extract_held,
    find_labelled,
    stem,
    write_given,
)
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.student import Student, load_student
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.extract.place import Placed
from journeyman.knowledge.extract.scores import Extraction, Scores, score_extractions
from journeyman.knowledge.extract.windows import MOST_TOKENS
from journeyman.knowledge.source import Source
from journeyman.models.catalog import resolve
from journeyman.store.database import open_store

STEPS = (0, 5, 10, 25, 50)
LEAST = 5
"""Labelled documents from which a student is tuned."""
HELD_PART = 3
"""One of so many labelled documents is held out where none are named."""
How = Literal["base", "teacher", "tuned"]
# Held-out documents are elsewhere: a step's own rows are for learning, and some of them for dev.
SHARES: Mapping[str, float] = {"dev_share": 0.2, "calibration_share": 0.0, "test_share": 0.0, "near_copy_jaccard": 1.0}
PASSING = "JM-4"  # errors of models: another time they may answer
WHY = "a step of the ladder"


@dataclass(frozen=True, slots=True)
class Step:
    """``documents`` were labelled, in ``rows`` of their windows. ``scores`` of the held-out documents; of them ``unread`` got no answer, and say nothing. ``usd_per_document`` where a price is known."""

    how: How
    documents: int
    rows: int
    scores: Scores
    unread: int
    tune_seconds: float
    seconds_per_document: float
    usd_per_document: float | None
    student: str = ""


@dataclass(frozen=True, slots=True)
class DocumentLadder:
    steps: tuple[Step, ...]
    labelled: int
    held: int


def climb_documents(
    workspace: Workspace,
    task_name: str,
    given: Sequence[str],
    held: Sequence[str] = (),
    *,
    steps: Sequence[int] = STEPS,
    epochs: int | None = None,
    is_teacher: bool = False,
    most: int = MOST_TOKENS,
) -> DocumentLadder:
    """Each step as it can be had.

    Raises:
        KnowledgeError: JM-980 to JM-983, JM-998 too few documents for these steps, or some on both sides. What tuning and asking raise.
    """
    pool, shown = _share_out(workspace, task_name, given, held)
    steps = sorted(set(steps))
    _check(workspace, task_name, pool, shown, steps)
    run = find_run(
        workspace.project.runs, task_name, "documents", _key(workspace, task_name, pool, shown, epochs, most)
    )
    climbing = _Climbing(workspace, task_name, pool, shown, run, epochs, most)
    with run.lock():
        made = [climbing.step(0)] if 0 in steps else []
        made += [climbing.teacher()] if is_teacher else []
        made += [climbing.step(number) for number in steps if number]
    return DocumentLadder(tuple(made), len(pool.documents), len(shown.documents))


class _Climbing:
    def __init__(
        self, workspace: Workspace, task: str, pool: Given, shown: Given, run: RunFolder, epochs: int | None, most: int
    ) -> None:
        self._workspace, self._task, self._pool, self._shown = workspace, task, pool, shown
        self._run, self._epochs, self._most = run, epochs, most

    def teacher(self) -> Step:
        self._workspace.progress.note("the teacher, on no labelled document")
        read = self._read(self._workspace, self._run.path / "teacher.jsonl", None)
        return self._describe("teacher", 0, 0, read, 0.0)

    def step(self, documents: int) -> Step:
        """Tuned on the first so many documents; the base with the instruction for none, which learns nothing from the rows that make its dataset."""
        self._workspace.progress.note(f"{documents:,} labelled documents" if documents else "the base, no document")
        folder = self._run.path / f"step-{documents}"
        with _open_step(self._workspace, self._task, folder) as own:
            some = replace(self._pool, documents=self._pool.documents[: max(documents, LEAST)], unread=[])
            made = self._tune(own, RunFolder(folder), some, documents)
            student = load_student(own.project.root / str(made["student"]))
            assert student is not None, "a finished run has its student"
            read = self._read(own, folder / "held.jsonl", student)
        rows, seconds = cast(int, made["rows"]), cast(float, made["seconds"])
        how: How = "tuned" if documents else "base"
        return self._describe(how, documents, rows if documents else 0, read, seconds, student.hash)

    def _tune(self, own: Workspace, folder: RunFolder, some: Given, documents: int) -> dict[str, Json]:
        known = folder.read("student.json")
        if known is not None:
            return known
        rows = write_given(own, self._task, some, folder.path / "rows.jsonl", self._most)
        import_sources(own, self._task, [str(folder.path / "rows.jsonl")])
        prepare_task(own, self._task)
        given: dict[str, Json] = {"epochs": self._epochs} if self._epochs is not None else {}
        result = tune(own, self._task, given if documents else {"kind": "prompt"})
        made: dict[str, Json] = {
            "student": str(result.student.folder.relative_to(own.project.root)),
            "rows": rows.count,
            "seconds": cast(float, result.tuned.get("seconds") or 0.0) if documents else 0.0,
        }
        folder.write("student.json", made)
        return made

    def _read(self, own: Workspace, path: Path, student: Student | None) -> list[dict[str, Json]]:
        """What was said of each held-out document, the kept ones not asked again."""
        known = {str(item["name"]): item for item in map(json.loads, mend_lines(path))} if path.is_file() else {}
        left = [source for source in self._shown.documents if source.name not in known]

        def hear(outcome: Outcome) -> None:
            raw = _to_json(own, outcome)
            known[str(raw["name"])] = raw
            if not (isinstance(outcome, Unread) and outcome.code.startswith(PASSING)):
                append_line(path, json.dumps(raw))

        if left:
            extract_held(own, self._task, replace(self._shown, documents=left), hear, student, self._most)
        wanted = [source.name for source in self._shown.documents]
        return [known[name] for name in wanted if name in known and known[name]["truth"] is not None]

    def _describe(
        self,
        how: How,
        documents: int,
        rows: int,
        read: Sequence[Mapping[str, Json]],
        tune_seconds: float,
        student: str = "",
    ) -> Step:
        answered = [item for item in read if item["answer"] is not None]
        prices = [cast(float, item["usd"]) for item in answered if item["usd"] is not None]
        seconds = [cast(float, item["seconds"]) for item in answered]
        return Step(
            how,
            documents,
            rows,
            score_extractions([_extraction(item) for item in read]),
            len(read) - len(answered),
            tune_seconds,
            sum(seconds) / len(seconds) if seconds else 0.0,
            sum(prices) / len(prices) if prices and len(prices) == len(answered) else None,
            student,
        )


@contextmanager
def _open_step(workspace: Workspace, task: str, folder: Path) -> Iterator[Workspace]:
    """A project below the run's folder with the same task, settings and models, and a database of its own."""
    with disk_errors(folder):
        (folder / "tasks").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(workspace.project.tasks / f"{task}.yaml", folder / "tasks" / f"{task}.yaml")
    own = {("prepare", name): Setting(value, "derived", WHY) for name, value in SHARES.items()}
    own |= {("store", "url"): Setting("", "derived", WHY)}
    project = replace(workspace.project, root=folder, settings={**workspace.project.settings, **own})
    project.state.mkdir(exist_ok=True)
    with open_store(project.store_url) as store:
        yield replace(workspace, project=project, store=store)


def _share_out(workspace: Workspace, task_name: str, given: Sequence[str], held: Sequence[str]) -> tuple[Given, Given]:
    """Documents to learn from, in an order that their names decide, and those held out: named ones, else one of three."""
    pool = find_labelled(workspace, given)
    pool.documents.sort(key=lambda source: hash_source(task_name, source.name))
    if held:
        return pool, find_labelled(workspace, held)
    cut = max(1, len(pool.documents) // HELD_PART)
    return replace(pool, documents=pool.documents[cut:]), replace(pool, documents=pool.documents[:cut], unread=[])


def _check(workspace: Workspace, task_name: str, pool: Given, shown: Given, steps: Sequence[int]) -> None:
    """Raises: KnowledgeError: JM-998."""
    most = max([LEAST, *steps])
    wrong = next((number for number in steps if number and number < LEAST), None)
    both = {_hash(source) for source in pool.documents[:most]} & {_hash(source) for source in shown.documents}
    if wrong is None and steps and len(pool.documents) >= most and not both:
        return
    raise KnowledgeError(
        "JM-998",
        "these documents make no ladder",
        where=f"task {task_name}",
        expected=f"steps of 0 or {LEAST} and more, {most:,} labelled documents for the largest, others that are held out",
        got=f"a step of {wrong}"
        if wrong is not None
        else f"{len(both):,} documents that are on both sides"
        if both
        else f"{len(pool.documents):,} labelled documents, and {len(shown.documents):,} held out",
        hint="give fewer or smaller steps, or label more; `--held FILES` names the documents that are held out",
    )


def _key(
    workspace: Workspace, task_name: str, pool: Given, shown: Given, epochs: int | None, most: int
) -> dict[str, Json]:
    """Everything but the steps: another step goes on with what is there."""
    base = resolve(workspace.project.text("base", "model"), progress=workspace.progress)
    sides: list[Json] = [
        [[source.name, _hash(source), _hash(side.truths[stem(source.name)])] for source in side.documents]
        for side in (pool, shown)
    ]
    task = workspace.task(task_name).answering()
    return {"task": task, "base": base.sha256, "sides": content_hash(sides), "epochs": epochs, "window": most}


def _hash(source: Source) -> str:
    return bytes_hash(source.read())


def _to_json(own: Workspace, outcome: Outcome) -> dict[str, Json]:
    if not isinstance(outcome, Extracted):
        return {"name": outcome.name, "code": outcome.code, "answer": None, "truth": outcome.truth, "placed": []}
    calls = [own.store.trace(name) for name in outcome.traces]
    prices = [call.cost_usd if call is not None else None for call in calls]
    known = [price for price in prices if price is not None]
    placed: list[Json] = [[list(one.path), one.status, one.start, one.end] for one in outcome.placed]
    return {
        "name": outcome.document.name,
        "answer": outcome.answer,
        "truth": outcome.truth,
        "placed": placed,
        "seconds": round(outcome.seconds, 4),
        "usd": sum(known) if len(known) == len(prices) else None,
    }


def _extraction(raw: Mapping[str, Json]) -> Extraction:
    """As far as scores look at it; a document without an answer says nothing."""
    placed = [
        Placed(tuple(path), "", status, start=start, end=end)
        for path, status, start, end in cast(list[tuple[list[str | int], Literal["exact"], int, int]], raw["placed"])
    ]
    return Extraction(raw["answer"] if raw["answer"] is not None else {}, raw["truth"], placed)
