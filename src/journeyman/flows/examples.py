"""The examples that a prompted model can be shown: train rows as it would have answered them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from journeyman.core.example import Example, Target
from journeyman.flows.student import answer_budget
from journeyman.models.nearest import Examples
from journeyman.models.tokenizer import Tokenizer
from journeyman.models.words import Words, weigh_words
from journeyman.task.answer import answer_text
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

MOST_EXAMPLES = 2000  # to look among, at each call


def known_rows(rows: Sequence[Example]) -> list[Example]:
    """Those that examples are taken from: the first ones by hash, so that equal datasets have equal examples."""
    return sorted((row for row in rows if row.answer is not None), key=lambda row: row.hash)[:MOST_EXAMPLES]


def prompt_budget(task: Task, rows: Sequence[Example], tokenizer: Tokenizer) -> int:
    """Most tokens that a prompted model may write: the task's own number, else by the longest answer of all these rows."""
    answers = (answer_text(task, row.answer) for row in rows if row.answer is not None)
    return task.max_output_tokens or answer_budget(len(tokenizer.encode(text)) for text in answers)


def gather_examples(
    task: Task, rows: Sequence[Example], chosen: Sequence[str] = (), words: Words | None = None
) -> Examples:
    """These rows, or the ``chosen`` ones by hash; near by ``words``, or by those of all these rows."""
    known = known_rows(rows)
    words = words or weigh_words([user_text(task, row.input) for row in known])
    shown = [row for row in known if row.hash in chosen] if chosen else known
    texts = tuple(user_text(task, row.input) for row in shown)
    return Examples(words, texts, tuple(answer_text(task, cast(Target, row.answer)) for row in shown))
