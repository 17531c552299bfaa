"""`journeyman status`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from journeyman.flows.lively import Overview
    from journeyman.flows.workspace import Workspace

EVERY_S = 2.0
WIDTH = 160
"""Of a table that goes to no terminal: nothing is cut."""


def status(
    is_watched: Annotated[
        bool, typer.Option("--watch", help="What the tasks are doing, again and again on a terminal, else once.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=1440, help="With --watch: of so many minutes, the last ones.")
    ] = 5.0,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Tasks of this project: traces, dataset, looks at the sealed split, live release; with --watch the calls of the last minutes.

    Example: journeyman status --watch
    """
    with working(project, is_json) as workspace:
        if is_watched:
            _watch(workspace, minutes, is_json)
        else:
            _show(workspace, is_json)


def _show(workspace: Workspace, is_json: bool) -> None:
    from journeyman.flows.states import read_states

    states = read_states(workspace)
    if is_json:
        print_json({"tasks": [asdict(state) for state in states]})
        return
    table = Table("task", "traces", "dataset", "looks", "live release")
    for state in states:
        live = f"{state.release[:12]} held: {state.held}" if state.held else state.release[:12]
        live += f"; canary: {state.canary}" if state.canary else ""
        live += f" ({state.erased} of its rows erased)" if state.erased else ""
        table.add_row(state.name, str(state.traces), state.dataset[:12], str(state.looks), live)
    print_table(table)


def _watch(workspace: Workspace, minutes: float, is_json: bool) -> None:
    from journeyman.flows.lively import read_overview

    tasks = workspace.tasks()
    if is_json:
        print_json(asdict(read_overview(workspace, tasks, minutes)))
    elif not sys.stdout.isatty():
        Console(markup=False, emoji=False, width=WIDTH).print(_draw(read_overview(workspace, tasks, minutes)))
    else:
        _watch_live(workspace, minutes)


def _watch_live(workspace: Workspace, minutes: float) -> None:
    """Until Ctrl-C. A task file that is broken for a moment leaves the tasks as they were."""
    from rich.live import Live

    from journeyman.core.errors import TaskError
    from journeyman.flows.lively import read_overview

    tasks = workspace.tasks()
    with Live(console=Console(markup=False, emoji=False), auto_refresh=False) as live:
        try:
            while True:
                live.update(_draw(read_overview(workspace, tasks, minutes)), refresh=True)
                time.sleep(EVERY_S)
                try:
                    tasks = workspace.tasks()
                except TaskError:
                    continue
        except KeyboardInterrupt:
            return


def _draw(overview: Overview) -> Table:
    columns = ("task", "live", "policy", "calls/min", "student", "p50 ms", "p95 ms", "errors", "USD", "USD today")
    caption = f"the last {overview.minutes:g} minutes"
    if overview.usd_today is not None:
        caption += f"; the project today: {overview.usd_today:.4f} of {overview.usd_per_day:g} USD"
    table = Table(*columns, caption=caption)
    for line in overview.tasks:
        table.add_row(
            line.name or "(other models)",
            f"{line.release[:12]} held" if line.held else line.release[:12] or "-",
            line.policy,
            f"{line.calls_per_minute:,.1f}",
            _number(line.student_share, ".0%"),
            _number(line.p50_ms, ",.0f"),
            _number(line.p95_ms, ",.0f"),
            str(line.errors),
            f"{line.usd:.4f}",
            f"{line.usd_today:.4f} of {line.usd_per_day:g}" if line.usd_today is not None else "-",
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
