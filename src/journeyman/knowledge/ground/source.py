"""What quotes are held against, prepared once for all of them; each form of it is made when it is first needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from journeyman.knowledge.ground.alignment import Found, Kind
from journeyman.knowledge.ground.edges import is_edge
from journeyman.knowledge.ground.folded import Folded, fold
from journeyman.knowledge.ground.fuzzy import Gates, find_near
from journeyman.knowledge.ground.values import Value, has_sign, read_values
from journeyman.knowledge.ground.words import Words

MOST_FOUND = 20_000
"""Occurrences of one quote that are told apart."""
_AROUND = r"""[\s,;:!?"'()\[\]*_]"""
_LEADING, _TRAILING = re.compile(rf"^(?:{_AROUND}|\.(?!\d)|[#>](?=\s))+"), re.compile(rf"(?:{_AROUND}|\.)+$")
"""What models put around a quote, or leave away. The point of ".5" and the sign of ">5" belong to it."""


class Source:
    def __init__(self, text: str) -> None:
        self.text = text
        self._values = dict[Kind, list[Value]]()

    @cached_property
    def folded(self) -> Folded:
        return fold(self.text)

    @cached_property
    def words(self) -> Words:
        return Words(self.folded.text)

    def values(self, kind: Kind) -> list[Value]:
        if kind not in self._values:
            self._values[kind] = read_values(self.text, kind)
        return self._values[kind]

    def find_exact(self, quote: str, kind: Kind) -> list[Found]:
        is_signed = kind in ("number", "money")
        return [
            Found(start, end, "exact")
            for start, end in _find(self.text, quote)
            if self._is_whole(start, end) and not (is_signed and has_sign(self.text, start))
        ]

    def find_normalized(self, quote: str, kind: Kind) -> list[Found]:
        """In another writing, first with and then without what may stand around a quote; else equal values."""
        wanted = fold(quote).text.strip()
        for said in dict.fromkeys((wanted, _LEADING.sub("", _TRAILING.sub("", wanted)))):
            if found := list(self._find_folded(said, kind)):
                return found
        return self.find_values(quote, kind) if kind != "text" else []

    def find_fuzzy(self, quote: str, gates: Gates) -> list[Found]:
        near = find_near(fold(quote).text, self.words, gates)
        spans = ((place, self.folded.span(place.start, place.end)) for place in near)
        return [Found(*span, "fuzzy", round(place.score, 4)) for place, span in spans if span and self._is_whole(*span)]

    def _find_folded(self, said: str, kind: Kind) -> Iterator[Found]:
        is_signed = kind in ("number", "money")
        for start, end in _find(self.folded.text, said):
            span = self.folded.span(start, end)
            if span and self._is_whole(*span) and not (is_signed and has_sign(self.text, span[0])):
                yield Found(*span, "normalized")

    def find_values(self, quote: str, kind: Kind) -> list[Found]:
        """Values that are equal to the quote, which must be one value and nothing else."""
        said = quote.strip()
        whole = [value for value in read_values(said, kind) if (value.start, value.end) == (0, len(said))]
        if len(whole) != 1:
            return []
        return [
            Found(value.start, value.end, "exact" if self.text[value.start : value.end] == said else "normalized")
            for value in self.values(kind)
            if value.is_equal(whole[0])
        ]

    def _is_whole(self, start: int, end: int) -> bool:
        return is_edge(self.text, start) and is_edge(self.text, end)


def _find(text: str, part: str) -> Iterator[tuple[int, int]]:
    """Places of ``part``, which may overlap."""
    place = text.find(part) if part else -1
    found = 0
    while place >= 0 and found < MOST_FOUND:
        yield place, place + len(part)
        found += 1
        place = text.find(part, place + 1)
