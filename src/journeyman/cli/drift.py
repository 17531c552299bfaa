"""`journeyman drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from journeyman.flows.watching import Drift


def drift(
    task: TaskName,
    hold: Annotated[
        bool, typer.Option("--hold", help="Where they differ, send all calls of the task to its teacher from now on.")
    ] = False,
    resume: Annotated[str, typer.Option(help="Why: end the hold, and let the release answer again.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Compare the live release's recorded calls with the rows it was measured on.

    Exit status 1 when they differ: one false alarm in a hundred releases, however often it is run.

    Example: journeyman drift tickets --hold
    """
    from journeyman.flows.audits import hold as hold_release
    from journeyman.flows.watching import resume as resume_release
    from journeyman.flows.watching import watch

    with working(project, is_json) as workspace:
        if resume:
            resume_release(workspace, task, resume)
        found = watch(workspace, task)
        is_held = bool(found.held)
        if hold and found.is_alarm:
            is_held = hold_release(workspace, task, found.release, found.reason) or is_held
    if is_json:
        print_json(
            {"task": task, "release": found.release, "is_alarm": found.is_alarm, "is_held": is_held, **_signals(found)}
        )
        return int(found.is_alarm)
    _print(found)
    if is_held:
        print_lines(
            f"The release is held: all calls of {task} go to its teacher. To end it: journeyman drift {task} --resume REASON"
        )
    elif found.is_alarm:
        print_lines(
            f"What the release promises was measured on other inputs. Send its calls to the teacher (journeyman drift {task} --hold), "
            f"import the new ones, then prepare, tune and assess {task} again."
        )
    return int(found.is_alarm)


def _signals(found: Drift) -> dict[str, Json]:
    signals: list[Json] = [
        {
            "name": item.name,
            "calls": item.seen,
            "mean": item.mean,
            "known_mean": item.known,
            "known_rows": len(item.watch.known),
            "alarm": item.alarm or None,
            "since": item.since or None,
        }
        for item in found.signals
    ]
    if (audits := found.audits) is None:
        return {"signals": signals, "audits": None}
    watch = audits.watch
    told: dict[str, Json] = {
        "answers": watch.seen,
        "different": watch.wrong,
        "allowed": watch.error,
        "alarm": audits.alarm or None,
        "since": audits.since or None,
    }
    return {"signals": signals, "audits": told}


def _print(found: Drift) -> None:
    for item in found.signals:
        now = "no call has it" if item.mean is None else f"{item.mean:.3f} over {item.seen:,} calls"
        state = f"DIFFERS since call {item.alarm} ({item.since})" if item.alarm else "no sign of a difference"
        print_lines(f"{item.name:<11} {now}, {item.known:.3f} on {len(item.watch.known):,} measured rows: {state}")
    if found.audits is None:
        print_lines(
            "audits      none decides: the release promises nothing, or no measured row says how often it may differ from the teacher"
        )
    if (audits := found.audits) is not None:
        state = f"TOO OFTEN since call {audits.alarm} ({audits.since})" if audits.alarm else "no sign of too many"
        print_lines(
            f"{'audits':<11} {audits.watch.wrong:.0f} of {audits.watch.seen:,} answers differ from the teacher's, "
            f"{100 * audits.watch.error:.1f} % may: {state}"
        )
