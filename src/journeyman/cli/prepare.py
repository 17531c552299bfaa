"""`journeyman prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.example import SPLITS


def prepare(
    task: TaskName,
    is_any: Annotated[
        bool, typer.Option("--any-instruction", help="Take rows that were made under another instruction too.")
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make a dataset: validate, group near copies, split, seal the test split.

    Example: journeyman prepare tickets
    """
    from journeyman.flows.prepare import prepare_task

    with working(project, is_json) as workspace:
        prepared = prepare_task(workspace, task, "any" if is_any else "own")
    if is_json:
        print_json({"task": task, "dataset": prepared.hash, "funnel": prepared.funnel, "notices": prepared.notices})
        return
    sizes = ", ".join(f"{name} {prepared.count(name)}" for name in SPLITS)
    aside = cast(Mapping[str, int], prepared.funnel["set_aside"])
    print_lines(f"dataset {prepared.hash[:12]}: {sizes}")
    print_lines(*[f"  {count} set aside: {reason}" for reason, count in aside.items() if count])
    print_lines(*[f"  {notice}" for notice in prepared.notices], f"next: journeyman tune {task}")
