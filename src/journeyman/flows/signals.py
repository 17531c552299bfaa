"""What a dataset holds to learn from, as rows of tokens: answers, samples, pairs, verdicts, a teacher's log-probabilities.

Which method a run uses follows from that when nobody says it (`choose_method`), and the reason is kept with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import TuneError
from journeyman.core.example import Alternative, Example, Target, object_target
from journeyman.core.lines import Lines, find_fields
from journeyman.data.better import best_answer, unwanted
from journeyman.flows.student import Form
from journeyman.models.codes import Codes, Writing, choose_codes, choose_labels
from journeyman.models.template import Template
from journeyman.models.tokenizer import Tokenizer
from journeyman.task.answer import answer_text
from journeyman.task.closed import MOST, closed_answers
from journeyman.task.prompt import student_messages
from journeyman.task.task import Task
from journeyman.tuning.align import Position, TeacherToken, closed_masses, without_spaces
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.distill import align_row
from journeyman.tuning.plan import Method
from journeyman.tuning.preference import Pair, Verdict, row_key

Asked = Literal["auto", "sft", "distill", "dpo", "ipo", "orpo", "kto", "reject"]
# Methods that a teacher has nothing to say to.
ALONE = ("sft", "kto")
LEAST_PAIRS, LEAST_VERDICTS, LEAST_SOFT_SHARE = 50, 50, 0.5


@dataclass(frozen=True, slots=True)
class Holding:
    """How many rows of each signal there are."""

    answers: int
    pairs: int
    liked: int
    disliked: int
    scored: int

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Writer:
    """Examples to rows of one student: its task, its template, its context, what it writes instead of JSON."""

    task: Task
    template: Template
    context: int
    writing: Writing | None = None

    def row(self, example: Example, target: Target, weight: float | None = None) -> TuneRow:
        """Prompt and one answer, of whatever length: see ``refuse_long``."""
        span = self.template.supervise(student_messages(self.task, example.input), self._written(target))
        return TuneRow(span.ids, span.start, example.weight if weight is None else weight, example.hash)

    def rows(self, examples: Iterable[Example]) -> list[TuneRow]:
        """One row per answer that may be learned: several samples of one input share its weight by how often they came."""
        rows = []
        for example in examples:
            answers = wanted(example)
            total = sum(weight for _target, weight in answers)
            rows += [self.row(example, target, example.weight * weight / total) for target, weight in answers]
        return share_beginning(self.refuse_long(rows))

    def refuse_long(self, rows: list[TuneRow]) -> list[TuneRow]:
        """The rows, when all of them fit; nothing is cut, and nothing left out, without a word.

        Raises:
            TuneError: JM-505 with how many are longer than the model's context.
        """
        refuse_long([len(row.ids) for row in rows], self.context, "rows", [row.key for row in rows])
        return rows

    def answers(self, examples: Iterable[Example]) -> list[TuneRow]:
        """One row per example that has an answer: what dev is scored on."""
        rows = [self.row(item, item.answer) for item in examples if item.answer is not None]
        return share_beginning(self.refuse_long(rows))

    def pairs(self, examples: Iterable[Example]) -> list[Pair]:
        """The best answer of each example beside every one that is known to be worse."""
        pairs = []
        for example in examples:
            best = best_answer(example)
            if best is not None:
                chosen = self.row(example, best)
                pairs += [Pair(chosen, self.row(example, target)) for target in unwanted(example)]
        self.refuse_long([row for pair in pairs for row in (pair.chosen, pair.rejected)])
        return pairs

    def verdicts(self, examples: Iterable[Example]) -> list[Verdict]:
        """Every answer that people, or the gold beside it, judged."""
        verdicts = [
            Verdict(self.row(example, target), is_desirable)
            for example in examples
            for target, is_desirable in judged(example)
        ]
        self.refuse_long([verdict.row for verdict in verdicts])
        return verdicts

    def soft(self, examples: Iterable[Example]) -> dict[str, list[Position]]:
        """Stored log-probabilities of the teacher's answers, where they line up with what the student is to write."""
        found = {}
        for example in examples:
            stored = stored_tokens(example)
            if stored and example.answer is not None and example.answer == example.target:
                row = self.row(example, example.answer)
                tokens = without_spaces(stored) if self.task.schema is not None else stored
                places = self.place(row, tokens)
                if places is not None:
                    found[row_key(row)] = places
        return found

    def place(self, row: TuneRow, tokens: Sequence[TeacherToken], end: float | None = None) -> list[Position] | None:
        """A teacher's tokens on the row's answer; None when they do not line up."""
        if not isinstance(self.writing, Codes):
            return align_row(row, tokens, self.template.tokenizer, end)
        masses = closed_masses(tokens, [answer.encode() for answer in self.writing.answers])
        if masses is None:
            return None
        return [
            Position({token: mass for token, mass in zip(self.writing.ids, masses, strict=True) if mass}),
            Position({}),
        ]

    def _written(self, target: Target) -> str:
        """As the student writes it; an answer that broke the form (a rejected one) is its own text."""
        if target.kind == "text" and self.task.schema is not None:
            return target.text
        text = answer_text(self.task, target)
        return self.writing.write(text) if self.writing else text


