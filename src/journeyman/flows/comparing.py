"""`report T --compare A B`: two tuning runs' students on the same dev rows, with a paired interval and what they disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from journeyman.core.errors import GateError
from journeyman.data.dataset import read_manifest
from journeyman.evaluation.comparison import Comparison, describe_cell, describe_disagreement
from journeyman.evaluation.comparison_page import write_page
from journeyman.evaluation.grid import ERROR, Cell, compare_scores, find_disagreements, score_answers
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.asking import ask_student
from journeyman.flows.labels import DEV_ANSWERS, assess_run
from journeyman.flows.panel import Panel
from journeyman.flows.rows import read_rows
from journeyman.flows.student import Student
from journeyman.flows.students import finished_students
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import metrics_of
from journeyman.task.task import Task

PAGE = "comparison.html"
MOST_SHOWN = 100


def compare_runs(
    workspace: Workspace, task_name: str, names: tuple[str, str], out: Path | None = None
) -> tuple[Comparison, Path]:
    """Ask on dev what no earlier command asked, compare the second with the first, write the page.

    Raises:
        GateError: JM-634 no such run on the latest dataset, JM-65x a judge that is not there or was not measured; JM-601 dev has no rows; JM-605 too few rows.
    """
    task = workspace.task(task_name)
    dataset, manifest = read_manifest(workspace.store, task_name)
    splits = read_rows(workspace.store, manifest)
    rows = [row for row in splits.dev if row.expected is not None]
    panel = Panel(workspace, task)
    panel.refuse_unmeasured()
    metrics = metrics_of(task, workspace.project.root, panel.metrics)
    students = [_find_student(workspace, task_name, dataset, name) for name in names]
    answered = [_ask(workspace, task, dataset, student, rows) for student in students]
    metric = metrics[task.gate.metric]
    scores = [score_answers(metric, rows, said) for said in answered]
    difference = compare_scores(metric, rows, scores[1], scores[0], ERROR, splits.heaviest)
    cells = [Cell(place, "", name, 0, 0.0) for place, name in enumerate(names, start=1)]
    found = find_disagreements(rows, answered[0], answered[1], (scores[0], scores[1]))
    comparison = Comparison(
        task=task_name,
        dataset=dataset,
        metric=metric.name,
        rows=len(rows),
        groups=len({row.group or row.hash for row in rows}),
        baseline=1,
        instructions={},
        cells=tuple(
            describe_cell(cell, metrics, rows, said, difference if cell.number == 2 else None)
            for cell, said in zip(cells, answered, strict=True)
        ),
        pair=(1, 2),
        disagreed=len(found),
        disagreements=tuple(describe_disagreement(task, item) for item in found[:MOST_SHOWN]),
        judges=panel.parts(),
    )
    path = out or assess_run(workspace, task_name, students[1], dataset).path / PAGE
    write_page(path, comparison, workspace.now())
    return comparison, path


def _find_student(workspace: Workspace, task_name: str, dataset: str, name: str) -> Student:
    """Of the latest dataset: dev rows of this one may be what a student of another learned."""
    known = dict(finished_students(workspace, workspace.task(task_name), dataset))
    if name not in known:
        raise GateError(
            "JM-634",
            "this is no finished run on the latest dataset, of the task as its file says it now",
            where=f"task {task_name}, dataset {dataset[:12]}",
            expected=", ".join(list(known)[-5:]) or "a run of `journeyman tune`",
            got=name,
            hint=f"journeyman tune {task_name} prints the name of its run",
        )
    return known[name]


def _ask(workspace: Workspace, task: Task, dataset: str, student: Student, rows: Sequence[Row]) -> Predictions:
    run = assess_run(workspace, task.name, student, dataset)
    with run.lock():
        (answered,) = ask_student(workspace, task, student, (rows, run.path / DEV_ANSWERS))
    return answered
