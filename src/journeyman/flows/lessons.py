"""From a method to what the loop works towards: the rows that the plan counts, and the objective once there is a plan.

Preference methods begin at a tuned student, their reference; pairs come from the data and from that student's own wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.example import Example
from journeyman.core.lines import Lines
from journeyman.core.progress import Progress
from journeyman.data.better import best_answer
from journeyman.flows.draws import Asker, elect, mine
from journeyman.flows.material import Material
from journeyman.flows.signals import Writer, add_rejected
from journeyman.flows.student import Form, answer_budget
from journeyman.flows.teachers import Teacher, open_teacher
from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.distill import distill_loss
from journeyman.tuning.objective import Objective, look_at, supervised
from journeyman.tuning.plan import Method, Plan
from journeyman.tuning.preference import (
    Verdict,
    different_pairs,
    kto_loss,
    make_units,
    mismatch,
    pair_loss,
    reference_logprobs,
    row_key,
)
from journeyman.tuning.trainable import Trainable

REFERENCE = "reference.jsonl"


@dataclass(frozen=True, slots=True)
class Work:
    """What a lesson is made from. ``learned`` are the train rows' answers; ``start`` is the student that preference methods and draws
    begin at, its weights merged."""

    material: Material
    writer: Writer
    learned: Sequence[TuneRow]
    decoder: Decoder
    folder: Path
    progress: Progress
    start: Trainable | None = None
    teacher: str = ""
    runs: Path = Path()

    @property
    def train(self) -> Sequence[Example]:
        return self.material.splits["train"]

    def asker(self, start: Trainable) -> Asker:
        """The student at ``start``, ready to draw answers as long as those that it learned."""
        most = answer_budget(row.supervised for row in self.writer.answers(self.train))
        writer = self.writer
        return Asker(
            writer.task,
            writer.template,
            self.decoder,
            start,
            most,
            writer.context,
            self.folder,
            self.progress,
            writer.writing,
        )


@dataclass(frozen=True, slots=True)
class Lesson:
    """``rows`` are what a pass goes over; ``make`` forms the objective for the weights of a run, which looks at the dev rows given."""

    rows: Sequence[TuneRow]
    dev: Sequence[TuneRow]
    make: Callable[[Plan, Trainable, Sequence[TuneRow]], Objective]
    notes: Mapping[str, Json]


def make_lesson(work: Work, method: Method | Literal["reject"]) -> Lesson:
    """Raises: TuneError: JM-531 nothing to learn from; what the parts raise."""
    dev = work.writer.answers(work.material.splits["dev"])
    if method in ("dpo", "ipo", "orpo"):
        return _pairs(work, method, dev)
    if method == "kto":
        return _verdicts(work, dev)
    if method == "distill":
        return _distill(work, dev)
    drawn: list[TuneRow] = []
    if method == "reject":
        assert work.start is not None, "draws come from a tuned student"
        judge = _open_teacher(work).judge if work.teacher else None
        won = elect(work.asker(work.start), work.material.splits["unlabelled"], judge)
        drawn = work.writer.refuse_long(
            [work.writer.row(example, target, example.weight * share) for example, target, share in won]
        )
    rows = share_beginning([*work.learned, *drawn]) if drawn else work.learned

    def make(plan: Plan, weights: Trainable, dev: Sequence[TuneRow]) -> Objective:
        return supervised(work.decoder, weights, rows, dev, plan)

    return Lesson(rows, dev, make, {"drawn": len(drawn)} if method == "reject" else {})


def _open_teacher(work: Work, form: Form = "json") -> Teacher:
    return open_teacher(work.teacher, work.material.task, work.runs, work.folder, work.progress, form)


def _form(work: Work) -> Form:
    """What a run that teaches this student's answers writes."""
    return "lines" if isinstance(work.writer.writing, Lines) else "json"


def _answer_rest(work: Work, teacher: Teacher) -> list[Example]:
    """Rows without an answer, with the teacher's where it is valid."""
    own = [teacher.row(example, example.answer) for example in work.train if example.answer is not None]
    rest = [example for example in work.material.splits["unlabelled"] if best_answer(example) is None]
    return teacher.answer(rest, answer_budget(row.supervised for row in own))


