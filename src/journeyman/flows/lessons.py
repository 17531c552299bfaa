"""From a method to what the loop works towards: the rows that the plan counts, and the objective once there is a plan.

Preference methods begin at a tuned student, their reference; pairs come from the data and from that student's own wrong answers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import ModelError, TuneError
from journeyman.core.example import Example, Target
from journeyman.core.files import disk_errors, read_whole_lines
from journeyman.core.progress import Progress
from journeyman.flows.making import answer_budget
from journeyman.flows.material import Material
from journeyman.flows.runs import CHECKPOINT, MATERIAL, PLAN, RunFolder
from journeyman.flows.signals import Writer, add_rejected, best_answer, judged
from journeyman.models.catalog import ResolvedModel, resolve
from journeyman.models.template import Template, load_base_template, make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.answer import answer_text, read_answer
from journeyman.task.prompt import student_messages, teacher_messages
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.checkpoint import load_checkpoint
from journeyman.tuning.distill import align_row, distill_loss, score_with_teacher, to_teacher_tokens
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
from journeyman.tuning.reference import generate
from journeyman.tuning.trainable import Trainable, adopt, make_trainable, settle

# Draws per row: as the student's own uncertainty spreads them.
DRAWS, TEMPERATURE = 2, 1.0
VOTES, LEAST_SHARE = 8, 0.6
MINED, DRAWN, REFERENCE, TEACHER = "mined.jsonl", "drawn.jsonl", "reference.jsonl", "teacher.jsonl"
# A student's wrong answers are pairs, at most this many of one row.
MOST_MINED = 2


@dataclass(frozen=True, slots=True)
class Work:
    """What a lesson is made from. ``start`` is the student that preference methods and draws begin at, its weights merged."""

    material: Material
    writer: Writer
    decoder: Decoder
    folder: Path
    progress: Progress
    start: Trainable | None = None
    teacher: str = ""
    runs: Path = Path()

    @property
    def train(self) -> Sequence[Example]:
        return self.material.splits["train"]


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
    drawn = _drawn_rows(work) if method == "reject" else []
    rows = share_beginning([*work.writer.rows(work.train), *drawn])

    def make(plan: Plan, weights: Trainable, dev: Sequence[TuneRow]) -> Objective:
        return supervised(work.decoder, weights, rows, dev, plan)

    return Lesson(rows, dev, make, {"drawn": len(drawn)} if method == "reject" else {})


def open_start(run: RunFolder, decoder: Decoder) -> Trainable:
    """The best weights of a finished run, merged.

    Raises:
        TuneError: JM-533 the run has none.
    """
    plan, checkpoint = run.read(PLAN), load_checkpoint(run.path / CHECKPOINT)
    if plan is None or checkpoint is None:
        raise TuneError(
            "JM-533",
            "this run has no tuned weights to begin at",
            where=str(run.path),
            hint="let `journeyman tune TASK` finish, then name its run",
        )
    weights = make_trainable(decoder, Plan.from_json(plan))
    best = {name.removeprefix("best/"): t for name, t in checkpoint.tensors.items() if name.startswith("best/")}
    adopt(weights, best)
    settle(decoder, weights, Plan.from_json(plan))
    return weights


def _pairs(work: Work, method: Literal["dpo", "ipo", "orpo"], dev: Sequence[TuneRow]) -> Lesson:
    examples, mined = work.material.learnable, 0
    if work.start is not None:
        wrong = mine(work, work.start)
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
        return Objective(units, loss, look_at(work.decoder, weights, dev, plan) if dev else None)

    return Lesson(rows, dev, make, {"pairs": len(pairs), "mined": mined, "alike": alike})


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
        return Objective([(row,) for row in rows], loss, look_at(work.decoder, weights, dev, plan) if dev else None)

    return Lesson(rows, dev, make, {"verdicts": len(verdicts), "desirable": likes})


def _distill(work: Work, dev: Sequence[TuneRow]) -> Lesson:
    """Stored log-probabilities, or those of a local teacher, which also answers the rows that have no answer."""
    soft = work.writer.soft(work.train)
    rows = work.writer.rows(work.train)
    asked = 0
    if work.teacher:
        teacher = open_teacher(work)
        answered = [*work.train, *teacher.answer(work.material.splits["unlabelled"], answer_budget(rows))]
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
        return Objective(units, loss, look_at(work.decoder, weights, dev, plan) if dev else None)

    return Lesson(rows, dev, make, {"scored": covered, "answered_by_teacher": asked})


@dataclass(frozen=True, slots=True)
class Teacher:
    """A local model that scores, and answers: a finished run of this project, or an instructed base."""

    work: Work
    decoder: Decoder
    weights: Trainable | None
    template: Template
    is_student: bool

    def row(self, example: Example, target: Target) -> TuneRow:
        """The answer after the teacher's own prompt."""
        text = answer_text(self.work.material.task, target)
        span = self.template.supervise(self._messages(example), text)
        return TuneRow(span.ids, span.start, key=example.hash)

    def answer(self, examples: Sequence[Example], max_tokens: int) -> list[Example]:
        """The examples with greedy answers in their place, where they are valid."""
        task, tokenizer = self.work.material.task, self.template.tokenizer
        texts = _draw(
            self.work.folder / "answered.jsonl",
            examples,
            lambda part: [
                [tokenizer.decode(ids)]
                for ids in generate(
                    self.decoder,
                    self.weights,
                    [self.template.prompt_ids(self._messages(example)) for example in part],
                    tokenizer.end,
                    max_tokens,
                )
            ],
            self.work.progress,
            "answers of the teacher",
        )
        answered = []
        for example in examples:
            target, _problem = read_answer(task, texts[example.hash][0])
            if target is not None:
                answered.append(replace(example, target=target))
        return answered

    def soft(self, examples: Sequence[Example], writer: Writer) -> dict[str, list]:  # type: ignore[type-arg]
        task_rows = [(example, example.answer) for example in examples if example.answer is not None]
        own = {example.hash: self.row(example, answer) for example, answer in task_rows}
        path, progress = self.work.folder / TEACHER, self.work.progress
        scored = score_with_teacher(self.decoder, self.weights, list(own.values()), path, progress)
        found = {}
        for example, answer in task_rows:
            tokens, end = to_teacher_tokens(scored[row_key(own[example.hash])], self.template.tokenizer)
            row = writer.row(example, answer)
            places = align_row(row, tokens, writer.template.tokenizer, end)
            if places is not None:
                found[row_key(row)] = places
        return found

    def _messages(self, example: Example):  # type: ignore[no-untyped-def]
        write = student_messages if self.is_student else teacher_messages
        return write(self.work.material.task, example.input)


