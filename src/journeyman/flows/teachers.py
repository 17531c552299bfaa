"""A local teacher: it scores the tokens of answers once, answers rows that have none, and judges what a student drew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from journeyman.core.example import Example, Target
from journeyman.core.messages import Message
from journeyman.core.progress import Progress
from journeyman.data.better import unwanted
from journeyman.flows.draws import Ballot, draw
from journeyman.flows.runs import MATERIAL
from journeyman.flows.signals import Writer, refuse_long
from journeyman.flows.starts import base_of, find_start, load_writing, open_start
from journeyman.flows.student import Form
from journeyman.models.catalog import resolve
from journeyman.models.codes import Writing
from journeyman.models.template import Template, load_base_template, make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.answer import answer_text, read_answer
from journeyman.task.prompt import student_messages, teacher_messages
from journeyman.task.task import Task
from journeyman.tuning.align import Position
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.distill import score_with_teacher, to_teacher_tokens
from journeyman.tuning.preference import row_key
from journeyman.tuning.reference import generate
from journeyman.tuning.trainable import Trainable

ANSWERED, SCORED, JUDGED = "answered.jsonl", "teacher.jsonl", "judged.jsonl"


@dataclass(frozen=True, slots=True)
class Teacher:
    """A local model that scores, and answers: a finished run of this project, or an instructed base."""

    task: Task
    folder: Path
    progress: Progress
    decoder: Decoder
    weights: Trainable | None
    template: Template
    context: int
    is_student: bool
    writing: Writing | None = None

    def row(self, example: Example, target: Target) -> TuneRow:
        """The answer after the teacher's own prompt, as the teacher writes it."""
        text = answer_text(self.task, target)
        span = self.template.supervise(self._messages(example), self.writing.write(text) if self.writing else text)
        return TuneRow(span.ids, span.start, key=example.hash)

    def answer(self, examples: Sequence[Example], max_tokens: int) -> list[Example]:
        """The examples with greedy answers in their place, where they ended, are valid, and were not rejected before.

        Raises:
            TuneError: JM-505 an input that is longer than the teacher's context.
        """
        tokenizer = self.template.tokenizer

        def prompts(part: Sequence[Example]) -> list[list[int]]:
            return [self.template.prompt_ids(self._messages(example)) for example in part]

        lengths = [len(ids) for ids in prompts(examples)]
        refuse_long(lengths, self.context, "inputs for the teacher", [row.hash for row in examples])

        def some(part: Sequence[Example]) -> list[list[str | None]]:
            answers = generate(self.decoder, self.weights, prompts(part), tokenizer.end, max_tokens)
            return [[tokenizer.decode(answer.ids) if answer.is_whole else None] for answer in answers]

        texts = draw(self.folder / ANSWERED, examples, some, self.progress, "answers of the teacher")
        answered = []
        for example in examples:
            text = texts[example.hash][0]
            if text is None:
                continue
            target, _problem = read_answer(self.task, self.writing.read(text) if self.writing else text)
            if target is not None and target not in unwanted(example):
                answered.append(replace(example, target=target))
        return answered

    def soft(self, examples: Sequence[Example], writer: Writer) -> dict[str, list[Position]]:
        """What it gives at each position of the student's answers, by the student's rows; answers that do not line up are left out.

        Raises:
            TuneError: JM-505 rows that are longer than the teacher's context.
        """
        task_rows = [(example, example.answer) for example in examples if example.answer is not None]
        own = {example.hash: self.row(example, answer) for example, answer in task_rows}
        self._refuse_long(list(own.values()))
        path, progress = self.folder / SCORED, self.progress
        scored = score_with_teacher(self.decoder, self.weights, list(own.values()), path, progress)
        found = {}
        for example, answer in task_rows:
            tokens, end = to_teacher_tokens(scored[row_key(own[example.hash])], self.template.tokenizer)
            row = writer.row(example, answer)
            places = writer.place(row, tokens, end)
            if places is not None:
                found[row_key(row)] = places
        return found

    def judge(self, ballots: Sequence[Ballot]) -> list[list[float]]:
        """Its probability of writing each answer, as shares of those on the ballot."""
        rows = [[self.row(ballot.example, target) for target in ballot.targets] for ballot in ballots]
        every = [row for of_one in rows for row in of_one]
        self._refuse_long(every)
        scored = score_with_teacher(self.decoder, self.weights, every, self.folder / JUDGED, self.progress)
        return [
            _softmax([sum(logprob for _token, logprob, _others in scored[row_key(row)]) for row in of_one])
            for of_one in rows
        ]

    def _refuse_long(self, rows: Sequence[TuneRow]) -> None:
        lengths = [len(row.ids) for row in rows]
        refuse_long(lengths, self.context, "rows for the teacher", [row.key for row in rows])

    def _messages(self, example: Example) -> tuple[Message, ...]:
        write = student_messages if self.is_student else teacher_messages
        return write(self.task, example.input)


def _softmax(logs: Sequence[float]) -> list[float]:
    highest = max(logs)
    weights = [math.exp(value - highest) for value in logs]
    return [weight / sum(weights) for weight in weights]


def open_teacher(name: str, task: Task, runs: Path, folder: Path, progress: Progress, form: Form = "json") -> Teacher:
    """A run's id, or a model's catalog name or path; a run's student writes its answers in ``form``.

    Raises:
        ModelError: JM-401, JM-402 neither. TuneError: JM-533, JM-534, JM-545, JM-550 of a run.
    """
    if "/" in name or not (runs / name / MATERIAL).is_file():
        model = resolve(name, progress=progress)
        decoder, template = load_decoder(model.path), load_base_template(model.path)
        return Teacher(task, folder, progress, decoder, None, template, decoder.config.context, is_student=False)
    run = find_start(runs / name, task, form)
    model = base_of(run)
    decoder, template = load_decoder(model.path), make_student_template(model.path)
    writing = load_writing(run)
    weights, context = open_start(run, decoder), decoder.config.context
    return Teacher(task, folder, progress, decoder, weights, template, context, is_student=True, writing=writing)
