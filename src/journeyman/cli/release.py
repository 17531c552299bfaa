"""`journeyman release`."""

from __future__ import annotations

from typing import Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def release(
    task: TaskName,
    force: Annotated[str, typer.Option(help="Release although the gate did not pass; the reason is recorded.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make the assessed student the task's live release. Refused unless the gate passed.

    Example: journeyman release tickets
    """
    from journeyman.flows.releases import release as release_task

    with working(project, is_json) as workspace:
        released = release_task(workspace, task, force)
    if is_json:
        print_json(released.to_json())
        return
    print_lines(
        f"{task} is now {released.hash[:12]} at {released.path}"
        + (f" (forced: {force})" if released.forced and released.verdict != "pass" else "")
    )
    print_lines("next: journeyman serve")