def open_teacher(work: Work) -> Teacher:
    """A run's id, or a model's catalog name or path.

    Raises:
        ModelError: JM-401 neither. TuneError: JM-533 a run that has not finished, JM-534 a run of another task.
    """
    run = RunFolder(work.runs / work.teacher)
    material = run.read(MATERIAL) if work.teacher and "/" not in work.teacher else None
    if material is None:
        model = resolve(work.teacher)
        return Teacher(work, load_decoder(model.path), None, load_base_template(model.path), is_student=False)
    if not run.id.startswith(f"{work.material.task.name}-tune-"):
        raise TuneError("JM-534", "this run tuned another task", where=run.id, expected=work.material.task.name)
    model = base_of(material)
    decoder = load_decoder(model.path)
    return Teacher(work, decoder, open_start(run, decoder), make_student_template(model.path), is_student=True)


def base_of(material: Mapping[str, Json]) -> ResolvedModel:
    """The base that a run was tuned on.

    Raises:
        ModelError: JM-401 not pulled, JM-409 of another content.
    """
    wanted = cast(dict[str, str], material["base"])
    base = resolve(wanted["name"])
    if base.sha256 != wanted["sha256"]:
        raise ModelError(
            "JM-409",
            "the base model is not the one that this run tuned",
            where=str(base.path),
            expected=wanted["sha256"],
            got=base.sha256,
        )
    return base


