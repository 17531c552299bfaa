"""`journeyman compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines, print_table

if TYPE_CHECKING:
    from journeyman.evaluation.comparison import Comparison


def compare(
    task: TaskName,
    grid: Annotated[Path, typer.Argument(help="The grid's file.", show_default=False)],
    disagree: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Show the inputs that these two cells score differently; default: the first cell and the best.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a page of HTML that needs no network.", show_default=False)
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Compare prompts, models and settings on dev: every cell of a grid on the same rows, with intervals that hold for all cells together.

    A grid file has `edition: 1` and lists: `instruction: {own: null, short: "Name the parts."}` (null: the task's own), `model: [base, student, teacher]`
    (or names and paths of models), `shots: [0, 4]`, `temperature: [0]`; and `rows: 100` of dev, `most_calls: 0` of the teacher's that may be paid for.

    Example: journeyman compare tickets grid.yaml --out grid.html
    """
    from journeyman.evaluation.comparison_page import write_page
    from journeyman.flows.compare import compare as compare_cells
    from journeyman.task.grid import load_grid

    chosen = load_grid(grid)
    with working(project, is_json) as workspace:
        comparison = compare_cells(workspace, task, chosen, disagree)
        if out is not None:
            write_page(out, comparison, workspace.now())
    if is_json:
        print_json(comparison.model_dump(mode="json"))
        return
    print_comparison(comparison)
    if out is not None:
        print_lines(f"page: {out}")


def print_comparison(comparison: Comparison) -> None:
    """The cells, then what two of them disagree on."""
    _print_cells(comparison)
    _print_disagreements(comparison)


def _print_cells(comparison: Comparison) -> None:
    from rich.table import Table

    from journeyman.evaluation.comparison import describe_difference
    from journeyman.evaluation.document import describe_judge

    metric = comparison.metric
    table = Table("", "cell", f"{metric}, % (95 %)", "difference, points", "p50 ms", "tokens", "unreadable", "errors")
    for cell in comparison.cells:
        if cell.failed:
            table.add_row(str(cell.number), cell.name, "failed")
            continue
        figure, tokens = cell.metrics[metric], cell.tokens_per_call
        sides = (tokens.input, tokens.output) if tokens else (None, None)
        table.add_row(
            str(cell.number),
            cell.name,
            f"{100 * figure.value:.1f} ({100 * figure.low:.1f} to {100 * figure.high:.1f})",
            describe_difference(cell.difference) if cell.difference else "baseline",
            f"{cell.latency_ms.p50:.0f}" if cell.latency_ms else "",
            " + ".join("?" if side is None else f"{side:.0f}" for side in sides),
            str(cell.unreadable),
            str(cell.errors),
        )
    print_table(table)
    print_lines(*(f"cell {cell.number} failed: {cell.failed}" for cell in comparison.cells if cell.failed))
    print_lines(
        f"{comparison.rows} rows of dev in {comparison.groups} groups; the differences to cell {comparison.baseline} hold all together with 95 %",
        *(describe_judge(judge) for judge in comparison.judges),
    )


def _print_disagreements(comparison: Comparison) -> None:
    if comparison.pair is None:
        return
    first, second = comparison.pair
    shown = comparison.disagreements
    print_lines("", f"cells {first} and {second} disagree on {comparison.disagreed} rows, {len(shown)} shown")
    for item in shown:
        print_lines("", *(f"  {name}: {value}" for name, value in item.input.items()), f"  expected: {item.expected}")
        for number, answer in ((first, item.first), (second, item.second)):
            print_lines(f"  cell {number} ({answer.score:.2g}): {answer.text or answer.problem}")