def _pairs(work: Work, method: Literal["dpo", "ipo", "orpo"], dev: Sequence[TuneRow]) -> Lesson:
    answered = _answer_rest(work, _open_teacher(work, _form(work))) if work.teacher else []
    examples, mined = [*work.material.learnable, *answered], 0
    if work.start is not None:
        wrong = mine(work.asker(work.start), [*work.train, *answered])
        mined = sum(len(targets) for targets in wrong.values())
        examples = add_rejected(examples, wrong)
    pairs, alike = different_pairs(work.writer.pairs(examples))
    if not pairs:
        raise TuneError(
            "JM-531",
            f"the data holds nothing that {method} learns from",
            expected="pairs: gold beside another answer, rejected alternatives, or answers that the student gets wrong",
            got=f"{len(examples)} rows, {alike} pairs whose two answers are the same tokens",
            hint="journeyman tune TASK --method sft",
        )
    units = make_units(pairs)
    rows = [row for unit in units for row in unit]

    def make(plan: Plan, weights: Trainable, dev: Sequence[TuneRow]) -> Objective:
        known = (
            reference_logprobs(work.decoder, work.start, rows, work.folder / REFERENCE, work.progress)
            if method != "orpo"
            else {}
        )
        weight = 1.0 if method == "orpo" else plan.number("answer_weight")
        loss = pair_loss(method, known, plan.number("beta"), weight)
        return Objective(units, loss, look_at(work.decoder, weights, dev) if dev else None)

    notes: dict[str, Json] = {"pairs": len(pairs), "mined": mined, "alike": alike}
    return Lesson(rows, dev, make, notes | ({"answered_by_teacher": len(answered)} if work.teacher else {}))


def _verdicts(work: Work, dev: Sequence[TuneRow]) -> Lesson:
    verdicts: list[Verdict] = work.writer.verdicts(work.material.learnable)
    rows = [verdict.row for verdict in verdicts]
    others = mismatch(verdicts)
    wanted = {row_key(verdict.row): verdict.is_desirable for verdict in verdicts}
    likes = sum(wanted.values())
    balance = {True: len(wanted) / (2 * max(1, likes)), False: len(wanted) / (2 * max(1, len(wanted) - likes))}

    def make(plan: Plan, weights: Trainable, dev: Sequence[TuneRow]) -> Objective:
        every = [*rows, *others.values()]
        known = reference_logprobs(work.decoder, work.start, every, work.folder / REFERENCE, work.progress)
        loss = kto_loss(
            work.decoder, weights, others, wanted, known, plan.number("beta"), balance[True], balance[False]
        )
        return Objective([(row,) for row in rows], loss, look_at(work.decoder, weights, dev) if dev else None)

    return Lesson(rows, dev, make, {"verdicts": len(verdicts), "desirable": likes})


def _distill(work: Work, dev: Sequence[TuneRow]) -> Lesson:
    """Stored log-probabilities, or those of a local teacher, which also answers the rows that have no answer."""
    soft = work.writer.soft(work.train)
    rows = work.learned
    asked = 0
    if work.teacher:
        teacher = _open_teacher(work, _form(work))
        answered = [*work.train, *_answer_rest(work, teacher)]
        asked = len(answered) - len(work.train)
        rows = work.writer.answers(answered)
        soft = teacher.soft(answered, work.writer)
    covered = sum(row_key(row) in soft for row in rows)
    if not covered:
        raise TuneError(
            "JM-531",
            "the data holds nothing that distill learns from",
            expected="log-probabilities of the answers as the student is to write them",
            got=f"none of {len(rows)} rows lines up",
            hint="give --teacher, or tune with --method sft",
        )

    def make(plan: Plan, weights: Trainable, dev: Sequence[TuneRow]) -> Objective:
        units = [(replace(row, input_weight=plan.number("input_weight")),) for row in rows]
        loss = distill_loss(soft, plan.number("soft_share"))
        return Objective(units, loss, look_at(work.decoder, weights, dev) if dev else None)

    return Lesson(rows, dev, make, {"scored": covered, "answered_by_teacher": asked})
