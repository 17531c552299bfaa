"""`journeyman prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.example import SPLITS

if TYPE_CHECKING:
    from journeyman.flows.quality import Quality


def prepare(
    task: TaskName,
    is_any: Annotated[
        bool, typer.Option("--any-instruction", help="Take rows that were made under another instruction too.")
    ] = False,
    is_inspected: Annotated[
        bool,
        typer.Option(
            "--quality", help="Say what the dataset holds and what is wrong with it, labels that are likely wrong too."
        ),
    ] = False,
    doubts: Annotated[
        Path | None,
        typer.Option(
            help="With --quality: write the rows with such labels here, to be filled in and imported.",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make a dataset: validate, group near copies, split, seal the test split.

    Example: journeyman prepare tickets

    Example: journeyman prepare tickets --quality --doubts look-at.jsonl
    """
    from journeyman.flows.prepare import prepare_task

    quality: Quality | None = None
    with working(project, is_json) as workspace:
        prepared = prepare_task(workspace, task, "any" if is_any else "own")
        if is_inspected or doubts is not None:
            from journeyman.flows.quality import inspect_dataset, write_doubts

            quality = inspect_dataset(workspace, task)
            if doubts is not None:
                write_doubts(quality, doubts, workspace.now())
    if is_json:
        said = {"task": task, "dataset": prepared.hash, "funnel": prepared.funnel, "notices": prepared.notices}
        print_json(said | ({"quality": quality.to_json()} if quality else {}))
        return
    sizes = ", ".join(f"{name} {prepared.count(name)}" for name in SPLITS)
    aside = cast(Mapping[str, int], prepared.funnel["set_aside"])
    print_lines(f"dataset {prepared.hash[:12]}: {sizes}")
    print_lines(*[f"  {count} set aside: {reason}" for reason, count in aside.items() if count])
    print_lines(*[f"  {notice}" for notice in prepared.notices])
    if quality is not None:
        _print(quality)
    print_lines(f"next: journeyman tune {task}")


def _print(quality: Quality) -> None:
    from rich.table import Table

    table = Table("letters", "5th", "middle", "95th", "longest")
    for name, ends in quality.lengths.items():
        table.add_row(name, *(f"{end:,}" for end in ends))
    print_table(table)
    for field, counts in quality.values.items():
        most = sorted(counts.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{value} {count:,}" for value, count in most[:12]) + (", ..." if len(most) > 12 else "")
        print_lines(f"{field or 'answers'}: {shown}")
    if quality.unlooked:
        print_lines(f"labels were not looked at: {quality.unlooked}")
    for item in quality.doubts[:5]:
        text = " ".join(str(value) for value in item.input.values())
        print_lines(f"  {item.value} ({item.given:.2f}), rather {item.likely} ({item.taken:.2f}): {text[:100]}")
    for finding in quality.findings:
        print_lines(f"* {finding.rows:,} {finding.what}", f"    {finding.command}")
    if not quality.findings:
        print_lines("nothing was found to be wrong")
