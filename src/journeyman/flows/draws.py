"""Answers drawn from a tuned student: its mistakes on rows with an answer, its votes on rows without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Example, Target
from journeyman.core.kept import keep_answers
from journeyman.core.progress import Progress
from journeyman.data.better import best_answer, unwanted
from journeyman.flows.signals import judged, refuse_long, wanted
from journeyman.models.codes import Writing
from journeyman.models.template import Template
from journeyman.models.torch_decoder import Decoder
from journeyman.task.answer import read_answer
from journeyman.task.prompt import student_messages
from journeyman.task.task import Task
from journeyman.tuning.reference import generate
from journeyman.tuning.trainable import Trainable

# Draws per row: as the student's own uncertainty spreads them.
DRAWS, TEMPERATURE = 2, 1.0
VOTES, LEAST_SHARE = 8, 0.6
MINED, DRAWN = "mined.jsonl", "drawn.jsonl"
# A student's wrong answers are pairs, at most this many of one row.
MOST_MINED = 2


Texts = dict[str, list[str | None]]
"""By row hash; None: the model had not ended."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A tuned student that draws answers; what it drew is kept in ``folder``."""

    task: Task
    template: Template
    decoder: Decoder
    weights: Trainable
    max_tokens: int
    context: int
    folder: Path
    progress: Progress
    writing: Writing | None = None

    def ask(self, examples: Sequence[Example], name: str, draws: int, what: str) -> Texts:
        """``draws`` texts per example at ``TEMPERATURE``, by row hash; None for one that had not ended after the most tokens.

        Raises:
            TuneError: JM-505 an input that is longer than the model's context.
        """

        def ids(part: Sequence[Example]) -> list[list[int]]:
            return [self.template.prompt_ids(student_messages(self.task, example.input)) for example in part]

        refuse_long([len(row) for row in ids(examples)], self.context, "inputs", [row.hash for row in examples])

        def some(part: Sequence[Example]) -> list[list[str | None]]:
            prompts = ids(part)
            answers = generate(
                self.decoder,
                self.weights,
                [prompt for prompt in prompts for _ in range(draws)],
                self.template.tokenizer.end,
                self.max_tokens,
                temperature=TEMPERATURE,
                seed=int(part[0].hash[:8], 16),
            )
            texts = [self._read(answer.ids) if answer.is_whole else None for answer in answers]
            return [texts[index * draws : (index + 1) * draws] for index in range(len(part))]

        return draw(self.folder / name, examples, some, self.progress, what)

    def _read(self, ids: Sequence[int]) -> str:
        text = self.template.tokenizer.decode(ids)
        return self.writing.read(text) if self.writing else text


def mine(asker: Asker, examples: Sequence[Example]) -> dict[str, list[Target]]:
    """The student's own wrong answers on train rows, by row hash, the commonest first."""
    examples = [example for example in examples if best_answer(example) is not None]
    texts = asker.ask(examples, MINED, DRAWS, "the student's answers")
    wrong: dict[str, list[Target]] = {}
    for example in examples:
        read = _targets(asker.task, texts[example.hash])
        counts = Counter(dump(target.to_json()) for target in read if target != best_answer(example))
        targets = {dump(target.to_json()): target for target in read}
        right = [target for target, is_wanted in judged(example) if is_wanted]
        known = {dump(target.to_json()) for target in (*right, *(target for target, _weight in wanted(example)))}
        chosen = [targets[name] for name, _count in counts.most_common() if name not in known]
        if chosen:
            wrong[example.hash] = chosen[:MOST_MINED]
    return wrong


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a student drew for one example: the distinct answers that the schema admits, each with its share of all draws."""

    example: Example
    targets: tuple[Target, ...]
    shares: tuple[float, ...]


Judge = Callable[[Sequence[Ballot]], Sequence[Sequence[float]]]
"""Shares of belief for the answers of each ballot."""


def elect(asker: Asker, examples: Sequence[Example], judge: Judge | None = None) -> list[tuple[Example, Target, float]]:
    """Rejection sampling: rows without an answer get the one of their draws that has enough belief, weighted by it.

    Belief is the share of the draws that say the same (self-consistency, arXiv:2203.11171), or what the judge says. On rows with an answer a
    draw that is right says nothing new; an answer that was rejected wins nothing.
    """
    texts = asker.ask(examples, DRAWN, VOTES, "draws")
    ballots = [ballot for example in examples if (ballot := _count(asker.task, example, texts[example.hash])).targets]
    beliefs = judge(ballots) if judge and ballots else [ballot.shares for ballot in ballots]
    won = []
    for ballot, shares in zip(ballots, beliefs, strict=True):
        share, target = max(zip(shares, ballot.targets, strict=True), key=lambda pair: pair[0])
        if share >= LEAST_SHARE and target not in unwanted(ballot.example):
            won.append((ballot.example, target, share))
    return won


def _count(task: Task, example: Example, texts: Sequence[str | None]) -> Ballot:
    """The commonest answer first."""
    read = _targets(task, texts)
    targets = {dump(target.to_json()): target for target in read}
    counts = Counter(dump(target.to_json()) for target in read).most_common()
    shares = tuple(count / len(texts) for _name, count in counts)
    return Ballot(example, tuple(targets[name] for name, _count in counts), shares)


def _targets(task: Task, texts: Sequence[str | None]) -> list[Target]:
    """The answers among the texts."""
    found = [read_answer(task, text)[0] for text in texts if text is not None]
    return [target for target in found if target is not None]


def draw(
    path: Path,
    examples: Sequence[Example],
    ask: Callable[[Sequence[Example]], list[list[str | None]]],
    progress: Progress,
    what: str,
    at_once: int = 32,
) -> Texts:
    """Texts by row hash, kept in ``path``; rows side by side are of like length, so that they end together."""
    ordered = sorted(examples, key=lambda example: (len(dump(dict(example.input))), example.hash))
    parts = [ordered[begin : begin + at_once] for begin in range(0, len(ordered), at_once)]
    known = keep_answers(
        path, parts, lambda example: example.hash, lambda part: cast(list[Json], ask(part)), progress, what
    )
    return cast(Texts, known)
