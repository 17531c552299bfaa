"""The serving side of a prompted student: the nearest of its examples before each input. Knows nothing about tuning, and loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.messages import Message, make_message
from journeyman.flows.student import Student
from journeyman.models.nearest import Examples, load_examples
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class FewShot:
    """``examples`` None: the instruction alone."""

    examples: Examples | None
    shots: int

    def __call__(self, task: Task, input: Mapping[str, Json]) -> tuple[Message, ...]:
        """Instruction, examples as turns with the nearest last, then the input."""
        system, user = teacher_messages(task, input)
        turns = []
        if self.examples is not None:
            for place, _score in reversed(self.examples.nearest(user.text, self.shots)):
                turns.append(make_message("user", self.examples.texts[place]))
                turns.append(make_message("assistant", self.examples.answers[place]))
        return (system, *turns, user)


def open_prompt(student: Student) -> FewShot:
    """What writes the messages of a prompted student.

    Raises:
        ModelError: JM-436 its examples are damaged.
    """
    shots = int(cast(int, student.manifest.decoding["shots"]))
    return FewShot(load_examples(student.folder) if shots else None, shots)
