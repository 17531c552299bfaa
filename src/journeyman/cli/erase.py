"""`journeyman erase`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.erasing import Erased


def erase(
    key: Annotated[str, typer.Option(help="Calls that were asked with the key of this id.")] = "",
    user: Annotated[
        str, typer.Option(help="Calls of a person, as requests name them: user, safety_identifier, metadata.user_id.")
    ] = "",
    trace: Annotated[str, typer.Option(help="One call, by its id.")] = "",
    task: Annotated[str, typer.Option(help="Recorded calls of a task that are too old.")] = "",
    older_than_days: Annotated[
        int | None, typer.Option(min=0, help="With --task: how old.", show_default="the task's keep_days")
    ] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Erase recorded calls, synthetic rows made from them, and rows of datasets that were made of either; of calls that are too old the rows stay.

    Says which datasets have erased rows and which releases were trained with those. Stopped half way, the same command does the rest.

    Example: journeyman erase --user ada@example.org --dry-run

    Example: journeyman erase --task tickets --older-than-days 30
    """
    if sum(map(bool, (key, user, trace, task))) != 1 or (older_than_days is not None and not task):
        raise typer.BadParameter("one of --key ID, --user USER, --trace ID, or --task NAME [--older-than-days N]")
    from journeyman.flows.erasing import erase as erase_calls
    from journeyman.flows.erasing import erase_old

    with working(project, is_json) as workspace:
        if task:
            erased = erase_old(workspace, task, older_than_days, is_dry=is_dry)
        else:
            erased = erase_calls(workspace, key=key, user=user, id=trace, is_dry=is_dry)
    if is_json:
        print_json({"is_dry_run": is_dry, **erased.to_json()})
    else:
        _print(erased, is_dry)


def _print(erased: Erased, is_dry: bool) -> None:
    done = "would be erased" if is_dry else "erased"
    if not erased.calls:
        print_lines("There are no such calls.")
        return
    print_lines(*[f"{count:,} calls of {name} {done}" for name, count in erased.calls.items()])
    print_lines(
        *[f"{count:,} synthetic rows of {name} made from them {done}" for name, count in erased.synthetic.items()]
    )
    if erased.rows:
        print_lines(f"{erased.rows:,} rows that were made of them {done}")
    for item in erased.touched:
        rows = ", ".join(f"{split} {count:,}" for split, count in item.rows.items())
        print_lines(f"dataset {item.dataset[:12]} of {item.task}: without {rows}")
        for release in item.releases:
            print_lines(f"  the release {release[:12]} was trained or measured with them: journeyman run {item.task}")
