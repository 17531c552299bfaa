"""Runs that others begin at: their base, and their best weights."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from journeyman.core.errors import TuneError
from journeyman.flows.runs import CHECKPOINT, MATERIAL, PLAN, STUDENT, RunFolder
from journeyman.flows.student import Form, load_student
from journeyman.models.catalog import ResolvedModel, resolve_exactly
from journeyman.models.codes import Writing
from journeyman.models.torch_decoder import Decoder
from journeyman.task.task import Task
from journeyman.tuning.checkpoint import load_checkpoint
from journeyman.tuning.plan import Plan
from journeyman.tuning.trainable import Trainable, adopt, make_trainable, settle


def open_start(run: RunFolder, decoder: Decoder) -> Trainable:
    """The best weights of a finished run, merged.

    Raises:
        TuneError: JM-533 the run has none.
    """
    plan, checkpoint = run.read(PLAN), load_checkpoint(run.path / CHECKPOINT)
    if plan is None or checkpoint is None:
        raise _unfinished(run)
    weights = make_trainable(decoder, Plan.from_json(plan))
    best = {name.removeprefix("best/"): t for name, t in checkpoint.tensors.items() if name.startswith("best/")}
    adopt(weights, best)
    settle(decoder, weights, Plan.from_json(plan))
    return weights


def find_start(path: Path, task: Task, form: Form = "json") -> RunFolder:
    """A finished run of the task whose student others may begin at or learn from.

    Raises:
        TuneError: JM-533 no such run, or not finished, JM-534 of another task, JM-545 its student does not write its answers in this form,
            JM-550 the task's file has changed since.
    """
    run = RunFolder(path)
    student = load_student(run.path / STUDENT) if run.read(MATERIAL) is not None else None
    if student is None or student.manifest.kind in ("head", "nearest", "prompt", "votes"):
        raise _unfinished(run)
    if not run.id.startswith(f"{task.name}-tune-"):
        raise TuneError("JM-534", "this run tuned another task", where=run.id, expected=task.name)
    if student.form != form:
        raise TuneError(
            "JM-545",
            "this run's student writes its answers in another form",
            where=run.id,
            expected=form,
            got=student.form,
            hint=f"tune with --answers {student.form}, or name a run with --answers {form}",
        )
    if student.manifest.task != task.answering():
        raise TuneError(
            "JM-550",
            "the task has changed since this run tuned for it",
            where=run.id,
            expected=f"a run for the task as tasks/{task.name}.yaml says it now",
            hint=f"journeyman tune {task.name} --method sft, then name that run",
        )
    return run


def load_writing(run: RunFolder) -> Writing | None:
    """What the student of a finished run writes instead of JSON."""
    student = load_student(run.path / STUDENT)
    return student.writing if student else None


def base_of(run: RunFolder) -> ResolvedModel:
    """The base that a run was tuned on.

    Raises:
        ModelError: JM-401 not pulled, JM-409 of another content.
    """
    wanted = cast(dict[str, dict[str, str]], run.read(MATERIAL))["base"]
    return resolve_exactly(wanted["name"], wanted["sha256"])


def _unfinished(run: RunFolder) -> TuneError:
    return TuneError(
        "JM-533",
        "this run has no tuned weights to begin at",
        where=str(run.path),
        hint="let `journeyman tune TASK` finish, then name its run; a head has none, and votes have those of the run that they ask",
    )
