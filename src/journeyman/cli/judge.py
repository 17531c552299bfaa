"""`journeyman judge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines, print_table

if TYPE_CHECKING:
    from journeyman.evaluation.document import Figure
    from journeyman.flows.judges import Measured


def judge(
    task: TaskName,
    labels: Annotated[
        Path,
        typer.Option(
            help='JSON lines of pairs that people labelled: {"input", "first", "second", "better": 1, 2 or "tie"}.',
            show_default=False,
        ),
    ],
    metric: Annotated[str, typer.Option(help="Metric of kind judge; default: the gate's, or the only one.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Measure how well the judge of a metric agrees with people. Before that it may decide no gate.

    Exit status 0 when it may, 1 when it may not.

    Example: journeyman judge tickets --labels pairs.jsonl
    """
    from journeyman.flows.judges import measure_judge

    with working(project, is_json) as workspace:
        measured = measure_judge(workspace, task, labels, metric)
    if is_json:
        print_json(
            {
                "path": str(measured.path),
                "measurement": measured.measurement.to_json(),
                "least_kappa": measured.least_kappa,
                "may_decide": not measured.objection,
                "objection": measured.objection,
            }
        )
    else:
        _print(measured)
    return 1 if measured.objection else 0


def _print(measured: Measured) -> None:
    from rich.table import Table

    found = measured.measurement
    table = Table("", f"{found.judge.model} on {found.metric}", "95 %", "n")
    table.add_row("accuracy, a tie counts half", *_cells(found.accuracy))
    if found.kappa is None:
        table.add_row("Cohen's kappa", "not defined: people and judge say tie throughout", "", str(found.n))
    else:
        table.add_row("Cohen's kappa", *_cells(found.kappa))
    table.add_row("same position in both orders", *_cells(found.position_bias))
    print_table(table)
    print_lines(
        f"of these the first {found.first} times, the second {found.second} times; {found.ties} ties of the judge, {found.ties_of_people} of people; "
        f"{found.unreadable} verdicts could not be read and count as ties; {found.groups} independent pairs",
        f"it may not decide a gate: {measured.objection}"
        if measured.objection
        else f"it may decide a gate: kappa is shown to be {measured.least_kappa:g} or more",
        f"kept: {measured.path}",
    )


def _cells(figure: Figure) -> tuple[str, str, str]:
    return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}", str(figure.n)