def refuse_long(lengths: Sequence[int], context: int, what: str, names: Sequence[str] = ()) -> None:
    """Raises: TuneError: JM-505 with how many of the rows, inputs or prompts are longer than a model's context."""
    long = [place for place, length in enumerate(lengths) if length > context]
    if long:
        worst = max(long, key=lambda place: lengths[place])
        raise TuneError(
            "JM-505",
            f"{len(long)} of {len(lengths)} {what} are longer than the model's context",
            where=f"row {names[worst][:12]} is the longest" if names else "",
            expected=f"at most {context} tokens",
            got=str(lengths[worst]),
            hint="shorten these inputs, or use a base with a longer context; `tune --show-mask` shows what a row holds",
        )


def wanted(example: Example) -> list[tuple[Target, float]]:
    """Answers to learn, with weights: gold alone where there is one, else the teacher's and its further samples."""
    if example.gold is not None:
        return [(example.gold, 1.0)]
    samples = [(item.target, item.weight) for item in example.alternatives if item.verdict == ""]
    if example.target is None:
        chosen = [(item.target, item.weight) for item in example.alternatives if item.verdict == "chosen"]
        return chosen or []
    taken = sum(weight for _target, weight in samples)
    rejected = {dump(target.to_json()) for target in unwanted(example)}
    kept = [(target, weight) for target, weight in samples if dump(target.to_json()) not in rejected]
    return [(example.target, max(1.0, example.count - taken)), *kept]


def judged(example: Example) -> list[tuple[Target, bool]]:
    """Answers with a verdict: thumbs, a choice between two, or gold beside what it corrects. Gold alone was compared with nothing."""
    liked = [item.target for item in example.alternatives if item.verdict == "chosen"]
    disliked = unwanted(example)
    if disliked and example.answer is not None:
        liked.append(example.answer)
    distinct = {dump(target.to_json()): target for target in liked}
    return [(target, True) for target in distinct.values()] + [(target, False) for target in disliked]


def stored_tokens(example: Example) -> list[TeacherToken]:
    """The teacher's tokens of the row's answer, as the import kept them."""
    stored = cast(list[list[Json]], example.meta.get("logprobs") or [])
    return [
        TeacherToken(
            str(text).encode("latin-1"),
            cast(float, logprob),
            [(str(other).encode("latin-1"), value) for other, value in cast(list[tuple[str, float]], alternatives)],
        )
        for text, logprob, alternatives in stored
    ]


def hold(examples: Sequence[Example]) -> Holding:
    """Counts, without any tokens."""
    return Holding(
        answers=sum(bool(wanted(example)) for example in examples),
        pairs=sum(len(unwanted(example)) for example in examples if best_answer(example) is not None),
        liked=sum(is_wanted for example in examples for _target, is_wanted in judged(example)),
        disliked=sum(not is_wanted for example in examples for _target, is_wanted in judged(example)),
        scored=sum("logprobs" in example.meta for example in examples),
    )


def signal_key(examples: Sequence[Example]) -> str:
    """What a run depends on besides the rows' own content: stored log-probabilities are no part of a row's hash."""
    stored = {example.hash: example.meta["logprobs"] for example in examples if "logprobs" in example.meta}
    return content_hash(stored) if stored else ""


