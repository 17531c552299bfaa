"""`journeyman assess`."""

from __future__ import annotations

from typing import Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.cli.verdicts import describe_assessed, print_ladder
from journeyman.flows.runs import BASE_ROWS


def assess(
    task: TaskName,
    base_rows: Annotated[int, typer.Option(min=0, help="Sealed rows that the untuned base is asked.")] = BASE_ROWS,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at a time; latency is honest at 1.")] = 1,
    is_ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="First try candidates on dev in the order of what a call costs; the cheapest that looks good enough is assessed.",
        ),
    ] = False,
    is_whole: Annotated[bool, typer.Option("--all", help="With --ladder: measure every rung on dev.")] = False,
    run: Annotated[
        str,
        typer.Option(
            help="The finished run whose student is assessed, and then released; default: the ladder's choice, else the best on dev."
        ),
    ] = "",
    ceiling: Annotated[
        int,
        typer.Option(
            min=0, help="Dev rows that the teacher is asked again, at the most, to see how often it agrees with itself."
        ),
    ] = 0,
    safety_prompts: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=60,
            help="Harmful requests, and as many harmless ones, that base and student are asked; 0: none; default: assess.safety_prompts in journeyman.toml, or 16.",
        ),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Measure the student on the sealed split through the real server and decide the gate.

    Exit status 0 when it passes, 1 when it does not.

    Example: journeyman assess tickets --json

    Example: journeyman assess tickets --ladder
    """
    from journeyman.flows.assess import assess as assess_task
    from journeyman.flows.ladder import climb
    from journeyman.flows.reports import write_assessed

    if is_whole and not is_ladder:
        raise typer.BadParameter("--all belongs to --ladder")
    if run and is_ladder:
        raise typer.BadParameter("--run names a student, and --ladder chooses one")
    with working(project, is_json) as workspace:
        if is_ladder:
            climb(workspace, task, is_whole=is_whole)
        assessed = assess_task(
            workspace,
            task,
            base_rows=base_rows,
            requests_in_flight=in_flight,
            ceiling=ceiling,
            named=run,
            safety_prompts=safety_prompts,
        )
        path = write_assessed(workspace, assessed)
    if is_json:
        print_json(assessed.document.shown())
    else:
        if is_ladder and assessed.document.ladder:
            print_ladder(assessed.document.ladder)
        print_lines(*describe_assessed(assessed.document), f"report: {path}")
    return 0 if assessed.verdict == "pass" else 1
