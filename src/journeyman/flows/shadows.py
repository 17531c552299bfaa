"""`shadow T`: what a student that nobody sees says to real calls, beside what the teacher answered."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from journeyman.core.canonical import Json
from journeyman.evaluation.threshold import are_right
from journeyman.flows.panel import Panel
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.intervals import Interval, clopper_pearson
from journeyman.measure.metrics import Pair


@dataclass(frozen=True, slots=True)
class Shadowed:
    """Of one release: ``calls`` that it was asked unseen, how many of its answers were ``valid``, how many ``alike`` the teacher's, with the 95 % interval of that share.
    Latencies are medians in milliseconds; None: not known."""

    release: str
    calls: int
    valid: int
    alike: int
    interval: Interval | None
    student_ms: float | None
    teacher_ms: float | None

    def to_json(self) -> dict[str, Json]:
        return {
            "release": self.release or None,
            "calls": self.calls,
            "valid": self.valid,
            "alike": self.alike,
            "interval": [self.interval.low, self.interval.high] if self.interval else None,
            "student_ms": self.student_ms,
            "teacher_ms": self.teacher_ms,
        }


def read_shadows(workspace: Workspace, task_name: str) -> Shadowed:
    """Of the live release; a call that was erased since counts no more."""
    store, release = workspace.store, workspace.store.alias(task_name) or ""
    pairs, waits, teachers, valid = list[Pair](), list[float](), list[float](), 0
    for said in store.traces(task_name, origins=("shadow",)):
        call = store.trace(str(said.meta["of"])) if said.release == release and "canary" not in said.meta else None
        if call is None or call.output is None:
            continue
        valid += said.status == "ok"
        pairs.append(Pair(call.output, said.output if said.status == "ok" else None, input=call.input))
        waits += [said.latency_ms] if said.latency_ms is not None else []
        teachers += [call.latency_ms] if call.latency_ms is not None else []
    task = workspace.task(task_name)
    panel = Panel(workspace, task)
    metric = panel.right(find_metric(task, task.gate.metric, workspace.project.root, panel.metrics))
    alike = sum(are_right(metric, pairs))
    interval = clopper_pearson(alike, len(pairs), 0.05) if pairs else None
    return Shadowed(
        release,
        len(pairs),
        valid,
        alike,
        interval,
        median(waits) if waits else None,
        median(teachers) if teachers else None,
    )