def make_writing(task: Task, tokenizer: Tokenizer, form: Form) -> Writing | None:
    """What a student writes instead of JSON, in words of its base; None: it writes JSON, or text.

    Raises:
        TuneError: JM-532 too many answers for codes, JM-546 an output that has no lines. ModelError: JM-439 the base has no words for them.
    """
    if form == "lines":
        return _make_lines(task, tokenizer)
    return _make_codes(task, tokenizer) if form == "codes" else None


def _make_lines(task: Task, tokenizer: Tokenizer) -> Lines:
    fields = find_fields(task.schema) if task.schema is not None else []
    if task.schema is None or not fields:
        raise TuneError(
            "JM-546",
            "lines stand for the fields of an object, and this task's output is none, or one with keys of its own",
            where=f"task {task.name}",
            expected="an object with known properties and additionalProperties: false",
            hint="tune with --answers json",
        )
    words = [
        choose_labels([value if isinstance(value, str) else dump(value) for value in field.choices], tokenizer, before)
        for field, before in zip(fields, ["", *[" "] * len(fields)], strict=False)
    ]
    labels = choose_labels([field.path[-1] for field in fields], tokenizer)
    return Lines(task.schema, tuple(labels), tuple(map(tuple, words)))


def _make_codes(task: Task, tokenizer: Tokenizer) -> Codes:
    answers = closed_answers(task.schema) if task.schema is not None else None
    if answers is None:
        raise TuneError(
            "JM-532",
            "codes stand for whole answers, and this task has no short list of them",
            where=f"task {task.name}",
            expected=f"an output whose fields are all choices, booleans or short ranges: {MOST} combinations at most",
            hint="tune with --answers json",
        )
    return choose_codes([answer_text(task, object_target(answer)) for answer in answers], tokenizer)


def choose_method(asked: Asked, holding: Holding, has_teacher: bool) -> tuple[Method | Literal["reject"], str]:
    """The method and why; a given one is never overridden.

    Raises:
        TuneError: JM-531 the data holds nothing that this method learns from, JM-548 it has no use for a teacher.
    """
    if asked != "auto":
        _refuse_empty(asked, holding, has_teacher)
        if has_teacher and asked in ALONE:
            raise TuneError(
                "JM-548",
                f"{asked} asks no teacher",
                expected="--teacher with distill, dpo, ipo, orpo or reject",
                got=f"--method {asked} --teacher",
                hint="leave out --teacher, or tune with --method distill",
            )
        return asked, "given"
    if has_teacher:
        return "distill", "a teacher was given"
    if holding.scored >= LEAST_SOFT_SHARE * max(1, holding.answers):
        return "distill", f"{holding.scored} of {holding.answers} answers have the teacher's log-probabilities"
    if holding.pairs >= LEAST_PAIRS:
        return "dpo", f"{holding.pairs} pairs of a better and a worse answer; plain tuning comes first"
    if min(holding.liked, holding.disliked) >= LEAST_VERDICTS:
        return (
            "kto",
            f"{holding.liked} answers that were liked, {holding.disliked} that were not; plain tuning comes first",
        )
    return "sft", f"{holding.answers} answers, {holding.pairs} pairs, {holding.liked + holding.disliked} verdicts"


def _refuse_empty(asked: Asked, holding: Holding, has_teacher: bool) -> None:
    lacks = {
        "distill": not (holding.scored or has_teacher),
        "orpo": not (holding.pairs or has_teacher),
        "kto": not (holding.liked and holding.disliked),
    }
    if lacks.get(asked):
        raise TuneError(
            "JM-531",
            f"the data holds nothing that {asked} learns from",
            expected={
                "distill": "stored log-probabilities, or --teacher",
                "orpo": "pairs: gold beside another answer, or rejected alternatives",
                "kto": "answers that were liked and answers that were not",
            }[asked],
            got=", ".join(f"{count} {name}" for name, count in holding.to_json().items()),
            hint="journeyman tune TASK --method sft",
        )


def add_rejected(examples: Sequence[Example], rejected: Mapping[str, Sequence[Target]]) -> list[Example]:
    """Examples with a student's wrong answers, by row hash, among what was rejected."""
    return [
        replace(
            example,
            alternatives=(
                *example.alternatives,
                *(Alternative(target, verdict="rejected") for target in rejected.get(example.hash, ())),
            ),
        )
        for example in examples
    ]
