"""`journeyman rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def rollback(
    task: TaskName,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make the release before the live one live again.

    Example: journeyman rollback tickets --reason "wrong on refunds"
    """
    from journeyman.flows.releases import roll_back

    with working(project, is_json) as workspace:
        released = roll_back(workspace, task, reason)
    if is_json:
        print_json(released.to_json())
        return
    print_lines(f"{task} is now {released.hash[:12]} again")
