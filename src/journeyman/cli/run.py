"""`journeyman run`."""

from __future__ import annotations

from typing import Annotated

import typer

from journeyman.cli.options import AsJson, KeepRows, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.cli.verdicts import describe_assessed
from journeyman.flows.runs import BASE_ROWS


def run(
    task: TaskName,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows; default: derived.")] = None,
    keep: KeepRows = None,
    base_rows: Annotated[int, typer.Option(min=0, help="Sealed rows that the untuned base is asked.")] = BASE_ROWS,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of tuning; default: the fastest, by trying.")
    ] = None,
    force: Annotated[str, typer.Option(help="Release whatever the verdict; the reason is recorded.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Prepare, tune, assess and, when the gate passes, release. Killed, the same command continues.

    Exit status 0 when the gate passes, 1 when it does not.

    Example: journeyman run tickets
    """
    from journeyman.flows.pipeline import run_all
    from journeyman.flows.subset import choose_keep

    given = {"epochs": epochs} if epochs is not None else {}
    with working(project, is_json) as workspace:
        result = run_all(
            workspace, task, given, force=force, base_rows=base_rows, threads=threads, keep=choose_keep(keep)
        )
    if is_json:
        print_json(result.assessed.document.shown())
    else:
        released = result.released
        state = f"released {released.hash[:12]} to {released.path}" if released else "not released"
        print_lines(*describe_assessed(result.assessed.document), f"report: {result.report}", state)
    return 0 if result.assessed.verdict == "pass" else 1
