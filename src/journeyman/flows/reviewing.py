"""`label T --extracted`: a person goes through doubted values one by one, each shown where its document says it, and accepts, mends or empties it. When the last one of a window is
decided, the window with its answer is gold of the next `prepare`, in the form in which `extract --rows` writes documents whose values are known.

Every decision is in the store before the next value is shown (``flows.label_decisions``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import DataError, ServeError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.nodes import write_json
from journeyman.data.intake import settle
from journeyman.data.record import parse_json
from journeyman.flows.label_decisions import Decisions
from journeyman.flows.label_fields import parts_of, show_value
from journeyman.flows.label_queue import QueueRow
from journeyman.flows.label_view import Action, ShownAnswer, ShownField, View
from journeyman.flows.review_queue import Review, ReviewQueue
from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.doubts import Doubt
from journeyman.knowledge.extract.edit import drop_at, find_paths, get_at, put_at, row_of, without_row
from journeyman.knowledge.extract.leaves import Path, write_path
from journeyman.knowledge.extract.place import Placed, place
from journeyman.store.database import Store
from journeyman.task.schema import verifier

LETTERS = "abc"
MOST_FIELDS = 6
Made = Literal["accepted", "mended", "emptied"]

ACTIONS = (
    Action("enter", "accept", "accept", "the marked value is right, also where the document does not say it so"),
    Action("e", "edit", "edit", "write the marked value; nothing written empties it"),
    Action("x", "empty", "not there", "the document does not say it: null, or its row's place is taken out of a list"),
    Action("d", "row", "drop row", "take the row of the marked value out of its list"),
    Action("1-9", "value", "a value", "set the marked value to this choice"),
    Action("a-c", "choose", "", "take what another window says"),
    Action("tab", "field", "field", "mark the next value of the answer, doubted or not; shift-tab goes back"),
    Action("back tab", "back", "", "mark the value before"),
    Action("E", "edit_whole", "", "write the whole answer, and go on"),
    Action("s", "skip", "skip", "come back to this window another time"),
    Action("u", "undo", "undo", "take the last decision back, and the one before it, and so on"),
)


class ReviewSession:
    """The session of one person over a review queue."""

    def __init__(self, store: Store, reviewing: ReviewQueue, now: Callable[[], str]) -> None:
        self._task, self._asked, self._reviews = reviewing.queue.task, reviewing.asked, reviewing.reviews
        assert self._task.schema is not None, "nothing is extracted without one"
        self._schema = self._task.schema
        self._decisions = Decisions(store, reviewing.queue, now)
        self._choices: Mapping[str, tuple[Json, ...]] = {part.name: part.values for part in parts_of(self._task)}
        self._made: list[Made | None] = []  # None: skipped
        self._note = self._problem = ""
        self._show(next((name for name in self._decisions.rows if self._decisions.is_open(name)), ""))

    @property
    def made(self) -> Mapping[Made, int]:
        """Values that were decided in this session, and not taken back."""
        return Counter(made for made in self._made if made is not None)

    @property
    def view(self) -> View:
        made, row = self._decisions, self._current
        base = View("end", self._task.name, done=made.done, left=made.left, skipped=made.skipped)
        base = replace(base, note=self._note, problem=self._problem)
        if row is None:
            return base
        review, at = self._review, self._placed.get(self._cursor)
        return replace(
            base,
            stage="row",
            title=_title(review, self._doubts.get(self._cursor)),
            input=self._text(row),
            mark=(at.start, at.end) if at is not None and at.is_grounded else None,
            answers=tuple(
                ShownAnswer(letter, "another window", show_value(value))
                for letter, value in zip(LETTERS, self._others, strict=False)
            ),
            fields=self._show_fields(row),
            why=self._say_why(at),
        )

    @property
    def actions(self) -> Sequence[Action]:
        return ACTIONS

    def act(self, name: str) -> None:
        known = {
            "accept": self._accept,
            "empty": self._empty,
            "row": self._drop_row,
            "field": lambda: self._move(1),
            "back": lambda: self._move(-1),
            "skip": self._skip,
            "undo": self._undo,
        }
        self._note = self._problem = ""
        if name in known and (self._current is not None or name == "undo"):
            known[name]()

    def choose(self, letter: str) -> None:
        self._note = self._problem = ""
        others, number = self._others, LETTERS.find(letter)
        if 0 <= number < len(others):
            self._set(put_at(self._draft, self._cursor, others[number]), "mended")

    def set_value(self, number: int) -> None:
        self._note = self._problem = ""
        choices = self._choices_of(self._cursor)
        if self._current is None:
            return
        if number >= len(choices):
            self._problem = f"{write_path(self._cursor)} has {len(choices)} choices" if choices else "e writes it"
            return
        self._set(put_at(self._draft, self._cursor, choices[number]), "mended")

    def draft(self, is_whole: bool) -> str:
        return write_json(self._draft) if is_whole else show_value(get_at(self._draft, self._cursor))

    def write(self, text: str, is_whole: bool) -> bool:
        self._note = self._problem = ""
        if self._current is None:
            return True
        if is_whole:
            answer, self._problem = settle(text_target(text), self._schema)
            if not self._problem:
                self._left = ()
                self._finish(answer, "mended")
        elif not text.strip():
            self._empty()
        else:
            self._write_value(text)
        return not self._problem

    def _write_value(self, text: str) -> None:
        """As plain text where that fits, else as JSON."""
        values: list[Json] = [text]
        with suppress(DataError):
            values.append(parse_json(text))
        drafts = [put_at(self._draft, self._cursor, value) for value in values]
        self._set(next((draft for draft in drafts if not self._check(draft)), drafts[-1]), "mended")

    @property
    def _current(self) -> QueueRow | None:
        return self._decisions.rows.get(self._name)

    @property
    def _review(self) -> Review:
        return self._reviews[self._name]

    @property
    def _others(self) -> tuple[Json, ...]:
        doubt = self._doubts.get(self._cursor)
        return self._review.others.get(doubt.path, ()) if doubt is not None else ()

    def _text(self, row: QueueRow) -> str:
        return str(row.example.input[self._asked])

    def _show(self, name: str) -> None:
        """Make a window the current one, with what was begun of it."""
        self._name = name
        row, begun = self._current, self._decisions.begun(name)
        self._draft: Json = None
        self._left: tuple[Path, ...] = ()
        self._doubts: Mapping[Path, Doubt] = {}
        self._placed: Mapping[Path, Placed] = {}
        self._cursor: Path = ()
        if row is None or row.recorded is None:
            return
        self._doubts = {doubt.path: doubt for doubt in self._review.doubts}
        self._draft, self._left = row.recorded.value, tuple(self._doubts)
        if begun is not None and begun.answer is not None:
            if set(find_paths(begun.answer.value)) != set(find_paths(self._draft)):
                self._doubts = {}  # rows were taken out, and values have moved
            self._draft, self._left = begun.answer.value, begun.left or self._left
            self._note = "begun before: as you left it"
        self._look()

    def _look(self) -> None:
        """Mark the first value that is left, and find all in the text."""
        paths = list(find_paths(self._draft))
        self._cursor = next(iter(self._left), paths[0] if paths else ())
        row = self._current
        assert row is not None
        document = Document(self._review.document, "text/plain", self._text(row), ())
        self._placed = {one.path: one for one in place(self._draft, self._schema, document)}

    def _move(self, by: int) -> None:
        paths = list(find_paths(self._draft))
        at = paths.index(self._cursor) if self._cursor in paths else -1
        self._cursor = paths[(at + by) % len(paths)] if paths else ()

    def _accept(self) -> None:
        if self._cursor in self._left:
            self._set(self._draft, "accepted")
        else:
            self._look()

    def _empty(self) -> None:
        """Null, else no such key, else no such item."""
        tried = [put_at(self._draft, self._cursor, None)]
        if self._cursor and isinstance(self._cursor[-1], str):
            tried.append(drop_at(self._draft, self._cursor))
        fitting = next((draft for draft in tried if not self._check(draft)), None)
        if fitting is not None:
            self._set(fitting, "emptied")
        elif self._cursor and isinstance(self._cursor[-1], int):
            self._drop_row()
        else:
            name = write_path(self._cursor)
            self._problem = (
                f"{name} may not be null in this task: d takes its row out, or allow null in the task's file"
            )

    def _drop_row(self) -> None:
        row = row_of(self._cursor)
        if not row:
            self._problem = f"{write_path(self._cursor)} stands in no row of a list"
            return
        draft = drop_at(self._draft, row)
        if problem := self._check(draft):
            self._problem = problem
            return
        left = tuple(moved for path in self._left if (moved := without_row(path, row)) is not None)
        kept = {moved: doubt for path, doubt in self._doubts.items() if (moved := without_row(path, row)) is not None}
        self._keep(draft, left, "emptied", kept)

    def _set(self, draft: Json, made: Made) -> None:
        """The answer with the marked value decided."""
        if problem := self._check(draft):
            self._problem = problem
            return
        self._keep(draft, tuple(path for path in self._left if path != self._cursor), made)

    def _keep(
        self, draft: Json, left: tuple[Path, ...], made: Made, doubts: Mapping[Path, Doubt] | None = None
    ) -> None:
        """As begun while values are left, else as decided. ``doubts`` where they stand now, if they moved."""
        row = self._current
        assert row is not None
        if not left:
            self._finish(object_target(draft), made)
            return
        try:
            kept = self._decisions.admit(row, object_target(draft))
        except ServeError as error:
            self._problem = error.reason
            return
        if not self._decisions.keep([row], "open", kept, left=left, is_joined=False):
            self._lose()
            return
        self._made.append(made)
        self._draft, self._left = kept.value, left
        self._doubts = self._doubts if doubts is None else doubts
        self._look()

    def _finish(self, answer: Target, made: Made) -> None:
        row = self._current
        assert row is not None
        try:
            if answer != row.recorded:
                answer = self._decisions.correct(row, answer)
        except ServeError as error:
            self._problem = error.reason
            return
        if not self._decisions.keep([row], "done", answer, is_joined=False):
            self._lose()
            return
        self._made.append(made)
        self._show(self._decisions.find_next(self._name))
        self._note = "the window is done"

    def _lose(self) -> None:
        self._show(self._decisions.find_next(self._name))
        self._problem = "the call of this window was erased: nothing was kept"

    def _skip(self) -> None:
        row = self._current
        assert row is not None
        if not self._decisions.keep([row], "skipped", None):
            self._lose()
            return
        self._decisions.passed.add(row.name)
        self._made.append(None)
        self._show(self._decisions.find_next(self._name))
        self._note = "skipped: it comes back another time"

    def _undo(self) -> None:
        step = self._decisions.undo()
        if step is None:
            self._problem = "there is nothing to take back"
            return
        if self._made:
            self._made.pop()
        self._show(step.row)
        self._note = "taken back"

    def _check(self, draft: Json) -> str:
        return verifier(self._schema).check_value(draft).problem

    def _choices_of(self, path: Path) -> tuple[Json, ...]:
        return self._choices.get(str(path[0]), ()) if len(path) == 1 else ()

    def _say_why(self, at: Placed | None) -> str:
        doubt = self._doubts.get(self._cursor)
        sure = f"{100 * doubt.confidence:.0f} % sure" if doubt is not None and doubt.confidence is not None else ""
        if self._cursor not in self._left:
            return "nothing speaks against this value"
        if at is not None and at.status == "ungrounded":
            return ", ".join(filter(None, ("the document does not say this", sure)))
        if doubt is not None and doubt.reason == "conflict":
            return "windows of this document differ"
        return f"the model is {sure}" if sure else "doubted"

    def _show_fields(self, row: QueueRow) -> tuple[ShownField, ...]:
        """What is doubted and what is marked, in the answer's order, some on either side of the marked one."""
        wanted = {*self._doubts, *self._left, self._cursor}
        paths = [path for path in find_paths(self._draft) if path in wanted]
        at = paths.index(self._cursor) if self._cursor in paths else 0
        begin = max(0, min(at - MOST_FIELDS // 2, len(paths) - MOST_FIELDS))
        return tuple(self._show_field(row, path) for path in paths[begin : begin + MOST_FIELDS])

    def _show_field(self, row: QueueRow, path: Path) -> ShownField:
        value = get_at(self._draft, path)
        doubt = self._doubts.get(path)
        recorded = get_at(row.recorded.value, doubt.path if doubt is not None else path) if row.recorded else None
        return ShownField(
            name=write_path(path),
            text=show_value(value),
            choices=tuple(show_value(item) for item in self._choices_of(path)),
            is_current=path == self._cursor,
            is_changed=dump(value) != dump(recorded),
        )


def _title(review: Review, doubt: Doubt | None) -> str:
    page = f", page {doubt.page}" if doubt is not None and doubt.page else ""
    part = f", part {review.number + 1} of {review.windows}" if review.windows > 1 else ""
    return f"{review.document}{page}{part}"
