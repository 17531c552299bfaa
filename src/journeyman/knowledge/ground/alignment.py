"""What is known of a quote after it was looked for in its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["exact", "normalized", "fuzzy", "ungrounded"]
Kind = Literal["text", "number", "money", "date"]
GROUNDED: tuple[Status, ...] = ("exact", "normalized", "fuzzy")


@dataclass(frozen=True, slots=True)
class Found:
    """``text[start:end]`` says what the quote says, by ``status``; ``score`` from 0 to 1."""

    start: int
    end: int
    status: Status
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Alignment:
    """``quote`` stands at ``text[start:end]`` of the source as it was given; where it is ungrounded both are 0, and so is ``score``.

    ``exact``: the quote, character for character, where no word and no number goes on beyond it. ``normalized``: the same in another writing, or a value that is equal.
    ``fuzzy``: most of its words in their order, and all of its numbers.
    """

    quote: str
    start: int
    end: int
    status: Status
    score: float

    @property
    def is_grounded(self) -> bool:
        return self.status != "ungrounded"
