"""`label T`: draw sealed rows on which student and teacher differ, have people say blind which answer is right, and let `assess` decide on it.

Drawing belongs to the look that `assess` takes: it asks the student what `assess` would ask, and says nothing of what came.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.core.files import refuse_existing
from journeyman.data.dataset import read_manifest
from journeyman.data.sheet import Question, check_ending, write_sheet
from journeyman.evaluation.document import Figure, LabelsPart
from journeyman.evaluation.gate import Verdict, decide, fitting_rows, score_rows
from journeyman.evaluation.labels import Frame, decide_labelled, expect_differing, make_frame, weigh
from journeyman.evaluation.run import Predictions, Row
from journeyman.evaluation.slices import Slice, find_slices
from journeyman.flows.asking import ask_student
from journeyman.flows.kept_labels import Draw, DrawnRow, KeptLabels, labels_path, load_labels
from journeyman.flows.label_fields import show_answer
from journeyman.flows.measures import find_gate_metric
from journeyman.flows.rows import Rows, read_rows
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.student import Student
from journeyman.flows.students import choose_student, gate_rule
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

TEST_ANSWERS, DEV_ANSWERS = "student-test.jsonl", "student-dev.jsonl"


@dataclass(frozen=True, slots=True)
class Drawn:
    """``written`` rows lie in ``out``; ``is_new`` where they were drawn now, and were not open from before."""

    student: str
    number: int
    written: int
    out: Path
    is_new: bool


@dataclass(frozen=True, slots=True)
class Basis:
    """What a gate is decided on: ``rule`` is what labels add to the rule of the look."""

    decide: Callable[[float], Verdict]
    slices: Sequence[Slice]
    rule: dict[str, Json]
    part: LabelsPart | None = None


def draw_labels(workspace: Workspace, task_name: str, count: int, out: Path) -> Drawn:
    """Draw ``count`` further rows and write them for people; rows that are still open are written again instead.

    Raises:
        GateError: those of ``open_draw``, JM-673 the file's ending.
        StoreError: JM-822 the file exists.
    """
    check_ending(out)
    refuse_existing(out, is_file=True)
    drawn = open_draw(workspace, task_name, lambda kept: 0 if kept.open else count)
    questions = drawn.questions(drawn.kept.open)
    if questions:
        write_sheet(out, questions)
    return Drawn(drawn.student, drawn.kept.draws[-1].number, len(questions), out, drawn.is_new)


@dataclass(frozen=True, slots=True)
class OpenDraw:
    """What was drawn of a student so far, and what people are asked about it."""

    task: Task
    student: str
    kept: KeptLabels
    frame: Frame
    is_new: bool

    def questions(self, rows: Sequence[DrawnRow]) -> list[Question]:
        return _questions(self.task, self.frame, rows)


def open_draw(workspace: Workspace, task_name: str, count: Callable[[KeptLabels], int]) -> OpenDraw:
    """The rows that were drawn, with as many further ones as ``count`` says of them.

    Raises:
        GateError: JM-630 nothing tuned, JM-670 a gate that needs no such labels, JM-671 nothing to draw, JM-672 rows without an answer, JM-678 the student
            answers otherwise than when it was drawn before, JM-690 or JM-691 of a metric.
    """
    task = workspace.task(task_name)
    check_gate(task)
    metric = find_gate_metric(workspace, task)
    dataset, manifest = read_manifest(workspace.store, task_name)
    _run, student = choose_student(workspace, task_name, dataset)
    rows = read_rows(workspace.store, manifest)
    _check_rows(task_name, rows)
    run = assess_run(workspace, task_name, student, dataset)
    with run.lock():
        sealed, dev = _ask(workspace, task, student, run, rows)
        spec = task.metrics.get(task.gate.metric)
        frame = make_frame(metric, spec, rows.sealed, sealed)
        kept = find_labels(workspace, task, dataset, student)
        _check_answers(kept, frame, task_name)
        further = count(kept)
        if further:
            dev_frame = make_frame(metric, spec, rows.dev, dev) if dev else Frame((), (), ())
            kept = kept.add_draw(_draw(workspace, task, kept, frame, dev_frame, further, student.hash, dataset))
    return OpenDraw(task, student.hash, kept, frame, further > 0)


def find_labels(workspace: Workspace, task: Task, dataset: str, student: Student) -> KeptLabels:
    """Draws and labels of a student on a dataset under the gate's metric."""
    key: dict[str, Json] = {
        "task": task.name,
        "student": student.hash,
        "dataset": dataset,
        "metric": [task.gate.metric, gate_rule(workspace, task)["metric"]],
    }
    return load_labels(labels_path(workspace.project.state, task.name, key))


