"""Audits: sure answers of a release beside what the teacher said to the same question, and the hold that follows where they differ too often.

The test is `measure.drift.AgreementWatch`: it may be looked at after every audit, and its chance of a false alarm holds over all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from journeyman.core.trace import Trace
from journeyman.evaluation.document import PromisePart
from journeyman.evaluation.threshold import are_right
from journeyman.flows.attached import read_attached
from journeyman.flows.panel import Panel
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.drift import AgreementWatch
from journeyman.measure.metrics import Metric, Pair
from journeyman.task.task import Task

ALPHA = 0.01
"""The chance of a false alarm of one release's watch, over all that it looks at and however often."""
SIGNALS = 3
"""What shares ``ALPHA``: words, confidence, audits."""


@dataclass(slots=True)
class AuditSignal:
    """``alarm`` is the id of the student's call at which it was clear that its answers differ from the teacher's too often, ``since`` that call's time."""

    watch: AgreementWatch
    metric: Metric
    alarm: str = ""
    since: str = ""
    counted: int = 0
    """The number of the last audit that was looked at: each counts once, whichever server made it."""

    def add(self, said: Trace, audit: Trace) -> None:
        if audit.output is None or audit.status != "ok":
            return
        pair = Pair(audit.output, said.output if said.status == "ok" else None, input=said.input)
        if self.watch.add(not are_right(self.metric, [pair])[0]) and not self.alarm:
            self.alarm, self.since = said.id, said.time

    def describe(self) -> str:
        watch = self.watch
        return (
            f"of {watch.seen} audited answers {watch.wrong:.0f} differ from the teacher's, where at most "
            f"{100 * watch.error:.1f} % may (call {self.alarm}, {self.since})"
        )


def read_promise(workspace: Workspace, task_name: str, release: str) -> PromisePart | None:
    """Of a release that was assessed with calibration rows.

    Raises:
        GateError: JM-609 its evaluation cannot be read.
    """
    return read_attached(
        workspace.project.releases / task_name / release,
        lambda found: PromisePart.model_validate(found["promise"]) if found.get("promise") else None,
    )


def open_signal(workspace: Workspace, task: Task, release: str) -> AuditSignal | None:
    """Nothing counted yet; None where the release promises nothing, or nothing is known of how often it may differ from the teacher."""
    promise = read_promise(workspace, task.name, release)
    allowed = promise.allowed if promise is not None else None
    if allowed is None:
        return None
    panel = Panel(workspace, task)
    metric = panel.right(find_metric(task, task.gate.metric, workspace.project.root, panel.metrics))
    return AuditSignal(AgreementWatch(allowed, ALPHA / SIGNALS), metric)


def find_since(workspace: Workspace, task_name: str, release: str) -> datetime | None:
    """When somebody last let the release answer again: what was before is not held against it."""
    resumed = workspace.store.resumed(task_name, release)
    return datetime.fromisoformat(resumed.time) if resumed is not None else None


def is_over(call: Trace, since: datetime | None) -> bool:
    return since is not None and datetime.fromisoformat(call.time) <= since


def is_sure(said: Trace) -> bool:
    """Whether the promise speaks of this answer. Of a canary's calls others are audited too."""
    route = said.verdicts.get("route")
    return isinstance(route, dict) and route.get("why") == "sure"


def catch_up(workspace: Workspace, signal: AuditSignal, task_name: str, release: str) -> None:
    """Count the audits of the release that came since, in their order; those from before somebody last let it answer again are over."""
    since = find_since(workspace, task_name, release)
    for number, audit in workspace.store.new_traces(task_name, signal.counted, origins=("audit",)):
        signal.counted = number
        if is_over(audit, since):
            continue
        said = workspace.store.trace(str(audit.meta.get("of", "")))
        if said is not None and said.release == release and is_sure(said):
            signal.add(said, audit)


def replay(workspace: Workspace, task: Task, release: str) -> AuditSignal | None:
    """All audits of the release so far; None as `open_signal`."""
    signal = open_signal(workspace, task, release)
    if signal is not None:
        catch_up(workspace, signal, task.name, release)
    return signal


def hold(workspace: Workspace, task_name: str, release: str, reason: str) -> bool:
    """Send the task's calls to the teacher while this release is live, and say so; False where it is not live, or held already."""
    entry = workspace.store.hold(task_name, release, reason, workspace.now())
    if entry is not None:
        workspace.progress.note(f"{task_name}: {release[:12]} is held, all calls go to the teacher: {reason}")
    return entry is not None
