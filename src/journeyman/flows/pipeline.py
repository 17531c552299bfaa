"""`run T`: prepare, tune, assess, report, release; each step finds its own finished work, so the command resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from journeyman.core.canonical import Json
from journeyman.flows.assess import Assessed, assess
from journeyman.flows.prepare import prepare_task
from journeyman.flows.releases import Released, release
from journeyman.flows.reports import write_assessed
from journeyman.flows.runs import BASE_ROWS
from journeyman.flows.subset import Keep
from journeyman.flows.tune import Request, tune
from journeyman.flows.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunResult:
    assessed: Assessed
    report: Path
    released: Released | None


def run_all(
    workspace: Workspace,
    task_name: str,
    given: Mapping[str, Json] | None = None,
    *,
    force: str = "",
    base_rows: int = BASE_ROWS,
    threads: int | None = None,
    keep: Keep | None = None,
) -> RunResult:
    """The whole loop. Releases when the gate passed, or with ``force``."""
    prepare_task(workspace, task_name, keep=keep)
    tune(workspace, task_name, given, Request(threads=threads))
    assessed = assess(workspace, task_name, base_rows=base_rows)
    path = write_assessed(workspace, assessed)
    released = None
    if assessed.verdict == "pass" or force:
        released = release(workspace, task_name, force)
    return RunResult(assessed, path, released)
