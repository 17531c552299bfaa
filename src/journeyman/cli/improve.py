"""`journeyman improve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, parse_duration, working
from journeyman.cli.terminal import print_json, print_lines, print_table

if TYPE_CHECKING:
    from journeyman.evaluation.improvement import Improvement


def improve(
    task: TaskName,
    model: Annotated[
        str, typer.Option(help="A catalog name or a path of a model that runs here; base: the project's base.")
    ] = "base",
    budget: Annotated[str, typer.Option(help="Time in all, for example 90s, 10m or 1h.")] = "10m",
    proposer: Annotated[
        Literal["none", "teacher"],
        typer.Option(
            help="Who rewrites the instruction, besides edits that need no model; the teacher sees train rows."
        ),
    ] = "none",
    rewrites: Annotated[int, typer.Option(min=1, max=16, help="With --proposer teacher: calls of it at the most.")] = 4,
    is_write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Put the instruction into the task's file, and make the student that shows the examples (as tune --kind prompt).",
        ),
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Improve the instruction and pick examples on one half of dev; measure the gain once on the other.

    Example: journeyman improve tickets --budget 20m

    Example: journeyman improve tickets --proposer teacher --write
    """
    from journeyman.flows.improve import Options
    from journeyman.flows.improve import improve as improve_task
    from journeyman.flows.improving import adopt

    options = Options(model, parse_duration(budget), proposer, rewrites)
    with working(project, is_json) as workspace:
        found = improve_task(workspace, task, options, is_write=is_write)
        said = adopt(workspace, found) if is_write else []
    if is_json:
        print_json(found.model_dump(mode="json") | ({"written": said} if is_write else {}))
        return
    _print(found)
    print_lines(*said)


def _print(found: Improvement) -> None:
    from rich.table import Table

    from journeyman.evaluation.improvement import describe_improvement
    from journeyman.task.file import write_task

    table = Table("what", "variant", "rows", f"{found.metric}, %")
    for arm in found.arms:
        score = "failed" if arm.score is None else f"{100 * arm.score:.1f}"
        table.add_row(arm.phase, arm.name, str(arm.rows), score)
    print_table(table)
    chosen = found.chosen
    print_lines(
        *describe_improvement(found), "", f"chosen: {chosen.name}", "", write_task({"instruction": chosen.instruction})
    )
    if chosen.shots:
        fixed = (
            f"these {len(chosen.examples)} train rows" if chosen.examples else f"the {chosen.shots} nearest train rows"
        )
        print_lines(f"with {fixed} before every input; --write makes the student that shows them")
    if found.is_cut:
        print_lines("the budget ended the search or the measuring early; a larger one may find more")