def labels_rule(task: Task, kept: KeptLabels) -> dict[str, Json]:
    """What draws add to the rule of a look: another number of labels is another look. Empty where none was drawn."""
    return {"labels": kept.design.asked} if kept.draws and task.gate.against == "teacher" else {}


def refuse_open(task: Task, kept: KeptLabels) -> None:
    """No verdict until the draw is complete: who could look at each label would stop at a good moment.

    Raises:
        GateError: JM-677.
    """
    if not labels_rule(task, kept) or not kept.open:
        return
    differ = sum(row.name in kept.latest for row in kept.open)
    raise GateError(
        "JM-677",
        "drawn rows are not labelled yet, so nothing can be decided",
        where=f"task {task.name}",
        expected=f"labels for all {len(kept.rows):,} rows that were drawn",
        got=f"{len(kept.open):,} open" + (f", on {differ:,} of them people differ" if differ else ""),
        hint=f"`journeyman label {task.name} --draw 1 --out open.csv` writes them again; then `journeyman label {task.name} --read open.csv --by NAME`",
    )


def find_basis(task: Task, metric: Metric, rows: Rows, answered: Predictions, kept: KeptLabels) -> Basis:
    """What the gate is decided on: the rows that fit its rule, or, where labels were drawn, the whole sealed split by them.

    Raises:
        GateError: JM-604 no row fits, JM-678 the answers are not those that were drawn from.
    """
    gate = task.gate
    if not labels_rule(task, kept):
        scores = score_rows(gate, metric, rows.sealed, answered)
        return Basis(
            lambda level: decide(gate, scores, level, metric.kind, rows.heaviest),
            find_slices(fitting_rows(gate, rows.sealed), scores),
            {},
        )
    frame = make_frame(metric, task.metrics.get(gate.metric), rows.sealed, answered)
    _check_answers(kept, frame, task.name)
    targets = answers_of(frame)
    weighed = weigh(metric, frame, kept.truths(targets), kept.design, rows.heaviest)
    with_gold = fitting_rows(gate, rows.sealed)
    slices = find_slices(with_gold, score_rows(gate, metric, rows.sealed, answered)) if with_gold else []
    agreement = kept.agreement()
    part = LabelsPart(
        labelled=len(kept.rows),
        differing=kept.design.differing,
        gold=sum(row.gold is not None for row in frame.rows),
        alike=sum(alike and row.gold is None for alike, row in zip(frame.is_alike, frame.rows, strict=True)),
        probability=kept.design.probability,
        scale=weighed.scale,
        people=len(kept.people),
        agreement=Figure.of(agreement) if agreement else None,
    )
    return Basis(
        lambda level: decide_labelled(gate, weighed, level, metric.kind), slices, labels_rule(task, kept), part
    )


def answers_of(frame: Frame) -> dict[str, tuple[Target | None, Target | None]]:
    """The student's and the teacher's answer by row hash."""
    return {row.hash: (given, row.teacher) for row, given in zip(frame.rows, frame.given, strict=True)}


def assess_run(workspace: Workspace, task_name: str, student: Student, dataset: str) -> RunFolder:
    """One folder of answers for a student and a dataset, whatever rule decides on them."""
    return find_run(workspace.project.runs, task_name, "assess", {"student": student.hash, "dataset": dataset})


def _ask(
    workspace: Workspace, task: Task, student: Student, run: RunFolder, rows: Rows
) -> tuple[Predictions, Predictions | None]:
    """The student on sealed and dev rows, as `assess` asks it: what one asked the other finds."""
    sets = [(rows.sealed, run.path / TEST_ANSWERS), *([(rows.dev, run.path / DEV_ANSWERS)] if rows.dev else [])]
    answered = ask_student(workspace, task, student, *sets)
    for part in answered:
        _refuse_failed(task, part)
    return answered[0], answered[1] if rows.dev else None


