"""`label T`: a person goes through train rows, accepts answers or mends them, and what was decided is gold of the next `prepare`. Every key's decision is in the store before
the next row is shown (``flows.label_decisions``), so that whoever is killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.example import Target, text_target
from journeyman.core.judgements import State
from journeyman.data.intake import settle
from journeyman.data.near import Shingles, jaccard, make_shingles, near_text
from journeyman.flows.label_decisions import Decisions
from journeyman.flows.label_fields import Part, get_value, parts_of, read_value, set_value, show_answer, show_value
from journeyman.flows.label_queue import Queue, QueueRow
from journeyman.flows.label_view import Action, ShownAnswer, ShownField, View
from journeyman.store.database import Store
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

LETTERS = "abcd"
NEAR = 0.5
"""Jaccard similarity of shingles from which another input is a near neighbour of a fixed one."""
PREVIEWED = 8

ACTIONS = (
    Action("enter", "accept", "accept", "take the answer as it stands below, and go on"),
    Action("a-d", "choose", "an answer", "take this answer, and go on"),
    Action("1-9", "value", "a value", "set the marked field to this value; where the answer is one choice, go on"),
    Action("tab", "field", "field", "mark the next field"),
    Action("e", "edit", "edit", "write the marked field, or the answer where it has no fields"),
    Action("E", "edit_whole", "", "write the whole answer"),
    Action("n", "near", "near", "apply the last fix to near neighbours that had the same answer; they are shown first"),
    Action("s", "skip", "skip", "come back to this row another time"),
    Action("u", "undo", "undo", "take the last decision back, and the one before it, and so on"),
)
PREVIEW = (
    Action("y", "apply", "apply to all of them", "apply the fix to all that are shown or counted"),
    Action("n", "cancel", "leave them", "leave them as they are"),
)


@dataclass(frozen=True, slots=True)
class Fix:
    """The last one made: another answer than was recorded."""

    row: QueueRow
    old: Target
    new: Target


class TrainLabelling:
    """The session of one person over a queue."""

    def __init__(self, store: Store, queue: Queue, now: Callable[[], str]) -> None:
        self._task = queue.task
        self._decisions = Decisions(store, queue, now)
        self._rows = self._decisions.rows
        self._parts = parts_of(queue.task)
        self._fix: Fix | None = None
        self._near: list[QueueRow] | None = None
        self._by = queue.by
        self._shingles: dict[str, Shingles] = {}
        self._note = self._problem = ""
        self._show(next((name for name in self._rows if self._decisions.is_open(name)), ""))

    @property
    def view(self) -> View:
        made = self._decisions
        base = View("row", self._task.name, done=made.done, left=made.left, skipped=made.skipped)
        base = replace(base, note=self._note, problem=self._problem)
        if self._near is not None:
            shown = tuple(user_text(self._task, row.example.input) for row in self._near[:PREVIEWED])
            assert self._fix is not None
            return replace(
                base,
                stage="preview",
                near=shown,
                near_count=len(self._near),
                answers=(
                    ShownAnswer("", "was", show_answer(self._task, self._fix.old)),
                    ShownAnswer("", "is now", show_answer(self._task, self._fix.new)),
                ),
            )
        row = self._current
        if row is None:
            return replace(base, stage="end")
        return replace(
            base,
            input=_show_input(self._task, row),
            answers=tuple(
                ShownAnswer(letter, item.who, show_answer(self._task, item.target))
                for letter, item in zip(LETTERS, row.answers, strict=False)
            ),
            fields=self._show_fields(row),
            why=row.why,
        )

    @property
    def actions(self) -> Sequence[Action]:
        return PREVIEW if self._near is not None else ACTIONS

    @property
    def decided(self) -> int:
        """Rows that this person decided so far, before and now."""
        return self._decisions.done

    def act(self, name: str) -> None:
        known = {
            "accept": self._accept,
            "field": self._next_field,
            "near": self._preview,
            "skip": self._skip,
            "undo": self._undo,
            "apply": self._apply,
            "cancel": self._cancel,
        }
        self._note = self._problem = ""
        previewed = {"apply", "cancel"}
        if name in known and (name in previewed) == (self._near is not None):
            known[name]()

    def choose(self, letter: str) -> None:
        self._note = self._problem = ""
        row, place = self._current, LETTERS.find(letter)
        if row is None or self._near is not None:
            return
        if not 0 <= place < len(row.answers):
            self._problem = f"there is no answer {letter}"
            return
        self._decide(row.answers[place].target)

    def set_value(self, number: int) -> None:
        self._note = self._problem = ""
        row, part = self._current, self._parts[self._cursor]
        if row is None or self._near is not None:
            return
        if number >= len(part.values):
            self._problem = (
                f"{part.name or 'this answer'} has {len(part.values)} choices"
                if part.values
                else "this field is no choice: e writes it"
            )
            return
        self._change(part, part.values[number])

    def draft(self, is_whole: bool) -> str:
        part = self._parts[self._cursor]
        if self._draft is None:
            return ""
        if is_whole or not part.name:
            return show_answer(self._task, self._draft)
        return show_value(get_value(self._draft, part.name))

    def write(self, text: str, is_whole: bool) -> bool:
        self._note = self._problem = ""
        part = self._parts[self._cursor]
        if self._current is None:
            return True
        if is_whole or not part.name:
            answer, problem = settle(text_target(text), self._task.schema)
            self._problem = problem
            if not problem and self._admit(answer) is not None:
                self._decide(answer)
            return not self._problem
        value, problem = read_value(self._task, part.name, text)
        self._problem = problem
        if not problem:
            self._change(part, value)
        return not self._problem

    @property
    def _current(self) -> QueueRow | None:
        return self._rows.get(self._name)

    def _show(self, name: str) -> None:
        """Make a row the current one; what was begun of it is its draft."""
        self._name, self._cursor = name, 0
        row = self._rows.get(name)
        begun = self._decisions.begun(name)
        self._draft = begun.answer if begun is not None else row.recorded if row else None
        if begun is not None:
            self._note = "begun before: as you left it"

    def _go_on(self) -> None:
        self._show(self._decisions.find_next(self._name))

    def _accept(self) -> None:
        row = self._current
        if row is None:
            return
        if self._draft is None:
            self._problem = "there is no answer to accept: write one with e"
            return
        self._decide(self._draft)

    def _decide(self, answer: Target) -> None:
        """Keep an answer as the right one, and go on."""
        row = self._current
        assert row is not None
        is_known = any(answer == item.target for item in row.answers)
        try:
            if is_known:
                answer, problem = settle(answer, self._task.schema)
                if problem:
                    self._problem = f"this answer breaks the task's output: {problem}"
                    return
            else:
                answer = self._decisions.correct(row, answer)
        except ServeError as error:
            self._problem = error.reason
            return
        if not self._keep([row], "done", answer):
            return
        if row.recorded is not None and answer != row.recorded:
            self._fix = Fix(row, row.recorded, answer)
            self._note = "fixed; n applies it to near neighbours"
        else:
            self._fix, self._note = None, "accepted"
        self._go_on()

    def _admit(self, answer: Target) -> Target | None:
        """What may be kept of an answer, done or not; None: nothing, for the reason that the view shows."""
        row = self._current
        assert row is not None
        try:
            return self._decisions.admit(row, answer)
        except ServeError as error:
            self._problem = error.reason
            return None

    def _change(self, part: Part, value: Json) -> None:
        """Set a field; where it is all of the answer this decides, else it is kept as begun."""
        row, draft = self._current, set_value(self._task, self._draft, part.name, value)
        assert row is not None
        kept = self._admit(draft)
        if kept is None:
            return
        if len(self._parts) == 1:
            self._decide(draft)
            return
        if self._keep([row], "open", kept):
            self._draft = kept
            self._next_field()

    def _next_field(self) -> None:
        self._cursor = (self._cursor + 1) % len(self._parts)

    def _skip(self) -> None:
        row = self._current
        if row is None or not self._keep([row], "skipped", None):
            return
        self._decisions.passed.add(row.name)
        self._note = "skipped: it comes back another time"
        self._go_on()

    def _keep(self, rows: Sequence[QueueRow], state: State, answer: Target | None, at: str = "") -> bool:
        if self._decisions.keep(rows, state, answer, at=at):
            return True
        self._problem = "the call of this row was erased: nothing was kept"
        self._go_on()
        return False

    def _undo(self) -> None:
        step = self._decisions.undo()
        if step is None:
            self._problem = "there is nothing to take back"
            return
        self._fix = None
        self._show(step.row)
        self._note = f"taken back: {len(step.rows):,} rows" if len(step.rows) > 1 else "taken back"

    def _preview(self) -> None:
        if self._fix is None:
            self._problem = "the last decision was no fix of a recorded answer"
            return
        found = self._find_near(self._fix)
        if not found:
            self._problem = "no open row is near it and had the same answer"
            return
        self._near = found

    def _find_near(self, fix: Fix) -> list[QueueRow]:
        """Rows that nobody decided, had the same answer and are alike, the most alike first."""
        own = self._shingles_of(fix.row)
        alike = []
        for row in self._rows.values():
            if row.recorded != fix.old or self._decisions.is_done(row.name) or _is_decided(row, self._by):
                continue
            similarity = jaccard(own, self._shingles_of(row))
            if similarity >= NEAR and self._may_have(row, fix.new):
                alike.append((-similarity, row.name, row))
        return [row for _similarity, _name, row in sorted(alike, key=lambda item: item[:2])]

    def _may_have(self, row: QueueRow, answer: Target) -> bool:
        """Whether an answer says nothing personal that this row has not: surrogates are of one row."""
        try:
            self._decisions.correct(row, answer)
        except JourneymanError:
            return False
        return True

    def _shingles_of(self, row: QueueRow) -> Shingles:
        if row.name not in self._shingles:
            self._shingles[row.name] = make_shingles(near_text(row.example))
        return self._shingles[row.name]

    def _apply(self) -> None:
        assert self._near is not None
        assert self._fix is not None
        rows, self._near = self._near, None
        at = self._name
        if not self._keep(rows, "done", self._fix.new, at):
            return
        self._note, self._fix = f"applied to {len(rows):,} near neighbour{'s' if len(rows) > 1 else ''}", None
        if not (at and self._decisions.is_open(at)):
            self._go_on()

    def _cancel(self) -> None:
        self._near, self._note = None, "left as they are"

    def _show_fields(self, row: QueueRow) -> tuple[ShownField, ...]:
        shown = []
        for place, part in enumerate(self._parts):
            value = get_value(self._draft, part.name)
            recorded = get_value(row.recorded, part.name)
            text = (
                ""
                if self._draft is None
                else show_answer(self._task, self._draft)
                if not part.name
                else show_value(value)
            )
            shown.append(
                ShownField(
                    name=part.name,
                    text=text,
                    choices=tuple(show_value(item) for item in part.values),
                    is_current=place == self._cursor,
                    is_changed=dump(value) != dump(recorded),
                )
            )
        return tuple(shown)


def _is_decided(row: QueueRow, by: str) -> bool:
    return any(item.state == "done" and name != by for name, item in row.judgements.items())


def _show_input(task: Task, row: QueueRow) -> str:
    turns = [f"{message.role}: {message.text}" for message in row.example.context]
    return "\n".join([*turns, user_text(task, row.example.input)])
