"""`drift T`: is what the live release is asked still what it was measured on? By its recorded calls, in their order, with an alarm that may be looked at any time."""

from __future__ import annotations

from dataclasses import dataclass, field

from journeyman.core.canonical import content_hash
from journeyman.core.errors import GateError
from journeyman.data.dataset import read_manifest, read_split
from journeyman.evaluation.document import ReferencePart
from journeyman.flows.attached import read_attached
from journeyman.flows.audits import ALPHA, SIGNALS, AuditSignal, find_since, is_over, replay
from journeyman.flows.routing import find_hold
from journeyman.flows.workspace import Workspace
from journeyman.measure.drift import ExchangeWatch
from journeyman.measure.novelty import Vocabulary
from journeyman.models.manifest import load_manifest
from journeyman.task.prompt import question_text
from journeyman.task.task import Task

ASKED = ("serve", "ask", "task")


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
    """``audits`` is None where the release promises nothing, or nothing is known of how often it may differ from the teacher; ``held`` says why the release
    may not answer, if so."""

    release: str
    signals: tuple[Signal, ...] = field(default=())
    audits: AuditSignal | None = None
    held: str = ""

    @property
    def is_alarm(self) -> bool:
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """What differs, in words; empty where nothing is known to."""
        found = [
            f"{item.name} {item.mean:.3f} over {item.seen} calls, {item.known:.3f} on measured rows (call {item.alarm}, {item.since})"
            for item in self.signals
            if item.alarm
        ]
        return "; ".join(found + ([self.audits.describe()] if self.audits is not None and self.audits.alarm else []))


def watch(workspace: Workspace, task_name: str) -> Drift:
    """By each call whose input is new, to train rows and to earlier calls: measured rows are that too, and what repeats would look like a difference.

    Raises: GateError: JM-633 no live release, or it was released without what its calls could be compared with."""
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
    vocabulary, asked = Vocabulary.read(reference.words), _known_inputs(workspace, task_name)
    folder = workspace.project.releases / task_name / release
    served = Task.from_json(load_manifest(folder).task)
    lists = {"new words": reference.novelty, "confidence": reference.confidence}
    signals = {name: Signal(name, ExchangeWatch.of(known, ALPHA / SIGNALS)) for name, known in lists.items() if known}
    since = find_since(workspace, task_name, release)
    for trace in workspace.store.traces(task_name, origins=ASKED):
        key = content_hash(dict(trace.input))
        if trace.release != release or not trace.has_content or key in asked or is_over(trace, since):
            continue
        asked.add(key)
        if "new words" in signals:
            signals["new words"].add(vocabulary.novelty(question_text(served, trace.input)), trace.id, trace.time)
        said = trace.verdicts.get("confidence")
        if "confidence" in signals and isinstance(said, int | float):
            signals["confidence"].add(float(said), trace.id, trace.time)
    audits = replay(workspace, workspace.task(task_name), release)
    return Drift(release, tuple(signals.values()), audits, find_hold(workspace, task_name))


def resume(workspace: Workspace, task_name: str, reason: str) -> None:
    """Let the held release answer again.

    Raises:
        GateError: JM-635 nothing is held.
    """
    if workspace.store.resume(task_name, reason, workspace.now()) is None:
        raise GateError(
            "JM-635",
            f"no release of {task_name} is held",
            expected="a live release that is held",
            hint=f"journeyman drift {task_name}",
        )


def _known_inputs(workspace: Workspace, task_name: str) -> set[str]:
    """Of the latest dataset's train rows, whose words are all known: what is measured beside them is new to them, and so must calls be that are compared with it."""
    _dataset, manifest = read_manifest(workspace.store, task_name)
    return {content_hash(dict(row.input)) for row in read_split(workspace.store, manifest, "train")}


def _reference(workspace: Workspace, task_name: str, release: str) -> ReferencePart | None:
    if not release:
        return None
    return read_attached(
        workspace.project.releases / task_name / release,
        lambda found: ReferencePart.model_validate(found["reference"]) if found.get("reference") else None,
    )
