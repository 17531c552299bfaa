"""`journeyman label`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.labels import Drawn
    from journeyman.flows.read_labels import ReadBack


def label(
    task: TaskName,
    draw: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw so many sealed rows on which student and teacher differ; rows that are still open are written again instead.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for people, .csv or .jsonl.", show_default="TASK-labels.csv")
    ] = None,
    read: Annotated[
        Path | None,
        typer.Option(help="A file that somebody filled in; read again it adds nothing.", show_default=False),
    ] = None,
    by: Annotated[str, typer.Option(help="With --read: who filled it in.", show_default=False)] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Labels for a gate against the teacher: draw rows for people, and read back which answer is right.

    The file shows two answers to each input in random order, and nothing says whose they are. Fill in `right` (first, second, both or neither), or the right answer
    under `answer`; then read the file, and `assess` decides.

    Example: journeyman label tickets --draw 50 --out labels.csv

    Example: journeyman label tickets --read labels.csv --by ada
    """
    if (draw is None) == (read is None):
        raise typer.BadParameter("either --draw N or --read FILE")
    if (read is not None) != bool(by) or (read is not None and out is not None):
        raise typer.BadParameter("--by NAME belongs to --read FILE, --out FILE to --draw N")
    with working(project, is_json) as workspace:
        if read is not None:
            from journeyman.flows.read_labels import read_labels

            found = read_labels(workspace, task, read, by)
            document, lines = asdict(found), _describe_read(task, found)
        else:
            from journeyman.flows.labels import draw_labels

            drawn = draw_labels(workspace, task, draw or 1, out or Path(f"{task}-labels.csv"))
            document, lines = asdict(drawn) | {"out": str(drawn.out)}, _describe_drawn(task, drawn)
    if is_json:
        print_json({"task": task} | document)
    else:
        print_lines(*lines)


def _describe_drawn(task: str, drawn: Drawn) -> list[str]:
    if not drawn.written:
        return [f"no sealed row needs a label: journeyman assess {task}"]
    what = f"{drawn.written:,} rows drawn" if drawn.is_new else f"{drawn.written:,} rows were open, so none was drawn"
    return [
        f"{what}: {drawn.out}",
        f"fill in right or answer, then: journeyman label {task} --read {drawn.out} --by NAME",
        "who labels should not tune: these rows are sealed",
    ]


def _describe_read(task: str, found: ReadBack) -> list[str]:
    lines = [
        f"{found.labels:,} labels, {found.changed:,} of them new; {found.open:,} of {found.drawn:,} drawn rows are open"
    ]
    if found.apart:
        lines.append(
            f"on {found.apart:,} of these people differ: let one more person label them, or settle it and read again"
        )
    if found.agreement is not None:
        share = found.agreement
        lines.append(
            f"two people say the same on {100 * share.value:.1f} % ({100 * share.low:.0f} to {100 * share.high:.0f}, n = {share.n:,})"
        )
    return lines if found.open else [*lines, f"next: journeyman assess {task}"]
