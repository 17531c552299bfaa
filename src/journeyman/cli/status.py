"""`journeyman status`."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_table


def status(project: ProjectFolder = None, is_json: AsJson = False) -> None:
    """Tasks of this project: traces, dataset, looks at the sealed split, live release.

    Example: journeyman status
    """
    from journeyman.flows.states import read_states

    with working(project, is_json) as workspace:
        states = read_states(workspace)
    if is_json:
        print_json({"tasks": [asdict(state) for state in states]})
        return
    table = Table("task", "traces", "dataset", "looks", "live release")
    for state in states:
        live = f"{state.release[:12]} held: {state.held}" if state.held else state.release[:12]
        live += f" ({state.erased} of its rows erased)" if state.erased else ""
        table.add_row(state.name, str(state.traces), state.dataset[:12], str(state.looks), live)
    print_table(table)
