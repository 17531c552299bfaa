"""The students of a dataset that can be assessed, and which of them goes to the sealed split."""

from __future__ import annotations

from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.flows.runs import LADDER, MATERIAL, PARITY, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace
from journeyman.task.task import Task


def finished_students(workspace: Workspace, task: Task, dataset: str) -> list[tuple[str, Student]]:
    """Run and student of those whose export was compared with torch, of this dataset and of the task as it stands. What a student was tuned to answer is
    in its manifest."""
    wanted = task.answering()
    found = []
    for path in sorted(workspace.project.runs.glob(f"{task.name}-tune-*")):
        run = RunFolder(path)
        material, parity, result = run.read(MATERIAL), run.read(PARITY), run.read(RESULT)
        if material and parity and result and material["dataset"] == dataset:
            student = load_student(path / STUDENT)
            assert student is not None, "a run with a parity result has a student"
            if student.manifest.task == wanted:
                found.append((run.id, student))
    return found


def choose_student(workspace: Workspace, task_name: str, dataset: str) -> tuple[RunFolder, Student]:
    """The ladder's choice, if nothing was tuned since; else the best on dev: the exact share decides, then the loss of a whole answer there.

    Raises:
        GateError: JM-630 there is none.
    """
    task = workspace.task(task_name)
    found = dict(finished_students(workspace, task, dataset))
    if not found:
        raise GateError(
            "JM-630",
            f"no student of {task_name} was tuned on its latest dataset for the task as its file says it now",
            where=f"dataset {dataset[:12]}",
            hint=f"journeyman tune {task_name}",
        )
    runs, ladder = workspace.project.runs, read_ladder(workspace, task, dataset)
    best = max(found, key=lambda name: _dev_score(RunFolder(runs / name)))
    chosen = str(ladder["chosen"]) if ladder else best
    return RunFolder(runs / chosen), found[chosen]


def read_ladder(workspace: Workspace, task: Task, dataset: str) -> dict[str, Json] | None:
    """What the last climb chose and saw; None where there was none, it chose nothing, the gate is another, or students were tuned since."""
    ladder = ladder_run(workspace, task, dataset).read(LADDER)
    if not ladder or not ladder["chosen"] or ladder["gate"] != task.gate.to_json():
        return None
    seen = set(cast(list[str], ladder["seen"]))
    return ladder if {run for run, _student in finished_students(workspace, task, dataset)} <= seen else None


def ladder_run(workspace: Workspace, task: Task, dataset: str) -> RunFolder:
    """One folder of dev answers for a task and a dataset."""
    return find_run(workspace.project.runs, task.name, "ladder", {"task": task.answering(), "dataset": dataset})


def _dev_score(run: RunFolder) -> tuple[float, float]:
    result = run.read(RESULT) or {}
    return cast(float, result["dev_exact"] or 0.0), -cast(float, result["dev_row_loss"] or 0.0)
