"""The serving side of a prompted student: the nearest of its examples before each input. Knows nothing about tuning, and loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from journeyman.core.canonical import Json
from journeyman.core.messages import Message, make_message
from journeyman.flows.student import Student
from journeyman.models.damaged import refuse_damaged
from journeyman.models.words import Words, load_words
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task

EXAMPLES = "examples.json"


@dataclass(frozen=True)
class FewShot:
    """``texts`` and ``answers`` of train rows, and the words that tell which are near."""

    words: Words
    texts: tuple[str, ...]
    answers: tuple[str, ...]
    shots: int

    def __call__(self, task: Task, input: Mapping[str, Json]) -> tuple[Message, ...]:
        """Instruction, examples as turns with the nearest last, then the input."""
        system, user = teacher_messages(task, input)
        turns = []
        for place in self._nearest(user.text) if self.shots else ():
            turns += [make_message("user", self.texts[place]), make_message("assistant", self.answers[place])]
        return (system, *turns, user)

    def _nearest(self, text: str) -> list[int]:
        scores = (self._vectors @ self.words.embed([text]).vectors.T).toarray().ravel()  # type: ignore[operator]
        return np.argsort(-scores, kind="stable")[: self.shots][::-1].tolist()  # type: ignore[no-any-return]

    @cached_property
    def _vectors(self) -> object:
        return self.words.embed(self.texts).vectors


def open_prompt(student: Student) -> FewShot:
    """What writes the messages of a prompted student.

    Raises:
        ModelError: JM-436 its examples are damaged.
    """
    shots = int(cast(int, student.manifest.decoding["shots"]))
    if not shots:
        return FewShot(Words((), ()), (), (), 0)
    path = student.folder / EXAMPLES
    with refuse_damaged("examples", path, f"{EXAMPLES} as it was written"):
        listed = json.loads(path.read_text(encoding="utf-8"))
        texts, answers = tuple(str(item["text"]) for item in listed), tuple(str(item["answer"]) for item in listed)
    return FewShot(load_words(student.folder), texts, answers, shots)
