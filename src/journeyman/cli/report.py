"""`journeyman report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyman.cli.compare import print_comparison
from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def report(
    task: TaskName,
    out: Annotated[
        Path | None, typer.Option(help="Target file; default: in the run's folder.", show_default=False)
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two tuning runs: compare their students on dev instead.", show_default=False),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Write the HTML report of the latest evaluation: one file, no network.

    Example: journeyman report tickets --out report.html

    Example: journeyman report tickets --compare tickets-tune-1a2b3c tickets-tune-4d5e6f
    """
    from journeyman.flows.comparing import compare_runs
    from journeyman.flows.reports import report as report_task

    with working(project, is_json) as workspace:
        if compare is not None:
            comparison, path = compare_runs(workspace, task, compare, out)
            if is_json:
                print_json(comparison.model_dump(mode="json") | {"report": str(path)})
            else:
                print_comparison(comparison)
                print_lines(f"page: {path}")
            return
        path = report_task(workspace, task, out)
    if is_json:
        print_json({"task": task, "report": str(path)})
    else:
        print_lines(str(path))