def _draw(
    workspace: Workspace,
    task: Task,
    kept: KeptLabels,
    frame: Frame,
    dev: Frame,
    count: int,
    student: str,
    dataset: str,
) -> Draw:
    """``count`` of the rows that are left, by a seed that names the draw.

    Raises:
        GateError: JM-671 all were drawn before.
    """
    number, differing, taken = len(kept.draws) + 1, frame.differing, {row.hash for row in kept.rows}
    left = [row for row in differing if row not in taken]
    if kept.draws and not left:
        raise GateError(
            "JM-671",
            "every sealed row on which the answers differ is labelled",
            where=f"task {task.name}",
            hint=f"journeyman assess {task.name}; where that is inconclusive, import more sealed rows",
        )
    seed = content_hash({"task": task.name, "dataset": dataset, "student": student, "draw": number})
    chosen = random.Random(seed).sample(left, min(count, len(left)))
    shown = {row.hash: (row, given) for row, given in zip(frame.rows, frame.given, strict=True)}
    drawn = []
    for hash in sorted(chosen, key=lambda hash: content_hash([seed, "order", hash])):
        is_first = int(content_hash([seed, "side", hash])[:8], 16) % 2 == 0
        name = content_hash([seed, "name", hash])[:12]
        question = _question(task, name, *shown[hash], is_first)
        drawn.append(DrawnRow(name, hash, question.hash, is_first))
    return Draw(
        number=number,
        time=workspace.now(),
        asked=count,
        differing=len(differing),
        expected=kept.design.expected if kept.draws else expect_differing(frame, dev),
        answers=frame.answers,
        student=student,
        dataset=dataset,
        rows=tuple(drawn),
    )


def _questions(task: Task, frame: Frame, rows: Sequence[DrawnRow]) -> list[Question]:
    shown = {row.hash: (row, given) for row, given in zip(frame.rows, frame.given, strict=True)}
    return [_question(task, row.name, *shown[row.hash], row.is_student_first) for row in rows]


def _question(task: Task, name: str, row: Row, given: Target | None, is_student_first: bool) -> Question:
    answers = show_answer(task, given), show_answer(task, row.teacher)
    first, second = answers if is_student_first else answers[::-1]
    return Question(name, user_text(task, row.input), first, second)


def check_gate(task: Task) -> None:
    """Raises: GateError: JM-670 the gate is not decided by labels."""
    spec = task.metrics.get(task.gate.metric)
    if spec is not None and spec.kind == "judge":
        raise GateError(
            "JM-670",
            "a judge compares the student with the teacher by itself, so its gate needs no labels of rows",
            where=f"task {task.name}",
            expected="a metric that asks no model",
            got=f"{task.gate.metric}, a judge",
            hint=f"journeyman judge {task.name} measures it on labelled pairs",
        )
    if task.gate.against != "teacher":
        raise GateError(
            "JM-670",
            f"a gate against {task.gate.against} is not decided by labels of rows where answers differ",
            where=f"task {task.name}",
            expected="`against: teacher`",
            got=f"`against: {task.gate.against}`",
            hint="import rows with gold, or change the gate"
            if task.gate.against == "floor"
            else f"journeyman assess {task.name}: agreement needs no labels",
        )


def _check_rows(task_name: str, rows: Rows) -> None:
    if not any(row.gold is None and row.teacher is not None for row in rows.sealed):
        raise GateError(
            "JM-671",
            "no sealed row needs a label",
            where=f"task {task_name}",
            expected="sealed rows with a recorded answer of the teacher and without gold",
            got=f"{len(rows.sealed):,} sealed rows",
            hint=f"journeyman assess {task_name}, or import more sealed rows",
        )


def _refuse_failed(task: Task, answered: Predictions) -> None:
    """A row that could not be asked would count as a wrong answer, and differ for good."""
    errors = [item.error for item in answered.items if item.error]
    if errors:
        raise GateError(
            "JM-672",
            f"{len(errors):,} of {len(answered.items):,} rows got no answer, so nothing was drawn",
            where=f"task {task.name}",
            got=errors[0],
            hint="run the same command again: what was answered is kept",
            retryable=True,
        )


def _check_answers(kept: KeptLabels, frame: Frame, task_name: str) -> None:
    if kept.draws and kept.draws[0].answers != frame.answers:
        raise GateError(
            "JM-678",
            "the student's answers are others than those that rows were drawn from",
            where=f"task {task_name}",
            expected=f"answers with the hash {kept.draws[0].answers[:12]}",
            got=frame.answers[:12],
            hint=f"where a call failed, run the command again; else move {kept.path} away and draw again",
        )
