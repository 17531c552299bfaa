"""Students that are made in one piece, without steps to continue at: the run they are found by, and the check of what was written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.flows.material import Material
from journeyman.flows.runs import MATERIAL, METHOD, PARITY, PLAN, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.signals import hold
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace

UNCOMPARED: Mapping[str, Json] = {"n": 0, "equal": 0, "is_passed": True, "problems": [], "defects": []}
"""The parity of a student that was not made from weights."""


def make_once(
    workspace: Workspace,
    material: Material,
    given: Mapping[str, Json],
    method: Literal["sft", "prompt", "nearest", "votes"],
    reason: str,
    make: Callable[[RunFolder], Student],
    check: Callable[[Student], Mapping[str, Json]],
) -> tuple[RunFolder, Student]:
    """The finished run of these settings; ``make`` writes its student, ``check`` says how what was written answers (parity)."""
    key: dict[str, Json] = material.key() | {"given": dict(given)}
    run = find_run(workspace.project.runs, material.task.name, "tune", key)
    with run.lock():
        run.decide(MATERIAL, material.to_json)
        holding = hold(material.learnable)
        run.decide(METHOD, lambda: {"method": method, "reason": reason, "holding": holding.to_json()})
        student = load_student(run.path / STUDENT)
        if student is None:
            student = make(run)
        if run.read(PARITY) is None:
            run.write(PARITY, check(student))
    return run, student


def write_untuned(
    run: RunFolder, kind: str, started: float, dev_exact: float | None = None, **plan: dict[str, Json]
) -> None:
    """Plan and result of a student that took no steps; ``started`` on the monotonic clock, ``plan``: settings besides the kind."""
    run.write(PLAN, {"kind": {"value": kind, "origin": "flag"}, **plan})
    run.write(
        RESULT,
        {
            "seconds": round(time.monotonic() - started, 1),
            "tokens": 0,
            "steps": 0,
            "dev_exact": dev_exact,
            "dev_loss": None,
            "dev_row_loss": None,
            "lesson": {},
        },
    )
