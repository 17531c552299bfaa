"""What one person decides about rows of recorded calls: each decision is in the store before the next row is shown, and can be taken back, also in a later session.

A decision is a judgement in the feedback of each call that the row is made of (``core.judgements``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.example import Target
from journeyman.core.judgements import Judgement, State, read_judgements
from journeyman.core.trace import Trace
from journeyman.flows.label_queue import Queue, QueueRow
from journeyman.gateway.feedback import read_correction, refuse_personal
from journeyman.guards.detect import SECRET
from journeyman.guards.redact import Redactor
from journeyman.store.database import Store
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Step:
    """One decision that can be taken back: what stood at each call before, the row that it was made at, and all rows that it decided. ``is_begun``: it decided none yet."""

    row: str
    rows: tuple[str, ...]
    before: Mapping[str, Mapping[str, Json] | None]
    is_begun: bool = False


class Decisions:
    """Of one person over the rows of a queue."""

    def __init__(self, store: Store, queue: Queue, now: Callable[[], str]) -> None:
        self._store, self._task, self._by, self._now = store, queue.task, queue.by, now
        self.rows = {row.name: row for row in queue.rows}
        self.passed: set[str] = set()
        self._place: dict[str, int] = {row.name: place for place, row in enumerate(queue.rows)}
        self._steps = _past_steps(queue)
        self._own = {row.name: row.judgements[self._by] for row in queue.rows if self._by in row.judgements}

    @property
    def done(self) -> int:
        """Rows that this person decided so far, before and now."""
        return sum(item.state == "done" for item in self._own.values())

    @property
    def left(self) -> int:
        return sum(self.is_open(name) for name in self.rows)

    @property
    def skipped(self) -> int:
        return sum(name in self._own and self._own[name].state == "skipped" for name in self.passed)

    def is_open(self, name: str) -> bool:
        return not self.is_done(name) and name not in self.passed

    def is_done(self, name: str) -> bool:
        return name in self._own and self._own[name].state == "done"

    def begun(self, name: str) -> Judgement | None:
        """What was begun of a row, and not finished."""
        own = self._own.get(name)
        return own if own is not None and own.state == "open" else None

    def find_next(self, name: str) -> str:
        """The next open row after this one, without those that somebody else decided meanwhile; empty where there is none."""
        begin = self._place.get(name, -1) + 1
        order = list(self.rows)
        return next(
            (other for other in [*order[begin:], *order[:begin]] if self.is_open(other) and not self._is_taken(other)),
            "",
        )

    def keep(
        self,
        rows: Sequence[QueueRow],
        state: State,
        answer: Target | None,
        *,
        at: str = "",
        left: tuple[tuple[str | int, ...], ...] = (),
        is_joined: bool = True,
    ) -> bool:
        """Write a judgement to the store; False where the rows are gone from it. ``at``: the row to come back to, else the first of them. Where ``is_joined``, all that was begun of a row is taken back at once."""
        time = self._now()
        said = {row.name: Judgement(self._by, state, answer, time, row.reason, left=left) for row in rows}
        changes = {id: replace(said[row.name], over=over).to_json() for row in rows for id, over in row.traces.items()}
        before = self._store.set_judgements(self._by, changes)
        if not before:
            self.passed.update(row.name for row in rows)
            return False
        step = Step(at or rows[0].name, tuple(row.name for row in rows), before, state == "open")
        self._own |= said
        if not (
            is_joined and step.is_begun and self._steps and self._steps[-1].is_begun and self._steps[-1].row == step.row
        ):
            self._steps.append(step)
        return True

    def undo(self) -> Step | None:
        """Take the last decision back; None where there is none."""
        if not self._steps:
            return None
        step = self._steps.pop()
        self._store.set_judgements(self._by, step.before)
        for name in step.rows:
            raws = [raw for id in self.rows[name].traces if (raw := step.before.get(id)) is not None]
            self._own.pop(name, None)
            if raws:
                self._own[name] = Judgement.from_json(self._by, raws[0])
            self.passed.discard(name)
        return step

    def correct(self, row: QueueRow, answer: Target) -> Target:
        """An answer of a person's own, by the same check as a correction that comes over HTTP. Raises: ServeError: JM-751 to JM-755."""
        if answer.kind == "object" and answer.value is None:
            return answer
        trace, task = self._trace(row), self._asked(row)
        body: dict[str, Json] = {"answer": answer.text if answer.kind == "text" else answer.value}
        return read_correction(task, trace, body, Redactor(is_personal=task.redact, more=task.redact_also))

    def admit(self, row: QueueRow, answer: Target) -> Target:
        """What may be kept of an answer, done or not: without secrets. Raises: ServeError: JM-753 it has personal data that the row has not."""
        refuse_personal(self._asked(row), self._trace(row), answer)
        if answer.kind != "object":
            return answer
        return replace(answer, value=Redactor(is_personal=False).value(answer.value, self._task.verbatim))

    def _asked(self, row: QueueRow) -> Task:
        """The task, without its redaction for a row whose text was imported as it is and has personal data."""
        if not (row.keeps_text and self._task.redact):
            return self._task
        search = Redactor(more=self._task.redact_also)
        search.value(dict(row.example.input), self._task.verbatim)
        return replace(self._task, redact=not any(kind != SECRET for kind in search.counts))

    def _trace(self, row: QueueRow) -> Trace:
        found = self._store.trace(next(iter(row.traces)))
        if found is None:
            raise ServeError("JM-751", "the call of this row was erased", where=row.name[:12], hint="skip it with s")
        return found

    def _is_taken(self, name: str) -> bool:
        """Whether somebody decided it since the queue was made."""
        row = self.rows[name]
        trace = self._store.trace(next(iter(row.traces)))
        said = read_judgements(trace.feedback) if trace is not None else {}
        is_taken = trace is None or any(
            item.state == "done" and by != self._by and by not in row.judgements for by, item in said.items()
        )
        if is_taken:
            self.passed.add(name)
        return is_taken


def _past_steps(queue: Queue) -> list[Step]:
    """What this person decided before, to be taken back too: rows of one moment were decided at once."""
    said = [row for row in queue.rows if queue.by in row.judgements]
    said.sort(key=lambda row: (row.judgements[queue.by].time, row.name))
    steps = []
    for _time, rows in groupby(said, key=lambda row: row.judgements[queue.by].time):
        some = list(rows)
        is_begun = some[0].judgements[queue.by].state == "open"
        names = tuple(row.name for row in some)
        steps.append(Step(names[0], names, {id: None for row in some for id in row.traces}, is_begun))
    return steps
