"""What a model was given to answer from, as it was numbered in the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from journeyman.knowledge.ground.source import Source


@dataclass(frozen=True)
class Passage:
    """``text`` stands from ``start`` on in the text of the document with the name ``document``; ``number`` is what an answer cites."""

    number: int
    document: str
    start: int
    text: str

    @cached_property
    def source(self) -> Source:
        return Source(self.text)
