"""`journeyman shadow`."""

from __future__ import annotations

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def shadow(task: TaskName, project: ProjectFolder = None, is_json: AsJson = False) -> None:
    """What the live release said to calls that the teacher answered, under `route: {policy: shadow}`.

    Example: journeyman shadow tickets
    """
    from journeyman.flows.shadows import read_shadows

    with working(project, is_json) as workspace:
        found = read_shadows(workspace, task)
    if is_json:
        print_json({"task": task, **found.to_json()})
        return
    if found.interval is None:
        print_lines(
            f"{task}: no release was asked unseen; `route: {{policy: shadow}}` in tasks/{task}.yaml does it while serving"
        )
        return
    low, high = 100 * found.interval.low, 100 * found.interval.high
    print_lines(
        f"{task}: the release {found.release[:12]} was asked {found.calls:,} calls unseen",
        f"  as the teacher  {found.alike:,} ({100 * found.alike / found.calls:.1f} %, between {low:.1f} and {high:.1f} %)",
        f"  valid           {found.valid:,}",
        f"  median latency  {found.student_ms or 0:.0f} ms, the teacher's {found.teacher_ms or 0:.0f} ms",
    )
