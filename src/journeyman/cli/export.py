"""`journeyman export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def export(
    task: TaskName,
    to: Annotated[Literal["gguf", "peft", "ollama"], typer.Option("--to", help="gguf, peft or ollama.")] = "gguf",
    out: Annotated[Path | None, typer.Option(help="Target folder; default: TASK-FORM.", show_default=False)] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Copy the live release in another tool's form.

    Example: journeyman export tickets --to ollama --out ./tickets
    """
    from journeyman.flows.releases import export as export_release

    with working(project, is_json) as workspace:
        written = export_release(workspace, task, to, out or Path(f"{task}-{to}"))
    if is_json:
        print_json({"task": task, "to": to, "files": [str(path) for path in written]})
        return
    print_lines(*[str(path) for path in written])
