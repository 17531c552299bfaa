"""`drift T`: is what the live release is asked still what it was measured on? By its recorded calls, in their order, with an alarm that may be looked at any time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from journeyman.core.errors import GateError
from journeyman.evaluation.document import ReferencePart
from journeyman.flows.runs import ATTACHMENTS, EVALUATION
from journeyman.flows.workspace import Workspace
from journeyman.measure.drift import ExchangeWatch
from journeyman.measure.novelty import Vocabulary
from journeyman.task.prompt import user_text

ASKED = ("serve", "ask", "task")
ALPHA = 0.01
"""The chance of a false alarm, over all signals and however often it is looked at."""


@dataclass(slots=True)
class Signal:
    """One number per call beside the same of the rows that the release was measured on: ``alarm`` is the id of the call at which it was clear that they
    differ, ``since`` that call's time."""

    name: str
    watch: ExchangeWatch
    total: float = 0.0
    alarm: str = ""
    since: str = ""

    def add(self, value: float, trace: str, time: str) -> None:
        self.total += value
        if self.watch.add(value) and not self.alarm:
            self.alarm, self.since = trace, time

    @property
    def seen(self) -> int:
        return self.watch.seen

    @property
    def mean(self) -> float | None:
        return self.total / self.seen if self.seen else None

    @property
    def known(self) -> float:
        """The mean of the rows that the release was measured on."""
        return sum(self.watch.known) / len(self.watch.known)


@dataclass(frozen=True, slots=True)
class Drift:
    release: str
    signals: tuple[Signal, ...] = field(default=())

    @property
    def is_alarm(self) -> bool:
        return any(signal.alarm for signal in self.signals)


def watch(workspace: Workspace, task_name: str) -> Drift:
    """Raises: GateError: JM-633 no live release, or it was released without what its calls could be compared with."""
    task = workspace.task(task_name)
    release = workspace.store.alias(task_name) or ""
    reference = _reference(workspace, task_name, release)
    if reference is None:
        raise GateError(
            "JM-633",
            f"{task_name} has no release whose calls could be watched",
            where=f"release {release[:12]}" if release else "",
            expected="a live release that was assessed by this version",
            hint=f"journeyman assess {task_name}, then journeyman release {task_name}",
        )
    vocabulary = Vocabulary.read(reference.words)
    lists = {"new words": reference.novelty, "confidence": reference.confidence}
    signals = {name: Signal(name, ExchangeWatch.of(known, ALPHA / 2)) for name, known in lists.items() if known}
    for trace in workspace.store.traces(task_name, origins=ASKED):
        if trace.release != release:
            continue
        if "new words" in signals:
            signals["new words"].add(vocabulary.novelty(user_text(task, trace.input)), trace.id, trace.time)
        said = trace.verdicts.get("confidence")
        if "confidence" in signals and isinstance(said, int | float):
            signals["confidence"].add(float(said), trace.id, trace.time)
    return Drift(release, tuple(signals.values()))


def _reference(workspace: Workspace, task_name: str, release: str) -> ReferencePart | None:
    path = workspace.project.releases / task_name / release / ATTACHMENTS / EVALUATION
    if not release or not path.is_file():
        return None
    try:
        part = json.loads(path.read_bytes()).get("reference")
        return ReferencePart.model_validate(part) if part else None
    except (ValueError, AttributeError) as error:
        raise GateError(
            "JM-609",
            "this release's evaluation cannot be read",
            where=str(path),
            got=f"{type(error).__name__}: {error}"[:300],
            hint="restore the folder from a copy, or release again",
        ) from error