def mine(work: Work, start: Trainable) -> dict[str, list[Target]]:
    """The student's own wrong answers on train rows, by row hash, the commonest first."""
    examples = [example for example in work.train if best_answer(example) is not None]
    texts = _draw_from_student(work, start, examples, MINED, DRAWS, "the student's answers")
    wrong: dict[str, list[Target]] = {}
    for example in examples:
        read = [read_answer(work.material.task, text)[0] for text in texts[example.hash]]
        counts = Counter(
            dump(target.to_json()) for target in read if target is not None and target != best_answer(example)
        )
        targets = {dump(target.to_json()): target for target in read if target is not None}
        known = {dump(target.to_json()) for target, is_wanted in judged(example) if is_wanted}
        chosen = [targets[name] for name, _count in counts.most_common() if name not in known]
        if chosen:
            wrong[example.hash] = chosen[:MOST_MINED]
    return wrong


def _drawn_rows(work: Work) -> list[TuneRow]:
    """Rejection sampling: on rows without an answer the draws that the schema admits vote, and what most of them say is learned,
    weighted by its share of the votes (self-consistency, arXiv:2203.11171). On rows with an answer a draw that is right says
    nothing new."""
    assert work.start is not None, "draws come from a tuned student"
    task = work.material.task
    examples = work.material.splits["unlabelled"]
    texts = _draw_from_student(work, work.start, examples, DRAWN, VOTES, "draws")
    rows = []
    for example in examples:
        read = [read_answer(task, text)[0] for text in texts[example.hash]]
        targets = {dump(target.to_json()): target for target in read if target is not None}
        counts = Counter(dump(target.to_json()) for target in read if target is not None)
        if not counts:
            continue
        name, votes = counts.most_common(1)[0]
        if votes >= LEAST_SHARE * VOTES:
            rows.append(work.writer.row(example, targets[name], example.weight * votes / VOTES))
    return rows


def _draw_from_student(
    work: Work, start: Trainable, examples: Sequence[Example], name: str, draws: int, what: str
) -> dict[str, list[str]]:
    tokenizer = work.writer.template.tokenizer
    budget = answer_budget(work.writer.answers(work.train))

    def ask(part: Sequence[Example]) -> list[list[str]]:
        prompts = [
            work.writer.template.prompt_ids(student_messages(work.material.task, example.input)) for example in part
        ]
        answers = generate(
            work.decoder,
            start,
            [prompt for prompt in prompts for _ in range(draws)],
            tokenizer.end,
            budget,
            temperature=TEMPERATURE,
            seed=int(part[0].hash[:8], 16),
        )
        texts = [tokenizer.decode(ids) for ids in answers]
        return [texts[index * draws : (index + 1) * draws] for index in range(len(part))]

    return _draw(work.folder / name, examples, ask, work.progress, what)


def _draw(
    path: Path,
    examples: Sequence[Example],
    ask: Callable[[Sequence[Example]], list[list[str]]],
    progress: Progress,
    what: str,
    at_once: int = 32,
) -> dict[str, list[str]]:
    """Texts by row hash; ``path`` keeps a line per row, and a killed run goes on after its last whole line."""
    known: dict[str, list[str]] = dict(map(json.loads, read_whole_lines(path)))
    missing = [example for example in examples if example.hash not in known]
    # by length, so that rows side by side end together
    missing.sort(key=lambda example: (len(dump(dict(example.input))), example.hash))
    progress.start(what, len(missing), "rows")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in known.items()), encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            for begin in range(0, len(missing), at_once):
                part = missing[begin : begin + at_once]
                for example, texts in zip(part, ask(part), strict=True):
                    known[example.hash] = texts
                    file.write(json.dumps([example.hash, texts]) + "\n")
                file.flush()
                progress.advance(len(part))
    progress.finish()
    return known
