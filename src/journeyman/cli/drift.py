"""`journeyman drift`."""

from __future__ import annotations

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def drift(task: TaskName, project: ProjectFolder = None, is_json: AsJson = False) -> int:
    """Compare the live release's recorded calls with the rows it was measured on.

    Exit status 1 when they differ: one false alarm in a hundred releases, however often it is run.

    Example: journeyman drift tickets
    """
    from journeyman.flows.watching import watch

    with working(project, is_json) as workspace:
        found = watch(workspace, task)
    if is_json:
        signals = [
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
        print_json({"task": task, "release": found.release, "is_alarm": found.is_alarm, "signals": signals})
        return int(found.is_alarm)
    for item in found.signals:
        now = "no call has it" if item.mean is None else f"{item.mean:.3f} over {item.seen:,} calls"
        state = f"DIFFERS since call {item.alarm} ({item.since})" if item.alarm else "no sign of a difference"
        print_lines(f"{item.name:<11} {now}, {item.known:.3f} on {len(item.watch.known):,} measured rows: {state}")
    if found.is_alarm:
        print_lines(
            "What the release promises was measured on other inputs. Send its calls to the teacher (journeyman rollback), "
            f"import the new ones, then prepare, tune and assess {task} again."
        )
    return int(found.is_alarm)
