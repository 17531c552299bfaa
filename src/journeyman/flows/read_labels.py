"""`label T --read FILE`: what people filled in, checked row by row before any of it is kept. It says nothing of who was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from journeyman.core.errors import GateError
from journeyman.core.example import Target, text_target
from journeyman.data.dataset import read_manifest
from journeyman.data.intake import settle
from journeyman.data.sheet import Filled, read_sheet
from journeyman.flows.kept_labels import DrawnRow, KeptLabels, Label, other_labels
from journeyman.flows.label_fields import NO_ANSWER, show_answer
from journeyman.flows.labels import check_gate, find_labels
from journeyman.flows.measures import Measures
from journeyman.flows.students import choose_student
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.metrics import Estimate, MetricKind
from journeyman.task.task import Task

RIGHT = ("first", "second", "both", "neither")


@dataclass(frozen=True, slots=True)
class ReadBack:
    """``labels`` were in the file, of which ``changed`` say something new; ``open`` rows of the draw have none yet, or people differ on them (``apart``).
    ``agreement``: of the first two people on the rows that have two."""

    labels: int
    changed: int
    drawn: int
    open: int
    apart: int
    people: tuple[str, ...]
    agreement: Estimate | None


def read_labels(workspace: Workspace, task_name: str, path: Path, by: str) -> ReadBack:
    """Keep what a file says, as the word of ``by``. The whole file is checked first; read again it adds nothing.

    Raises:
        GateError: JM-630 nothing tuned, JM-670 a gate that reads no labels, JM-673 no such file, JM-674 rows of another draw, JM-675 an edited row, JM-676 a value that says nothing.
        DataError: JM-301 to JM-303 a file that cannot be read.
    """
    task = workspace.task(task_name)
    dataset, _manifest = read_manifest(workspace.store, task_name)
    _run, student = choose_student(workspace, task_name, dataset)
    kept = find_labels(workspace, task, dataset, student)
    if not by.strip():
        raise _unclear(path, 0, "a name behind --by", repr(by))
    check_gate(task)
    kind = find_metric(task, task.gate.metric, workspace.project.root, Measures(workspace, task).metrics).kind
    rows = {row.name: row for row in kept.rows}
    filled = read_sheet(path)
    _check_rows(path, filled, rows, kept, student.hash, dataset)
    now = workspace.now()
    said = [read_filled(path, item, rows[item.question.row], task, kind, by.strip(), now) for item in filled]
    labels = [label for label in said if label is not None]
    after = kept.add_labels(labels)
    return ReadBack(
        labels=len(labels),
        changed=len(after.history) - len(kept.history),
        drawn=len(after.rows),
        open=len(after.open),
        apart=sum(row.name in after.latest for row in after.open),
        people=tuple(after.people),
        agreement=after.agreement(),
    )


def _check_rows(
    path: Path,
    filled: Sequence[Filled],
    rows: Mapping[str, DrawnRow],
    kept: KeptLabels,
    student: str,
    dataset: str,
) -> None:
    """Each row is of this draw, as it was written, and stands there once."""
    lines: dict[str, int] = {}
    for item in filled:
        name = item.question.row
        if name not in rows:
            raise _foreign(path, item, kept, student, dataset)
        if item.question.hash != rows[name].shown:
            raise GateError(
                "JM-675",
                "this row was edited: it is not what was drawn",
                where=f"{path}:{item.line}",
                expected="only the columns right and answer filled in",
                got=f"another input, first or second in row {name}",
                hint="fill in a fresh copy of the file: `journeyman label TASK --draw 1` writes open rows again",
            )
        if name in lines:
            raise _unclear(path, item.line, "each row once", f"row {name} stands in line {lines[name]} too")
        lines[name] = item.line


def read_filled(
    path: Path, item: Filled, row: DrawnRow, task: Task, kind: MetricKind, by: str, now: str
) -> Label | None:
    """What a line says; None where it says nothing yet. Raises: GateError: JM-676."""
    if not item.right and not item.answer:
        return None
    if item.right and item.right not in RIGHT:
        raise _unclear(path, item.line, f"right: {', '.join(RIGHT)}, or nothing", item.right)
    if item.answer and item.right not in ("", "neither"):
        raise _unclear(
            path, item.line, "an answer of your own only where neither is right", f"{item.right} and an answer"
        )
    answer = _read_answer(path, item, task) if item.answer else None
    right = item.right
    if answer is not None:  # who writes one of the two down says that this one is right
        written = show_answer(task, answer)
        right = "first" if written == item.question.first else "second" if written == item.question.second else ""
    shown = {
        "first": (item.question.first,),
        "second": (item.question.second,),
        "both": (item.question.first, item.question.second),
    }
    if NO_ANSWER in shown.get(right, ()):
        raise _unclear(path, item.line, "an answer that can be read to be right", f"{right}: {NO_ANSWER}")
    if right == "neither" and kind != "binary":
        raise _unclear(
            path,
            item.line,
            f"the right answer in the column answer, for {task.gate.metric} is graded",
            "neither, and no answer",
        )
    sides = ("student", "teacher") if row.is_student_first else ("teacher", "student")
    right = {"first": sides[0], "second": sides[1]}.get(right, right)
    return Label(row.name, by, right, None if right else answer, now)


def _read_answer(path: Path, item: Filled, task: Task) -> Target:
    answer, problem = settle(text_target(item.answer), task.schema)
    if problem:
        raise _unclear(path, item.line, "an answer of this task", f"{item.answer:.80}: {problem}")
    return answer


def _foreign(path: Path, item: Filled, kept: KeptLabels, student: str, dataset: str) -> GateError:
    name = item.question.row
    why = "no draw of this project has it"
    for other in other_labels(kept.path):
        for draw in other.draws:
            if any(row.name == name for row in draw.rows):
                why = (
                    f"it was drawn for the student {draw.student[:12]}, and {student[:12]} is the one to be assessed now"
                    if draw.student != student
                    else f"it was drawn from the dataset {draw.dataset[:12]}, and the latest is {dataset[:12]}"
                    if draw.dataset != dataset
                    else "it was drawn for another metric of the gate, or another task"
                )
    return GateError(
        "JM-674",
        "this row is not of the draw that is to be labelled",
        where=f"{path}:{item.line}",
        expected=f"one of the {len(kept.rows):,} rows drawn for the student {student[:12]}",
        got=f"row {name:.20}: {why}",
        hint="journeyman label TASK --draw N" if not kept.draws else "give the file that was written for this draw",
    )


def _unclear(path: Path, line: int, expected: str, got: str) -> GateError:
    return GateError(
        "JM-676",
        "this label cannot be read, so none of the file was kept",
        where=f"{path}:{line}" if line else str(path),
        expected=expected,
        got=got,
        hint="mend it, then read the file again",
    )
