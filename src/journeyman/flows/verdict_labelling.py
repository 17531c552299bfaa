"""`label T --verdict`: a person says blind which of two answers is right, row by row of the recorded draw. What is kept is what a filled-in sheet says, read back by
``read_labels``; nothing that can be seen says whose an answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from journeyman.core.errors import GateError
from journeyman.data.sheet import Filled, Question
from journeyman.flows.kept_labels import DrawnRow, KeptLabels, Label
from journeyman.flows.label_view import Action, ShownAnswer, View
from journeyman.flows.labels import OpenDraw, open_draw
from journeyman.flows.measures import Measures
from journeyman.flows.read_labels import read_filled
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.metrics import MetricKind

FIRST_DRAW = 50
RIGHT = {"1": "first", "2": "second"}

ACTIONS = (
    Action("1", "choose", "first", "the first answer is right"),
    Action("2", "choose", "second", "the second answer is right"),
    Action("b", "both", "both", "both are right"),
    Action("n", "neither", "neither", "neither is right"),
    Action("e", "edit", "other", "write the right answer, where it is neither"),
    Action("s", "skip", "skip", "come back to this row another time"),
    Action("u", "undo", "undo", "take the last decision back, and the one before it, and so on"),
)


def open_verdict(workspace: Workspace, task_name: str, by: str, wanted: int | None) -> VerdictLabelling:
    """The session of ``by`` over the rows that are drawn. ``wanted`` rows are drawn in all; None: what is drawn already, or 50. No more are drawn while some are open.

    Raises:
        GateError: those of ``labels.open_draw``.
    """

    def further(kept: KeptLabels) -> int:
        asked = sum(draw.asked for draw in kept.draws)
        return 0 if kept.open else max(0, (wanted or (asked or FIRST_DRAW)) - asked)

    drawn = open_draw(workspace, task_name, further)
    task = drawn.task
    kind = find_metric(task, task.gate.metric, workspace.project.root, Measures(workspace, task).metrics).kind
    return VerdictLabelling(drawn, kind, by, workspace.now)


class VerdictLabelling:
    """The session of one person over a draw."""

    def __init__(self, drawn: OpenDraw, kind: MetricKind, by: str, now: Callable[[], str]) -> None:
        self._task, self._kind, self._by, self._now = drawn.task, kind, by, now
        self._kept = drawn.kept
        self._rows = {row.name: row for row in drawn.kept.rows}
        self._questions = {question.row: question for question in drawn.questions(drawn.kept.rows)}
        self._passed: set[str] = set()
        mine = [labels[by] for labels in drawn.kept.latest.values() if by in labels]
        self._steps = [label.name for label in sorted(mine, key=lambda label: label.time)]
        self._note = self._problem = ""
        self._name = ""
        self._go_on()

    @property
    def view(self) -> View:
        said = self._said
        left = sum(name not in said and name not in self._passed for name in self._rows)
        view = View("row", self._task.name, done=len(said), left=left, skipped=len(self._passed - said))
        view = replace(view, note=self._note, problem=self._problem)
        question = self._questions.get(self._name)
        if question is None:
            return replace(view, stage="end")
        answers = (ShownAnswer("1", "", question.first), ShownAnswer("2", "", question.second))
        return replace(view, input=question.input, answers=answers)

    @property
    def actions(self) -> Sequence[Action]:
        return ACTIONS

    @property
    def kept(self) -> KeptLabels:
        return self._kept

    def act(self, name: str) -> None:
        self._note = self._problem = ""
        if name == "undo":
            self._undo()
        elif name == "skip" and self._name:
            self._passed.add(self._name)
            self._note = "skipped: it comes back another time"
            self._go_on()
        elif name in ("both", "neither"):
            self._say(name, "")

    def choose(self, letter: str) -> None:
        self._note = self._problem = ""
        if letter in RIGHT:
            self._say(RIGHT[letter], "")

    def set_value(self, number: int) -> None:
        self.choose(str(number + 1))

    def draft(self, is_whole: bool) -> str:
        question = self._questions.get(self._name)
        return question.first if question is not None else ""

    def write(self, text: str, is_whole: bool) -> bool:
        self._note = self._problem = ""
        if not text.strip():
            self._problem = "an answer that says nothing is none"
            return False
        self._say("", text.strip())
        return not self._problem

    @property
    def _said(self) -> set[str]:
        return {name for name, labels in self._kept.latest.items() if self._by in labels}

    def _say(self, right: str, answer: str) -> None:
        row, question = self._rows.get(self._name), self._questions.get(self._name)
        if row is None or question is None:
            return
        try:
            label = self._read(row, question, right, answer)
        except GateError as error:
            self._problem = f"expected {error.expected}; got {error.got}"
            return
        self._add(label)
        self._steps.append(row.name)
        self._note = "kept"
        self._go_on()

    def _read(self, row: DrawnRow, question: Question, right: str, answer: str) -> Label:
        """By the same rules as a line of a sheet."""
        filled = Filled(0, question, right, answer)
        label = read_filled(Path(f"row {row.name}"), filled, row, self._task, self._kind, self._by, self._now())
        assert label is not None, "something was said"
        return label

    def _add(self, label: Label) -> None:
        self._kept = self._kept.add_labels([label])

    def _undo(self) -> None:
        if not self._steps:
            self._problem = "there is nothing to take back"
            return
        name = self._steps.pop()
        self._add(Label(name, self._by, "", None, self._now()))
        self._name, self._note = name, "taken back"

    def _go_on(self) -> None:
        """To the next row of the draw that this person has not labelled, from the present one on."""
        said, order = self._said, list(self._rows)
        begin = order.index(self._name) + 1 if self._name in self._rows else 0
        ahead = [*order[begin:], *order[:begin]]
        self._name = next((name for name in ahead if name not in said and name not in self._passed), "")
