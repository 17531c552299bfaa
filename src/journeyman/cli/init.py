"""`journeyman init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyman.cli.options import AsJson
from journeyman.cli.terminal import print_json, print_lines


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project.")] = Path(),
    is_json: AsJson = False,
) -> None:
    """Make a project: journeyman.toml, tasks/ and the folder for its state.

    Example: journeyman init my-project
    """
    from journeyman.flows.beginnings import create_project

    made = create_project(folder.resolve())
    if is_json:
        print_json({"project": str(folder.resolve()), "made": [str(path) for path in made]})
        return
    print_lines(*[f"made {path}" for path in made] or ["this project exists; nothing was changed"])
    print_lines("next: journeyman pull smollm2-135m-instruct, then journeyman new TASK")
