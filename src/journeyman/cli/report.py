"""`journeyman report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def report(
    task: TaskName,
    out: Annotated[
        Path | None, typer.Option(help="Target file; default: in the run's folder.", show_default=False)
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Write the HTML report of the latest evaluation: one file, no network.

    Example: journeyman report tickets --out report.html
    """
    from journeyman.flows.reports import report as report_task

    with working(project, is_json) as workspace:
        path = report_task(workspace, task, out)
    if is_json:
        print_json({"task": task, "report": str(path)})
    else:
        print_lines(str(path))
