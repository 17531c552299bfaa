"""What is known of a canary, and what follows: the candidate is promoted or rolled back by what the teacher says to both sides.

    calls of either side ─► a random share is compared: teacher, live release and candidate answer the same call ─► paired test ─► promoted, or rolled back
                         └► all: which failed or broke the schema ─► tested too

All three tests may be looked at any time: a verdict is wrong at a chance of ``ALPHA`` at the most, however many calls there are and however often they are looked at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.core.example import Target
from journeyman.core.trace import Trace
from journeyman.evaluation.threshold import are_right
from journeyman.flows.audits import AuditSignal, is_sure, open_signal
from journeyman.flows.panel import Panel
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.metrics import Metric, Pair
from journeyman.measure.paired import Differences, PairedWatch
from journeyman.store.canaries import Canary
from journeyman.task.task import Gate

ALPHA = 0.05
"""The chance of a wrong promotion, over all looks; that of a wrong rollback is below it too."""
ALPHA_WORSE, ALPHA_FAILING = 0.02, 0.02
"""Of the rollback's, beside what a promise that is watched takes (`flows.audits`)."""
QUEUE = 10_000
"""Calls of one side that wait for one of the other, to be compared for failures."""
ORIGINS = ("serve", "ask", "task", "audit", "shadow")
Side = Literal["candidate", "live"]
Verdict = Literal["", "promote", "roll back"]


@dataclass(slots=True)
class Evidence:
    """What is known of one canary. ``right`` counts, of the compared calls, the answers of each side that are as the teacher's; ``calls`` and ``failed`` all calls of each."""

    canary: Canary
    metric: Metric
    watch: PairedWatch
    promise: AuditSignal | None = None
    failing: Differences = field(default_factory=Differences)
    is_failing: bool = False
    right: Counter[Side] = field(default_factory=Counter)
    calls: Counter[Side] = field(default_factory=Counter)
    failed: Counter[Side] = field(default_factory=Counter)
    counted: int = 0
    _waiting: dict[Side, deque[bool]] = field(
        default_factory=lambda: {"candidate": deque(maxlen=QUEUE), "live": deque(maxlen=QUEUE)}
    )

    def add_call(self, side: Side, has_failed: bool) -> None:
        """Calls of the two sides are paired as they come: the test needs as many of both."""
        self.calls[side] += 1
        self.failed[side] += has_failed
        other: Side = "live" if side == "candidate" else "candidate"
        if not self._waiting[other]:
            self._waiting[side].append(has_failed)
            return
        met = self._waiting[other].popleft()
        self.failing.add((has_failed - met) if side == "candidate" else (met - has_failed))
        self.is_failing = self.is_failing or self.failing.refutes(0.0, ALPHA_FAILING)

    def add_pair(self, teacher: Trace, answers: Mapping[Side, Target | None]) -> None:
        assert teacher.output is not None
        expected = teacher.output
        right: dict[Side, bool] = {
            side: are_right(self.metric, [Pair(expected, got, input=teacher.input)])[0] for side, got in answers.items()
        }
        self.right.update({side: int(is_right) for side, is_right in right.items()})
        self.watch.add(right["candidate"] - right["live"])

    @property
    def verdict(self) -> Verdict:
        if (self.promise is not None and self.promise.alarm) or self.is_failing or self.watch.found < 0:
            return "roll back"
        return "promote" if self.watch.found > 0 else ""

    def describe(self) -> str:
        """The reason of the verdict, or why there is none, in words."""
        if self.promise is not None and self.promise.alarm:
            return f"it does not keep its promise: {self.promise.describe()}"
        if self.is_failing:
            return (
                f"it fails more often than the live release: {self._share('failed', 'candidate')} against {self._share('failed', 'live')} "
                f"(chance of error {ALPHA_FAILING:.0%})"
            )
        seen, points = self.watch.differences.seen, f"{100 * self.watch.margin:g} points"
        told = (
            f"over {seen:,} calls that were compared, {self.right['candidate']:,} answers of the candidate and {self.right['live']:,} of the live release "
            "are as the teacher's"
        )
        if self.watch.found > 0:
            return f"{told}: it is not worse by more than {points} (chance of error {ALPHA:.0%})"
        if self.watch.found < 0:
            return f"{told}: it is worse by more than {points} (chance of error {ALPHA_WORSE:.0%})"
        return f"{told}: that shows neither that it is worse by more than {points}, nor that it is not"

    def _share(self, what: str, side: Side) -> str:
        return f"{getattr(self, what)[side]:,} of {self.calls[side]:,}"

    def to_json(self) -> dict[str, Json]:
        differences = self.watch.differences
        interval = differences.interval(ALPHA) if differences.seen else None
        return {
            "compared": differences.seen,
            "right": {side: self.right[side] for side in ("candidate", "live")},
            "difference": differences.mean if differences.seen else None,
            "interval": [interval.low, interval.high] if interval else None,
            "margin": self.watch.margin,
            "calls": {side: self.calls[side] for side in ("candidate", "live")},
            "failed": {side: self.failed[side] for side in ("candidate", "live")},
            "verdict": self.verdict or None,
            "why": self.describe(),
        }


