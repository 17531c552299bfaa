"""What a task that answers from documents needs of those who have them: its passages before a call, its citations checked after it. `flows` hands it in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from journeyman.core.canonical import Json
from journeyman.core.example import Passage
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Grounding:
    """``value`` may leave unless there is a ``problem``; ``sources`` tells the passages with what was cited of each, which may take milliseconds; ``verdict`` is for the trace: numbers, no text."""

    value: Json
    sources: Callable[[], list[Json]]
    verdict: Mapping[str, Json]
    problem: str = ""


class Known(Protocol):
    """The passages of one call."""

    @property
    def fields(self) -> Mapping[str, Json]:
        """The input, filled."""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Those that were found for it; none where the caller brought its own."""

    def ground(self, value: Json, /) -> Grounding:
        """Hold an answer, a text or an object, against them."""

    def support(self, text: str, fields: Collection[str], /) -> Sequence[float]:
        """What each claim of an answer, as it is handed out, has of support in them, 0 to 1: of all of it, or of ``fields`` of it."""


class Knower(Protocol):
    async def know(self, task: Task, fields: Mapping[str, Json], /) -> Known:
        """Fill the field that the caller left out. Raises: KnowledgeError JM-950 there is no such index."""
