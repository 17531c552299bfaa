"""`journeyman prepare`."""

from __future__ import annotations

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def prepare(task: TaskName, project: ProjectFolder = None, is_json: AsJson = False) -> None:
    """Make a dataset: validate, group near copies, split, seal the test split.

    Example: journeyman prepare tickets
    """
    from journeyman.flows.prepare import prepare_task

    with working(project, is_json) as workspace:
        prepared = prepare_task(workspace, task)
    if is_json:
        print_json(prepared.to_json())
        return
    print_lines(*prepared.describe(), f"next: journeyman tune {task}")
