"""Students of a task that were assessed, in order, with what they answered on dev rows; nothing is asked anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from journeyman.core.errors import DataError
from journeyman.data.dataset import read_manifest, read_split
from journeyman.evaluation.run import Prediction, Row, load_predictions
from journeyman.evaluation.weak import WeakSpot, find_weak_spots
from journeyman.flows.labels import DEV_ANSWERS
from journeyman.flows.runs import MATERIAL, SUBJECT, RunFolder
from journeyman.flows.workspace import Workspace
from journeyman.task.task import Task

BEFORE = "before.json"


@dataclass(frozen=True, slots=True)
class Earlier:
    """``run``: the assessment, made at ``time``, of a ``student`` (its hash) on a ``dataset``."""

    run: RunFolder
    student: str
    dataset: str
    time: str

    def answers(self, task: Task, rows: Sequence[Row]) -> list[tuple[Row, Prediction]]:
        """Those of the rows that it was asked, as the task stands now."""
        path = self.run.path / DEV_ANSWERS
        return load_predictions(f"{task.name}@{self.student}", task, rows, path, with_confidence=True)


@dataclass(frozen=True, slots=True)
class Aimed:
    """What the student that was assessed last errs in, on dev rows of the latest dataset."""

    student: str
    run: str
    spots: tuple[WeakSpot, ...]


def list_assessed(workspace: Workspace, task: Task) -> list[Earlier]:
    """The latest last."""
    found = []
    for path in workspace.project.runs.glob(f"{task.name}-assess-*"):
        subject = RunFolder(path).read(SUBJECT) if re.fullmatch(r"[0-9a-f]{12}", path.name[-12:]) else None
        if subject and path.name == f"{task.name}-assess-{path.name[-12:]}":
            parts = (str(subject.get(name, "")) for name in ("student", "dataset", "time"))
            found.append(Earlier(RunFolder(path), *parts))
    return sorted(found, key=lambda item: (item.time, item.run.id))


def find_before(workspace: Workspace, task: Task, run: RunFolder, tune_run: RunFolder, student: str) -> Earlier | None:
    """The student that one was to be better than: whose weak spots it was tuned on, else the one that was assessed last. Decided when ``run``, the assessment, is first made."""
    known = {item.run.id: item for item in list_assessed(workspace, task) if item.student != student}
    weighting = (tune_run.read(MATERIAL) or {}).get("weighting")
    aimed = str(weighting["run"]) if isinstance(weighting, dict) else ""
    decided = run.decide(BEFORE, lambda: {"run": aimed if aimed in known else next(reversed(known), "")})
    return known.get(str(decided["run"]))


def find_aims(workspace: Workspace, task: Task) -> Aimed:
    """Raises: DataError: JM-352 nothing prepared, JM-385 nothing assessed, JM-363 it errs in nothing."""
    _dataset, manifest = read_manifest(workspace.store, task.name)
    rows = [Row.from_example(row) for row in read_split(workspace.store, manifest, "dev")]
    assessed = list_assessed(workspace, task)
    answered = assessed[-1].answers(task, rows) if assessed else []
    if not answered:
        raise DataError(
            "JM-385",
            "no weak spot is known: no student of this task was assessed on the dev rows that it has now",
            where=f"task {task.name}",
            hint=f"journeyman assess {task.name}",
        )
    spots = tuple(find_weak_spots(task, answered))
    if not spots:
        raise DataError(
            "JM-363",
            "the student has no weak spot to aim at",
            where=f"task {task.name}",
            expected="wrong answers on dev rows",
            got="none",
            hint=f"leave out --weak, or assess another student of {task.name}",
        )
    return Aimed(assessed[-1].student, assessed[-1].run.id, spots)
