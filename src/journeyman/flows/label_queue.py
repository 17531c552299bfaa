"""Which train rows a person is asked about, and in which order: where the student says something else than the recorded answer, then labels that cross-validation doubts, then those
that are uncertain, then inputs that have no answer yet, then the rest by a random draw whose seed is kept. Before there is a dataset: the inputs without an answer.

What other people said of a row is not in its shown answer: who looks at it again does not know.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import DataError
from journeyman.core.example import Example, Target
from journeyman.core.judgements import UNANSWERED, Judgement, read_judgements
from journeyman.core.trace import Trace
from journeyman.data.candidates import ORIGINS, Instructions, hash_input, read_trace
from journeyman.data.dataset import check_current, read_manifest, read_split, read_unlabelled
from journeyman.data.intake import settle
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.weak import WeakSpot, find_weak_spots
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.student import Student
from journeyman.flows.vectors import embed_rows
from journeyman.flows.workspace import Workspace
from journeyman.measure.noise import LEAST_ROWS
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

# Imported where they are used: torch and the server take seconds, and most queues need neither.
Reason = Literal["differs", "doubted", "uncertain", "unanswered", "drawn", "extracted"]
REASONS: tuple[Reason, ...] = ("differs", "doubted", "uncertain", UNANSWERED, "drawn")
TRAIN_ANSWERS, DOUBTS, QUEUE = "student-train.jsonl", "doubts.json", "queue.json"
UNSURE = 0.6
"""A student below this confidence, or an answer that fewer of the samples give, is uncertain."""
MOST_ANSWERS = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that is shown, and who gave it."""

    who: str
    target: Target


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One input: ``name`` is its hash, ``traces`` the calls that a judgement is written to, each with the correction of its caller that was there. ``answers``: the recorded one first, if there is one. ``judgements`` by person when the queue was made;
    ``keeps_text``: its text was imported as it is, so that personal data in an answer are nothing new."""

    name: str
    traces: Mapping[str, Json]
    example: Example
    answers: tuple[Candidate, ...]
    has_recorded: bool
    reason: Reason
    why: str
    judgements: Mapping[str, Judgement]
    keeps_text: bool = False

    @property
    def recorded(self) -> Target | None:
        return self.answers[0].target if self.has_recorded else None


@dataclass(frozen=True, slots=True)
class Queue:
    """``rows`` in the order in which they are asked; those that ``by`` decided before come last. ``counts`` of those that are open by reason; ``seed`` of the random part."""

    task: Task
    dataset: str
    by: str
    seed: str
    rows: tuple[QueueRow, ...]
    counts: Mapping[Reason, int]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """What the store has of one input. ``base``: what was reviewed before anybody labelled; ``students`` what releases answered."""

    traces: dict[str, Json] = field(default_factory=dict)
    base: Target | None = None
    students: list[Target] = field(default_factory=list)
    judgements: dict[str, Judgement] = field(default_factory=dict)
    keeps_text: bool = False


@dataclass(frozen=True, slots=True)
class _Suspicion:
    """``value`` of a field, of probability ``given``, is likelier ``likely``, of probability ``taken``."""

    field: str
    value: Json
    likely: Json
    given: float
    taken: float


@dataclass(frozen=True, slots=True)
class _Signs:
    """What speaks for asking about a row: by input hash, and by row hash where it is of this dataset."""

    known: Mapping[str, _Known]
    predictions: Mapping[str, Prediction]
    doubts: Mapping[str, _Suspicion]
    spots: Sequence[WeakSpot]


def make_queue(
    workspace: Workspace,
    task_name: str,
    by: str,
    *,
    is_weak: bool = False,
    again: float = 0.0,
    is_asking: bool = False,
) -> Queue:
    """The train rows of the latest dataset, and inputs without an answer. ``again`` is the share of rows that somebody else labelled already; ``is_weak`` puts those first that have a part in which the student errs on dev;
    ``is_asking`` asks the student each row also where it is a language model.

    Raises:
        DataError: JM-354 the output has changed since, JM-372 there is no train row to label. GateError: JM-620 or JM-630 for ``is_weak``: nothing assessed.
    """
    task = workspace.task(task_name)
    dataset, instructions, rows_there = _read_rows(workspace, task)
    spots = _find_spots(workspace, task) if is_weak else []
    run = find_run(workspace.project.runs, task_name, "label", {"dataset": dataset})
    examples, known = _scan(workspace, task, instructions, rows_there)
    predictions, note = _ask(workspace, task, list(examples.values()), is_asking)
    with run.lock():
        doubts, unlooked = _doubt(workspace, task, run, list(examples.values()))
        seed = content_hash({"task": task_name, "dataset": dataset, "label": "train"})[:16]
        run.write(QUEUE, {"seed": seed, "rows": len(examples)})
    signs = _Signs(known, predictions, doubts, spots)
    ranked = sorted(
        ((_rank(task, row, name, signs, seed), name) for name, row in examples.items() if known[name].traces),
        key=lambda item: (item[0].order, item[1]),
    )
    if not ranked:
        raise DataError(
            "JM-372",
            "there is no train row to label",
            where=f"task {task_name}, dataset {dataset[:12]}" if dataset else f"task {task_name}",
            expected="train rows whose recorded calls are still in the store, or inputs without an answer",
            got=f"{len(examples):,} rows",
            hint=f"journeyman {f'prepare {task_name}' if dataset else f'import FILE --task {task_name}'}",
        )
    rows = [rank.row for rank, _name in ranked]
    asked = _mix(rows, by, again, seed)
    notes = [item for item in (note, f"labels were not doubted: {unlooked}" if unlooked else "") if item]
    decided = [row for row in rows if by in row.judgements and row.judgements[by].state == "done"]
    counts = {reason: sum(row.reason == reason for row in asked) for reason in REASONS}
    return Queue(task, dataset, by, seed, (*asked, *decided), counts, tuple(notes))


def _read_rows(workspace: Workspace, task: Task) -> tuple[str, Instructions, dict[str, Example] | None]:
    """The latest dataset, how it reads instructions, and its rows by input; None without a dataset."""
    store = workspace.store
    if store.latest_dataset(task.name) is None:
        return "", "own", None
    dataset, manifest = read_manifest(store, task.name)
    check_current(manifest, task.name, task.schema)
    rows = [*read_split(store, manifest, "train"), *read_unlabelled(store, manifest)]
    settings = cast(Mapping[str, Json], manifest["settings"])
    return dataset, cast(Instructions, settings["instructions"]), {hash_input(row): row for row in rows}


def _find_spots(workspace: Workspace, task: Task) -> list[WeakSpot]:
    from journeyman.flows.assess import find_assessed

    return find_weak_spots(task, find_assessed(workspace, task.name).dev)


def _scan(
    workspace: Workspace, task: Task, instructions: Instructions, rows: Mapping[str, Example] | None
) -> tuple[Mapping[str, Example], dict[str, _Known]]:
    """The rows, and the calls that each is made of; where there are none yet, all inputs that nobody but a person who labels has answered."""
    known: defaultdict[str, _Known] = defaultdict(_Known)
    found: dict[str, Example] = {}
    passed: set[str] = set()
    tombstones = workspace.store.tombstones(task.name)
    bar, count = workspace.progress, workspace.store.count_traces(task.name, origins=ORIGINS)
    bar.start("read traces", count, "traces")
    for trace in workspace.store.traces(task.name, origins=ORIGINS):
        bar.advance()
        example, reason = read_trace(task, trace, instructions)
        name = hash_input(example)
        if reason or trace.split == "test" or example.hash in tombstones:
            passed.add(name)
        elif rows is None or name in rows:
            found.setdefault(name, example)
            _add(known[name], task, trace)
            is_answered = example.answer is not None and not read_judgements(trace.feedback)
            passed.update([name] if is_answered or trace.split not in ("", "train") else [])
    bar.finish()
    return rows if rows is not None else {name: row for name, row in found.items() if name not in passed}, known


def _add(known: _Known, task: Task, trace: Trace) -> None:
    known.traces[trace.id] = trace.feedback.get("answer")
    base = trace.complaint or trace.gold
    if base is not None:
        known.base = settle(base, task.schema)[0]
    if trace.release and trace.output is not None and trace.status == "ok":
        known.students.append(settle(trace.output, task.schema)[0])
    known.judgements |= read_judgements(trace.feedback)
    known.keeps_text = known.keeps_text or bool(trace.split)


def _ask(
    workspace: Workspace, task: Task, rows: Sequence[Example], is_asking: bool
) -> tuple[dict[str, Prediction], str]:
    """What the student says to each row, by row hash: a light one is asked, a language model only where that is wanted."""
    from journeyman.flows.students import find_best, finished_students

    for entry in reversed(workspace.store.datasets(task.name)):
        found = dict(finished_students(workspace, task, entry.hash))
        if found:
            student = found[find_best(workspace, task, entry.hash, found)]
            return _ask_student(workspace, task, student, entry.hash, rows, is_asking)
    return {}, "no student is tuned yet: rows are queued without what it would say"


def _ask_student(
    workspace: Workspace, task: Task, student: Student, dataset: str, rows: Sequence[Example], is_asking: bool
) -> tuple[dict[str, Prediction], str]:
    if not (student.is_light or is_asking):
        return {}, f"the student was not asked its {len(rows):,} train rows: --ask-student does, and takes a while"
    from journeyman.flows.asking import ask_student
    from journeyman.flows.labels import assess_run

    run = assess_run(workspace, task.name, student, dataset)
    asked = [Row.from_example(row) for row in rows]
    with run.lock():
        (predictions,) = ask_student(workspace, task, student, (asked, run.path / TRAIN_ANSWERS))
    return {item.row: item for item in predictions.items if not item.error}, ""


def _doubt(
    workspace: Workspace, task: Task, run: RunFolder, rows: Sequence[Example]
) -> tuple[dict[str, _Suspicion], str]:
    """By row hash, the most certain of a row; kept, for embedding all rows takes a while."""
    kept = run.read(DOUBTS)
    if kept is None:
        answered = [row for row in rows if row.answer is not None]
        if len(answered) < LEAST_ROWS:
            return {}, f"fewer than {LEAST_ROWS} rows with an answer"
        from journeyman.flows.quality import find_doubts

        vectors = embed_rows([user_text(task, row.input) for row in answered], workspace.progress)[0]
        doubts, unlooked = find_doubts(task, answered, vectors)
        found: dict[str, Json] = {}
        for item in doubts:
            found.setdefault(item.hash, [item.field, item.value, item.likely, item.given, item.taken])
        kept = {"doubts": found, "unlooked": unlooked}
        run.write(DOUBTS, kept)
    listed = cast(dict[str, list[Json]], kept["doubts"])
    return {hash: _Suspicion(*raw) for hash, raw in listed.items()}, str(kept["unlooked"])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Rank:
    order: tuple[int, int, float]
    row: QueueRow


def _rank(task: Task, example: Example, name: str, signs: _Signs, seed: str) -> _Rank:
    known = signs.known[name]
    prediction, doubt = signs.predictions.get(example.hash), signs.doubts.get(example.hash)
    recorded = known.base if known.base is not None else example.target
    said = [prediction.target] if prediction is not None and prediction.target is not None else []
    answers = _answers(recorded, [*known.students, *said], example)
    reason, why, weight = _find_reason(recorded, [*known.students, *said], prediction, doubt, example)
    if reason in ("drawn", UNANSWERED):
        # Rows that were reviewed already wait behind all others.
        weight = int(content_hash([seed, name])[:12], 16) / 16**12 + (known.base is not None)
    spot = next((item for item in signs.spots if _has(item, recorded)), None)
    if spot is not None:
        why = f"{why}; the student errs on {spot.name}"
    is_weak = spot is not None
    row = QueueRow(
        name=name,
        traces=known.traces,
        example=example,
        answers=answers,
        has_recorded=recorded is not None,
        reason=reason,
        why=why,
        judgements=known.judgements,
        keeps_text=known.keeps_text,
    )
    return _Rank((0 if is_weak else 1, REASONS.index(reason), weight), row)


def _answers(recorded: Target | None, students: Sequence[Target], example: Example) -> tuple[Candidate, ...]:
    """Each answer once: the recorded one, the students', then other samples."""
    found = [Candidate("recorded", recorded)] if recorded is not None else []
    samples = sorted((item for item in example.alternatives if not item.verdict), key=lambda item: -item.weight)
    others = [Candidate("the student", target) for target in students]
    others += [Candidate("another sample", item.target) for item in samples]
    for item in others:
        if all(item.target != known.target for known in found):
            found.append(item)
    return tuple(found[:MOST_ANSWERS])


