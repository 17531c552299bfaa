"""`journeyman canary`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.canaries import Evidence
    from journeyman.store.canaries import Canary


def canary(
    task: TaskName,
    share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of the calls that the candidate answers; begins a canary, or changes it."
        ),
    ] = None,
    release: Annotated[
        str, typer.Option(help="The candidate, by its hash; default: the assessed student, as `release` takes it.")
    ] = "",
    promote: Annotated[
        bool | None,
        typer.Option("--promote/--no-promote", help="Whether a verdict is acted on; default: it is only told."),
    ] = None,
    audit: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the calls of either side that teacher and both students answer."),
    ] = 0.1,
    sticky: Annotated[
        Literal["person", "key", "input"],
        typer.Option(help="What stays on one side: a person (else a conversation, else an input), a key, or an input."),
    ] = "person",
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    force: Annotated[
        str, typer.Option(help="Take an assessed student whose gate did not pass; the reason is recorded.")
    ] = "",
    stop: Annotated[bool, typer.Option("--stop", help="End it: the live release answers all calls again.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Let a candidate release answer a share of a task's calls beside the live one, and see how it does.

    Example: journeyman canary tickets --share 0.1 --promote
    """
    from journeyman.flows import canaries, candidates

    with working(project, is_json) as workspace:
        workspace.task(task)
        if stop:
            candidates.stop(workspace, task, reason)
        elif share is not None:
            candidates.start(
                workspace,
                task,
                release=release,
                share=share,
                audit=audit,
                sticky=sticky,
                is_promoting=promote,
                reason=reason,
                force=force,
            )
        found = workspace.store.last_canary(task)
        evidence = canaries.read_evidence(workspace, found) if found is not None and not found.outcome else None
        if evidence is not None and canaries.act(workspace, evidence):
            found = workspace.store.last_canary(task)
    if is_json:
        told = found.to_json() if found else None
        print_json({"task": task, "canary": told, "evidence": evidence.to_json() if evidence else None})
        return
    if found is None:
        print_lines(f"{task} has had no canary; journeyman canary {task} --share 0.1 begins one")
        return
    _print(found, evidence)


def _print(found: Canary, evidence: Evidence | None) -> None:
    print_lines(f"{found.task}: candidate {found.release[:12]} beside the live {found.live[:12]}, {found.id}")
    for step in found.steps:
        print_lines(f"  {step.time}  {100 * step.share:g} % by {step.by}" + (f": {step.reason}" if step.reason else ""))
    if evidence is not None:
        calls, failed = evidence.calls, evidence.failed
        print_lines(
            f"  calls     {calls['candidate']:,} of the candidate, {failed['candidate']:,} failed; {calls['live']:,} of the live release, {failed['live']:,} failed"
        )
    if found.outcome:
        print_lines(f"  {found.ended}  {found.outcome}: {found.why}")
        return
    assert evidence is not None, "of one that is running"
    if (differences := evidence.watch.differences).seen:
        from journeyman.flows.canaries import ALPHA

        interval = differences.interval(ALPHA)
        print_lines(
            f"  compared  {differences.seen:,} calls, difference {100 * differences.mean:+.1f} points, between {100 * interval.low:+.1f} and {100 * interval.high:+.1f}"
        )
    would = f"would {evidence.verdict} it" if evidence.verdict else "no verdict yet"
    print_lines(f"  verdict   {would}: {evidence.describe()}")
