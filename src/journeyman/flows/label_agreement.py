"""`label T --agreement`: how far people who labelled the same rows agree beyond chance, on train rows overall and by closed field, on the sealed rows of the draw overall alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import DataError, GateError
from journeyman.core.judgements import Judgement, read_judgements
from journeyman.data.candidates import ORIGINS, hash_input, read_trace
from journeyman.data.dataset import read_manifest
from journeyman.flows.kept_labels import DrawnRow, Label
from journeyman.flows.label_fields import get_value, show_answer
from journeyman.flows.labels import find_labels
from journeyman.flows.students import choose_student
from journeyman.flows.workspace import Workspace
from journeyman.measure.agreement import Alpha, krippendorffs_alpha
from journeyman.task.closed import choices_of
from journeyman.task.prompt import user_text
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Apart:
    """A train row on which people differ: what each of them said."""

    input: str
    said: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        return {"input": self.input, "said": dict(self.said)}


@dataclass(frozen=True, slots=True)
class Agreement:
    """``train``: of whole answers, ``fields`` of the closed ones by name; ``labelled`` train rows by person. ``sealed`` and ``people`` are of the draw for the verdict. None: no row has two people's
    labels."""

    labelled: Mapping[str, int]
    train: Alpha | None
    fields: Mapping[str, Alpha]
    apart: tuple[Apart, ...]
    people: tuple[str, ...]
    sealed: Alpha | None

    def to_json(self) -> dict[str, Json]:
        return {
            "labelled": dict(self.labelled),
            "train": _describe(self.train),
            "fields": {name: _describe(item) for name, item in self.fields.items()},
            "apart": [item.to_json() for item in self.apart],
            "people": list(self.people),
            "sealed": _describe(self.sealed),
        }


def find_agreement(workspace: Workspace, task_name: str) -> Agreement:
    """Of a task's labels as they stand. Raises: TaskError: JM-260 there is no such task."""
    task = workspace.task(task_name)
    units: dict[str, dict[str, Judgement]] = {}
    inputs: dict[str, Mapping[str, Json]] = {}
    for trace in workspace.store.traces(task_name, origins=ORIGINS):
        said = {by: item for by, item in read_judgements(trace.feedback).items() if item.state == "done"}
        example, reason = read_trace(task, trace, "any") if said else (None, "")
        if example is not None and not reason:
            name = hash_input(example)
            units.setdefault(name, {}).update(said)
            inputs[name] = trace.input
    people, sealed = _find_sealed(workspace, task)
    rated = [list(unit.values()) for unit in units.values()]
    fields = {}
    for field, _values in choices_of(task.schema):
        if field and (found := krippendorffs_alpha([_values_of(unit, field) for unit in rated])) is not None:
            fields[field] = found
    apart = tuple(
        Apart(
            user_text(task, inputs[name]),
            {by: show_answer(task, item.answer) for by, item in sorted(unit.items())},
        )
        for name, unit in units.items()
        if len({item.said for item in unit.values()}) > 1
    )
    labelled = {
        by: sum(by in unit for unit in units.values()) for by in sorted({by for unit in units.values() for by in unit})
    }
    overall = krippendorffs_alpha([[item.said for item in unit] for unit in rated])
    return Agreement(labelled, overall, fields, apart, people, sealed)


def _values_of(unit: Sequence[Judgement], field: str) -> list[str]:
    return [dump(get_value(item.answer, field)) for item in unit]


def _find_sealed(workspace: Workspace, task: Task) -> tuple[tuple[str, ...], Alpha | None]:
    """Of the draw of the student that is to be assessed; nothing where there is none."""
    try:
        dataset, _manifest = read_manifest(workspace.store, task.name)
        _run, student = choose_student(workspace, task.name, dataset)
        kept = find_labels(workspace, task, dataset, student)
    except (DataError, GateError):
        return (), None
    rows = {row.name: row for row in kept.rows}
    units = [[_side(rows[name], label) for label in labels.values()] for name, labels in kept.latest.items()]
    return tuple(kept.people), krippendorffs_alpha(units)


def _side(row: DrawnRow, label: Label) -> str:
    """What was said as the person saw it: by whose answer it is, full agreement that one model is better would count as chance."""
    if label.right not in ("student", "teacher"):
        return label.said
    return "first" if (label.right == "student") == row.is_student_first else "second"


def _describe(found: Alpha | None) -> Json:
    if found is None:
        return None
    return {
        "alpha": found.alpha,
        "interval": [found.interval.low, found.interval.high],
        "n": found.n,
        "ratings": found.ratings,
        "apart": found.apart,
    }
