"""What was drawn to be labelled and what people said, kept in a file that only grows: a line per draw and per label.

One file per student, dataset and metric, under ``.journeyman/labels``. A changed label is a later line of the same person; the earlier one stays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.example import Target
from journeyman.core.files import append_line, disk_errors, locked, read_whole_lines
from journeyman.evaluation.labels import Design, Truth
from journeyman.measure.agreement import cohens_kappa
from journeyman.measure.metrics import Estimate


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """``name`` is what people see of the row ``hash``; ``shown`` the hash of the question as they see it."""

    name: str
    hash: str
    shown: str
    is_student_first: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows drawn at once, in the order in which they are shown. ``asked`` is how many were wanted; with those of earlier draws ``differing`` rows were
    there to draw from, ``expected`` as dev let foresee; ``answers`` is the hash of what was compared, ``student`` and ``dataset`` say whose."""

    number: int
    time: str
    asked: int
    differing: int
    expected: int
    answers: str
    student: str
    dataset: str
    rows: tuple[DrawnRow, ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "number": self.number,
            "time": self.time,
            "asked": self.asked,
            "differing": self.differing,
            "expected": self.expected,
            "answers": self.answers,
            "student": self.student,
            "dataset": self.dataset,
            "rows": [[row.name, row.hash, row.shown, row.is_student_first] for row in self.rows],
        }

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Draw:
        rows = tuple(DrawnRow(*row) for row in cast(list[tuple[str, str, str, bool]], raw["rows"]))
        return Draw(**cast(dict[str, Any], {**raw, "rows": rows}))


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said of a row: ``right`` is student, teacher, both or neither, or empty where ``answer`` is the right one; neither of them takes back what was said before."""

    name: str
    by: str
    right: str
    answer: Target | None
    time: str = ""

    @property
    def said(self) -> str:
        """To compare with what others said; empty where it takes back."""
        return dump(self.answer.to_json()) if self.answer else self.right

    def to_json(self) -> dict[str, Json]:
        answer = self.answer.to_json() if self.answer else None
        return {"row": self.name, "by": self.by, "right": self.right, "answer": answer, "time": self.time}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Label:
        answer = cast(dict[str, Json] | None, raw["answer"])
        target = Target.from_json(answer) if answer else None
        return Label(str(raw["row"]), str(raw["by"]), str(raw["right"]), target, str(raw["time"]))


@dataclass(frozen=True, slots=True)
class KeptLabels:
    """A file's draws and labels, in their order."""

    path: Path
    draws: tuple[Draw, ...] = ()
    history: tuple[Label, ...] = ()

    @property
    def rows(self) -> list[DrawnRow]:
        return [row for draw in self.draws for row in draw.rows]

    @property
    def design(self) -> Design:
        """Of all draws together; what was expected is what was expected at first."""
        return Design(sum(draw.asked for draw in self.draws), self.draws[0].differing, self.draws[0].expected)

    @property
    def latest(self) -> dict[str, dict[str, Label]]:
        """By row and person, in the order in which people first spoke."""
        found: dict[str, dict[str, Label]] = {}
        for label in self.history:
            labels = found.setdefault(label.name, {})
            if label.said:
                labels[label.by] = label
            else:
                labels.pop(label.by, None)
        return {name: labels for name, labels in found.items() if labels}

    @property
    def settled(self) -> dict[str, Label]:
        """By row: what more than half of those who labelled it say."""
        found = {}
        for name, labels in self.latest.items():
            said, count = Counter(label.said for label in labels.values()).most_common(1)[0]
            if 2 * count > len(labels):
                found[name] = next(label for label in labels.values() if label.said == said)
        return found

    @property
    def said(self) -> str:
        """A hash of what all people say now; empty where nothing was drawn."""
        latest = {name: {by: label.said for by, label in labels.items()} for name, labels in self.latest.items()}
        return content_hash([latest, [row.name for row in self.open]]) if self.draws else ""

    @property
    def open(self) -> list[DrawnRow]:
        """Rows that nobody labelled, or on which people differ."""
        settled = self.settled
        return [row for row in self.rows if row.name not in settled]

    @property
    def people(self) -> list[str]:
        return sorted({by for labels in self.latest.values() for by in labels})

    def truths(self, targets: Mapping[str, tuple[Target | None, Target | None]]) -> dict[str, Truth]:
        """By row hash; ``targets`` are the student's and the teacher's answers."""
        settled = self.settled
        return {row.hash: _truth(settled[row.name], *targets[row.hash]) for row in self.rows if row.name in settled}

    def agreement(self) -> Estimate | None:
        """The share of rows on which the first two who labelled a row say the same; None where no row has two."""
        pairs = [list(labels.values())[:2] for labels in self.latest.values() if len(labels) > 1]
        if not pairs:
            return None
        kappa = cohens_kappa([one.said for one, _ in pairs], [other.said for _, other in pairs])
        return Estimate(kappa.agreed, kappa.agreed_interval.low, kappa.agreed_interval.high, kappa.n)

    def add_draw(self, draw: Draw) -> KeptLabels:
        return self._add([{"draw": draw.to_json()}])

    def add_labels(self, labels: Sequence[Label]) -> KeptLabels:
        """Those that say something else than the same person said last."""
        latest = self.latest
        said = {(label.name, label.by): latest.get(label.name, {}).get(label.by) for label in labels}
        return self._add(
            [{"label": label.to_json()} for label in labels if not _is_same(said[label.name, label.by], label)]
        )

    def _add(self, lines: Sequence[Mapping[str, Json]]) -> KeptLabels:
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_suffix(".lock")):
            for line in lines:
                append_line(self.path, json.dumps(line))
        return load_labels(self.path)


def labels_path(state: Path, task: str, key: Mapping[str, Json]) -> Path:
    """``key``: what the draws are of (student, dataset, metric)."""
    return state / "labels" / f"{task}-{content_hash(dict(key))[:12]}.jsonl"


def load_labels(path: Path) -> KeptLabels:
    """What the file holds; nothing where there is none."""
    draws, history = [], []
    for line in read_whole_lines(path):
        raw = json.loads(line)
        if "draw" in raw:
            draws.append(Draw.from_json(raw["draw"]))
        if "label" in raw:
            history.append(Label.from_json(raw["label"]))
    return KeptLabels(path, tuple(draws), tuple(history))


def other_labels(path: Path) -> Iterator[KeptLabels]:
    """The draws beside this one: of other tasks, students, datasets or metrics."""
    for other in sorted(path.parent.glob("*.jsonl")):
        if other != path:
            yield load_labels(other)


def _is_same(before: Label | None, now: Label) -> bool:
    return before is not None and before.said == now.said


def _truth(label: Label, student: Target | None, teacher: Target | None) -> Truth:
    if label.answer is not None:
        return label.answer
    if label.right == "both" or label.right == "neither":
        return "both" if label.right == "both" else "neither"
    target = student if label.right == "student" else teacher
    assert target is not None, "an answer that cannot be read was refused when the label was read"
    return target
