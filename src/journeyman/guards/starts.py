"""Where a pattern can match at all, seen at a glance: the words, marks and numbers of a text.

A search tries its pattern at every place of a text; nearly always a word or a digit that every match must hold is
missing. ``matches`` tries it at given places only, and finds the same as long as no match begins anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

DIGIT = re.compile(r"[0-9]")
# The first digit of a run, with more digits close behind: the gaps are wider than any kind of number allows.
NUMBER = re.compile(r"[0-9](?<![0-9][0-9])(?=(?:[ .()/-]{0,3}[0-9]){3})")
WIDE_SPACES, WIDE_HYPHENS = "\u00a0\u2007\u2009\u202f", "\u2010\u2011\u2012\u2013"
WIDE = re.compile(f"[{WIDE_SPACES}{WIDE_HYPHENS}]")
EVEN = str.maketrans(WIDE_SPACES + WIDE_HYPHENS, " " * len(WIDE_SPACES) + "-" * len(WIDE_HYPHENS))
LONG_NUMBER = re.compile(r"[0-9](?:[ .()/-]{0,3}[0-9]){6}")


@dataclass(frozen=True, slots=True)
class Clues:
    """A text, the same in small letters and with plain spaces and hyphens (both place for place), where its numbers of
    four digits and more begin, and which of these have seven."""

    text: str
    folded: str
    even: str
    has_digit: bool
    numbers: list[int]
    long_numbers: list[int]


def look(text: str) -> Clues:
    has_digit = DIGIT.search(text) is not None
    plain = even(text) if has_digit else text
    numbers = [match.start() for match in NUMBER.finditer(plain)] if has_digit else []
    long_numbers = [place for place in numbers if LONG_NUMBER.match(plain, place)]
    return Clues(text, fold(text), plain, has_digit, numbers, long_numbers)


def even(text: str) -> str:
    """Spaces that keep a number on one line and hyphens of every length as the plain ones, one for each code point."""
    return text.translate(EVEN) if not text.isascii() and WIDE.search(text) else text


def fold(text: str) -> str:
    """Small letters, one for each code point: ASCII wherever ``re.I`` lets the code point stand for an ASCII letter."""
    if not text.isascii():
        text = text.replace("İ", "i").replace("ı", "i").replace("ſ", "s")
    return text.lower()


def places(text: str, words: Iterable[str]) -> list[int]:
    """Where any of the words stands, in order."""
    return sorted(place for word in words if word in text for place in find_all(text, word))


def find_all(text: str, word: str) -> Iterator[int]:
    """Where the word stands, overlapping ones too."""
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + 1)


def occurrences(text: str, values: Collection[str], few: int = 100) -> Iterator[tuple[int, str]]:
    """Where which of the ``values`` stands: a search for each if they are few, else one pass over the text."""
    if len(values) <= few:
        yield from ((place, value) for value in values for place in find_all(text, value))
        return
    lengths = sorted(set(map(len, values)))
    shortest = lengths[0]
    beginnings = {value[:shortest] for value in values}
    for place in range(len(text) - shortest + 1):
        if text[place : place + shortest] in beginnings:
            parts = (text[place : place + length] for length in lengths if place + length <= len(text))
            yield from ((place, part) for part in parts if part in values)


def before(text: str, marks: Iterable[int], reach: int, first: re.Pattern[str]) -> Iterator[int]:
    """Where ``first``, a pattern of one code point, matches at a mark or at most ``reach`` before it, in order."""
    looked = 0
    for mark in marks:
        for match in first.finditer(text, max(looked, mark - reach), mark + 1):
            yield match.start()
        looked = mark + 1


def matches(pattern: re.Pattern[str], text: str, starts: Iterable[int]) -> Iterator[re.Match[str]]:
    """``pattern.finditer(text)`` for a pattern that matches no empty text, begins at no place but ``starts``.

    Args:
        starts: in order; places before the text are passed over.
    """
    end = 0
    for start in starts:
        if start >= end and (match := pattern.match(text, start)):
            end = match.end()
            yield match