def _find_reason(
    recorded: Target | None,
    students: Sequence[Target],
    prediction: Prediction | None,
    doubt: _Suspicion | None,
    example: Example,
) -> tuple[Reason, str, float]:
    """Why a row is asked about, in words, and its place among the rows of that reason: the lower the sooner."""
    sure = prediction.confidence.whole if prediction is not None and prediction.confidence is not None else None
    if recorded is not None and any(target != recorded for target in students):
        shown = f" ({100 * sure:.0f} % sure)" if sure is not None else ""
        return "differs", f"the student{shown} says something else than the recorded answer", -(sure or 0.0)
    if doubt is not None:
        field = doubt.field or "the answer"
        why = f"{field}: rather {dump(doubt.likely)} ({doubt.taken:.2f}) than {dump(doubt.value)} ({doubt.given:.2f}), by heads that did not learn it"
        return "doubted", why, doubt.given - doubt.taken
    samples = sum(item.weight for item in example.alternatives if not item.verdict)
    own = max(1.0, example.count - samples)
    share = own / (own + samples)
    if samples and share < UNSURE:
        return "uncertain", f"samples of the teacher differ: {100 * share:.0f} % say the recorded answer", share
    if sure is not None and sure < UNSURE:
        return "uncertain", f"the student is {100 * sure:.0f} % sure of it", sure
    if recorded is None and not students and not example.alternatives:
        return UNANSWERED, "it has no answer yet", 0.0
    return "drawn", "drawn at random", 0.0


