"""Which windows of extracted documents a person is asked about: those in whose latest answers a value is doubted (``knowledge.extract.doubts``), what stands nowhere first.

Windows that are not for train, and those of documents whose truth is known, are never shown. No value is kept beside the calls that said it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import KnowledgeError
from journeyman.core.example import Example
from journeyman.core.judgements import Judgement, read_judgements
from journeyman.core.trace import Trace
from journeyman.data.candidates import ORIGINS, hash_input, read_trace
from journeyman.data.intake import settle
from journeyman.flows.extracting import EXTRACTED, document_field
from journeyman.flows.label_queue import Candidate, Queue, QueueRow
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.extract.doubts import REASONS, Doubt, DoubtReason
from journeyman.knowledge.extract.edit import get_at
from journeyman.knowledge.extract.leaves import Path
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Review:
    """A window: ``number`` of ``windows`` of its document, from 0; what is doubted, and what other windows say instead, by place."""

    document: str
    number: int
    windows: int
    doubts: tuple[Doubt, ...]
    others: Mapping[Path, tuple[Json, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """``reviews`` by the names of the queue's rows; ``asked`` is the input field that has the document's text. ``counts`` of values that nobody decided yet, by reason."""

    queue: Queue
    reviews: Mapping[str, Review]
    asked: str
    counts: Mapping[DoubtReason, int]


@dataclass(slots=True)
class _Known:
    """What the store has of one window; all but ``traces`` and ``judgements`` of its latest reading."""

    example: Example
    verdict: Mapping[str, Any]
    answer: Candidate
    traces: dict[str, Json] = field(default_factory=dict)
    judgements: dict[str, Judgement] = field(default_factory=dict)


def make_review_queue(workspace: Workspace, task_name: str, by: str) -> ReviewQueue:
    """Rows that somebody else decided are left out, those that ``by`` decided come last.

    Raises:
        KnowledgeError: JM-980 nothing can be extracted with this task, JM-975 nothing is doubted.
    """
    task = workspace.task(task_name)
    asked, _schema = document_field(task)
    found = _scan(workspace, task)
    reviews = {name: _review(workspace, known) for name, known in found.items()}
    wanted = [name for name, review in reviews.items() if review.doubts]
    wanted.sort(key=lambda name: _rank(reviews[name]))
    rows = [_row(name, found[name]) for name in wanted if not _is_decided(found[name], by)]
    if not rows:
        raise KnowledgeError(
            "JM-975",
            "no extracted value waits for a person",
            where=f"task {task_name}",
            expected="values that stand nowhere in their document, that its windows differ on, or that the model is not sure of",
            got=f"{len(found):,} extracted windows without a truth, {len(wanted):,} of them with a doubt that others decided",
            hint=f"journeyman extract {task_name} FILES",
        )
    own = {row.name: row.judgements[by].state for row in rows if by in row.judgements}
    rows.sort(key=lambda row: {"open": 0, "done": 3, "skipped": 2}[own[row.name]] if row.name in own else 1)
    left = Counter(doubt.reason for row in rows if own.get(row.name) != "done" for doubt in reviews[row.name].doubts)
    queue = Queue(task, "", by, "", tuple(rows), {"extracted": len(rows)})
    return ReviewQueue(queue, reviews, asked, {reason: left[reason] for reason in REASONS})


def _scan(workspace: Workspace, task: Task) -> dict[str, _Known]:
    """Extracted windows by input, without those that are to be measured on."""
    found: dict[str, _Known] = {}
    kept = {name: item.split for name, item in workspace.store.assignments(task.name).items()}
    bar, count = workspace.progress, workspace.store.count_traces(task.name, origins=ORIGINS)
    bar.start("read traces", count, "traces")
    for trace in workspace.store.traces(task.name, origins=ORIGINS):
        bar.advance()
        if not (trace.split or EXTRACTED in trace.verdicts):
            continue
        example, reason = read_trace(task, trace)
        name = hash_input(example)
        if trace.split:
            kept[name] = trace.split
        elif not reason:
            _add(found, task, trace, example, name)
    bar.finish()
    return {name: known for name, known in found.items() if kept.get(name, "train") == "train"}


def _add(found: dict[str, _Known], task: Task, trace: Trace, example: Example, name: str) -> None:
    answer, problem = settle(trace.output, task.schema) if trace.output is not None else (None, "none")
    if answer is None or problem:
        return
    known = found.get(name)
    candidate = Candidate(trace.release[:12] or trace.model, answer)
    found[name] = _Known(example, cast(Mapping[str, Any], trace.verdicts[EXTRACTED]), candidate)
    if known is not None:
        found[name].traces, found[name].judgements = known.traces, known.judgements
    found[name].traces[trace.id] = trace.feedback.get("answer")
    found[name].judgements |= read_judgements(trace.feedback)


def _review(workspace: Workspace, known: _Known) -> Review:
    raw = known.verdict
    doubts = tuple(Doubt.from_json(item) for item in raw["doubts"])
    windows = cast(list[str], raw["windows"])
    others = {doubt.path: _read_others(workspace, doubt, windows) for doubt in doubts if doubt.others}
    return Review(raw["document"], raw["window"], len(windows), doubts, others)


def _read_others(workspace: Workspace, doubt: Doubt, windows: list[str]) -> tuple[Json, ...]:
    """What the other windows' calls say, as far as these are still there."""
    found: list[Json] = []
    for said in doubt.others:
        trace = workspace.store.trace(windows[said.window])
        value = get_at(trace.output.value, said.path) if trace is not None and trace.output is not None else None
        if value is not None and value not in found:
            found.append(value)
    return tuple(found)


def _row(name: str, known: _Known) -> QueueRow:
    return QueueRow(
        name=name,
        traces=known.traces,
        example=known.example,
        answers=(known.answer,),
        has_recorded=True,
        reason="extracted",
        why="",
        judgements=known.judgements,
    )


def _is_decided(known: _Known, by: str) -> bool:
    """Whether somebody else did."""
    return any(item.state == "done" and name != by for name, item in known.judgements.items())


def _rank(review: Review) -> tuple[int, float]:
    """The strongest reason, then the least sure."""
    first = min(REASONS.index(doubt.reason) for doubt in review.doubts)
    return first, min(1.0 if doubt.confidence is None else doubt.confidence for doubt in review.doubts)
