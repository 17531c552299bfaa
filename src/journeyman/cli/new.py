"""`journeyman new`."""

from __future__ import annotations

from journeyman.cli.options import AsJson, ProjectFolder, TaskName
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.settings import open_project


def new(task: TaskName, project: ProjectFolder = None, is_json: AsJson = False) -> None:
    """Write a task file to edit: tasks/NAME.yaml.

    Example: journeyman new tickets
    """
    from journeyman.flows.beginnings import create_task

    path = create_task(open_project(project).tasks, task)
    if is_json:
        print_json({"task": task, "path": str(path)})
        return
    print_lines(f"made {path}", f"next: edit it, then journeyman import FILE --task {task}")