def open_evidence(workspace: Workspace, canary: Canary) -> Evidence:
    """Nothing counted yet. Raises: GateError JM-609, the candidate's evaluation cannot be read."""
    task = workspace.task(canary.task)
    panel = Panel(workspace, task)
    metric = panel.right(find_metric(task, task.gate.metric, workspace.project.root, panel.metrics))
    margin = task.gate.margin if task.gate.margin is not None else cast(float, Gate().margin)
    watch = PairedWatch(margin, ALPHA, ALPHA_WORSE, Differences())
    promise = open_signal(workspace, task, canary.release)
    return Evidence(canary, metric, watch, promise, counted=canary.after)


def catch_up(workspace: Workspace, evidence: Evidence) -> None:
    """Count what came since, each call once and in order."""
    canary = evidence.canary
    for number, trace in workspace.store.new_traces(canary.task, evidence.counted, origins=ORIGINS):
        evidence.counted = number
        if trace.origin == "audit":
            _count_audit(workspace, evidence, trace)
        elif trace.origin == "shadow":
            _count_pair(workspace, evidence, trace)
        else:
            route = _route(trace)
            if route.get("canary") == canary.id:
                evidence.add_call(cast(Side, route["side"]), _has_failed(trace, route))


def read_evidence(workspace: Workspace, canary: Canary) -> Evidence:
    """All that there is."""
    evidence = open_evidence(workspace, canary)
    catch_up(workspace, evidence)
    return evidence


def act(workspace: Workspace, evidence: Evidence) -> Canary | None:
    """Promote or roll back where the evidence says so and the canary was told to; what ended, if it did."""
    canary, verdict = workspace.store.canary(evidence.canary.task), evidence.verdict
    if not verdict or canary is None or canary.id != evidence.canary.id or not canary.is_promoting:
        return None
    outcome: Literal["promoted", "rolled back"] = "promoted" if verdict == "promote" else "rolled back"
    ended = workspace.store.end_canary(canary, outcome, evidence.describe(), workspace.now())
    if ended is not None:
        workspace.progress.note(f"{canary.task}: the candidate {canary.release[:12]} is {outcome}: {ended.why}")
    return ended


def _count_audit(workspace: Workspace, evidence: Evidence, audit: Trace) -> None:
    said = workspace.store.trace(str(audit.meta.get("of", ""))) if evidence.promise is not None else None
    if said is not None and evidence.promise is not None and said.release == evidence.canary.release and is_sure(said):
        evidence.promise.add(said, audit)


def _count_pair(workspace: Workspace, evidence: Evidence, other: Trace) -> None:
    """``other`` is what the student of the other side said; a call that was erased since counts no more."""
    if other.meta.get("canary") != evidence.canary.id:
        return
    call, audit = workspace.store.trace(str(other.meta["of"])), str(other.meta["audit"])
    teacher = workspace.store.trace(audit) if audit else call
    if call is None or teacher is None or teacher.output is None or teacher.status != "ok":
        return
    side = cast(Side, _route(call)["side"])
    own = _answer(call) if audit else _said(call)
    theirs: Side = "live" if side == "candidate" else "candidate"
    evidence.add_pair(teacher, {side: own, theirs: _answer(other)})


def _answer(trace: Trace) -> Target | None:
    return trace.output if trace.status == "ok" else None


def _said(call: Trace) -> Target | None:
    """What the student said to a call that the teacher answered."""
    said = call.verdicts.get("student")
    output = said.get("output") if isinstance(said, dict) else None
    is_valid = _route(call)["why"] not in ("failed", "invalid")
    return Target.from_json(output) if isinstance(output, dict) and is_valid else None


def _has_failed(trace: Trace, route: Mapping[str, Json]) -> bool:
    return route["why"] in ("failed", "invalid") or (route["by"] == "student" and trace.status != "ok")


def _route(trace: Trace) -> Mapping[str, Json]:
    route = trace.verdicts.get("route")
    return route if isinstance(route, dict) else {}