def _has(spot: WeakSpot, answer: Target | None) -> bool:
    """Whether an answer has the part that the student gets wrong, as it should be or as it is taken for."""
    if answer is None or answer.kind != "object" or not isinstance(answer.value, dict) or not spot.field:
        return False
    value = answer.value.get(spot.field)
    return value in (spot.value, spot.given) if spot.kind == "taken for another" else value is not None


def _mix(rows: Sequence[QueueRow], by: str, again: float, seed: str) -> list[QueueRow]:
    """The rows that ``by`` has not decided: begun ones first, skipped ones last, and those that others decided in between as often as wanted."""
    draw = random.Random(f"{seed} {by}")
    fresh, begun, skipped, others = list[QueueRow](), list[QueueRow](), list[QueueRow](), list[QueueRow]()
    for row in rows:
        own = row.judgements.get(by)
        if own is not None:
            {"done": [], "open": begun, "skipped": skipped}[own.state].append(row)
        elif any(item.state == "done" for item in row.judgements.values()):
            others.append(row)
        else:
            fresh.append(row)
    draw.shuffle(others)
    mixed = list[QueueRow]()
    for row in fresh:
        while others and draw.random() < again:
            mixed.append(others.pop())
        mixed.append(row)
    rest = others if again and not fresh else []
    return [*begun, *mixed, *rest, *skipped]
