"""A folded text as words with their places, and the words in it that are nearly like one that is not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from journeyman.knowledge.ground.edges import UNSEGMENTED

WORD = re.compile(rf"[{UNSEGMENTED}]|[^\W_{UNSEGMENTED}]+")
ONE_SLIP, TWO_SLIPS = 4, 8
"""Letters that a word has at least for one or two of them to be wrong."""


def find_words(folded: str) -> list[str]:
    """Runs of letters and digits; each letter by itself in scripts that write no blanks."""
    return WORD.findall(folded)


def has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


class Words:
    """``words`` of a text in its order, ``spans`` where they stand in it, ``places`` of each word among them."""

    def __init__(self, folded: str) -> None:
        matches = list(WORD.finditer(folded))
        self.words = [match.group() for match in matches]
        self.spans = [match.span() for match in matches]
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, word in enumerate(self.words):
            self.places[word].append(place)

    def find_like(self, word: str) -> str | None:
        """The word itself where the text has it, else the one that is nearest to it."""
        if word in self.places:
            return word
        slips = count_slips(word)
        return find_like(
            word, [like for size in range(-slips, slips + 1) for like in self._by_length.get(len(word) + size, ())]
        )

    @cached_property
    def _by_length(self) -> dict[int, list[str]]:
        found = defaultdict(list)
        for word in self.places:
            found[len(word)].append(word)
        return found


def find_like(word: str, choices: Iterable[str]) -> str | None:
    """The nearest one with a slip or two of the pen between them; numbers are like none but themselves."""
    slips = count_slips(word)
    if not slips or has_digit(word):
        return None
    wordy = (like for like in choices if not has_digit(like))
    found = process.extractOne(word, wordy, scorer=Levenshtein.distance, score_cutoff=slips)
    return found[0] if found else None


def count_slips(word: str) -> int:
    """How many letters of a word may be wrong."""
    return (len(word) >= ONE_SLIP) + (len(word) >= TWO_SLIPS)
