"""What a student's verdict on the sealed split would rest on, before it is asked there: how many rows, which labels, at which level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journeyman.core.canonical import content_hash
from journeyman.evaluation.gate import fitting_rows, score_rows
from journeyman.evaluation.labels import make_frame
from journeyman.evaluation.ladder import Sheet, foresee, foresee_labelled
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.labels import find_labels, labels_rule
from journeyman.flows.student import Student
from journeyman.flows.students import gate_rule
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric
from journeyman.store.ledger import level as level_of
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Outlook:
    """``level`` is that of the student's earlier look by the same rule, or that of the next one. ``sheet`` where labels were drawn for it, else ``rows`` decide."""

    level: float
    rows: int
    sheet: Sheet | None = None


@dataclass(frozen=True, slots=True)
class Outlooks:
    """``looks``: level by student and rule; ``sealed`` as the gate sees them."""

    workspace: Workspace
    task: Task
    metric: Metric
    dataset: str
    sealed: Sequence[Row]
    heaviest: float
    looks: Mapping[tuple[str, str], float]
    fresh: float

    def of(self, student: Student) -> Outlook:
        kept = find_labels(self.workspace, self.task, self.dataset, student)
        labels = labels_rule(self.task, kept)
        rule = content_hash(gate_rule(self.workspace, self.task) | labels)
        level = self.looks.get((student.hash, rule), self.fresh)
        rows = len(fitting_rows(self.task.gate, self.sealed))
        if not labels or not kept.design.asked:
            return Outlook(level, rows)
        without = sum(row.teacher is not None and row.gold is None for row in self.sealed)
        return Outlook(level, rows, Sheet(rows, without, kept.design))

    def is_promising(self, outlook: Outlook, rows: Sequence[Row], answered: Predictions) -> bool:
        """Whether the gate would pass there, if the student did as on these ``rows`` of dev."""
        gate, kind = self.task.gate, self.metric.kind
        scores = score_rows(gate, self.metric, rows, answered)
        if outlook.sheet is None:
            return foresee(gate, scores, outlook.rows, outlook.level, kind, self.heaviest)
        frame = make_frame(self.metric, self.task.metrics.get(gate.metric), rows, answered)
        alike = [is_alike for row, is_alike in zip(frame.rows, frame.is_alike, strict=True) if row.gold is not None]
        return foresee_labelled(gate, scores, alike, outlook.sheet, outlook.level, kind, self.heaviest)


def read_outlooks(
    workspace: Workspace, task: Task, metric: Metric, dataset: str, sealed: Sequence[Row], heaviest: float
) -> Outlooks:
    looks = workspace.store.looks(task.name)
    levels = {(look.release, look.rule): look.level for look in looks if look.dataset == dataset}
    return Outlooks(workspace, task, metric, dataset, sealed, heaviest, levels, level_of(len(looks) + 1))
