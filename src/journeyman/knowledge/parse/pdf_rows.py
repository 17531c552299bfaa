"""Words that stand beside each other: rows from left to right, or from right to left where the writing goes so."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from journeyman.knowledge.parse.pdf_words import Word

SHARED = 0.5  # of the lower one's height: words that share so much stand in one row
OPEN = 6  # rows that are still looked at while the words come from top to bottom
LEADER = 5  # dots
GLUE = 0.1  # of the size: parts of one word are nearer, as in H₂O


@dataclass(frozen=True, slots=True)
class Row:
    """Words in reading order and the box around them; ``size`` is the one of most letters, ``is_bold`` and ``is_mono`` where all are.

    ``is_entry``: a row of a list of contents, whose dots are left out.
    """

    words: tuple[Word, ...]
    left: float
    top: float
    right: float
    bottom: float
    size: float
    is_bold: bool
    is_mono: bool
    is_entry: bool = False

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def text(self) -> str:
        return spell(self.words)


def make_rows(words: Iterable[Word]) -> list[Row]:
    """From top to bottom."""
    rows: list[tuple[float, float, list[Word]]] = []  # the top and the bottom of the highest word
    for word in sorted(words, key=lambda word: (word.top, word.left)):
        best, most = -1, SHARED
        for number in range(len(rows) - 1, max(-1, len(rows) - 1 - OPEN), -1):
            top, bottom, _ = rows[number]
            lower = max(min(word.height, bottom - top), 0.1)
            share = (min(word.bottom, bottom) - max(word.top, top)) / lower
            if share > most:
                best, most = number, share
        if best < 0:
            rows.append((word.top, word.bottom, [word]))
            continue
        top, bottom, members = rows[best]
        members.append(word)
        if word.height > bottom - top:
            rows[best] = (word.top, word.bottom, members)
    made = [make_row(members) for _, _, members in rows]
    return sorted(made, key=lambda row: (row.top + row.bottom) / 2)


def make_row(words: Sequence[Word]) -> Row:
    ordered = order_row(words)
    told = _without_leaders(ordered)
    is_entry = 0 < len(told) < len(ordered)
    ordered = told if is_entry else ordered
    sizes: dict[float, int] = {}
    for word in ordered:
        sizes[round(word.size, 1)] = sizes.get(round(word.size, 1), 0) + len(word.text)
    return Row(
        tuple(ordered),
        min(word.left for word in ordered),
        min(word.top for word in ordered),
        max(word.right for word in ordered),
        max(word.bottom for word in ordered),
        max(sizes, key=lambda size: (sizes[size], size)),
        all(word.is_bold for word in ordered),
        all(word.is_mono for word in ordered),
        is_entry,
    )


def _without_leaders(words: list[Word]) -> list[Word]:
    """Without the dots that lead to a page's number."""
    dots = [not word.text.strip(".·…") for word in words]
    if sum(len(word.text) for word, is_dots in zip(words, dots, strict=True) if is_dots) < LEADER:
        return words
    return [word for word, is_dots in zip(words, dots, strict=True) if not is_dots]


def order_row(words: Sequence[Word]) -> list[Word]:
    """By the writing direction of most letters; runs of words in the other direction keep theirs."""
    ordered = sorted(words, key=lambda word: word.left)
    directions = [direction(word.text) for word in ordered]
    if "R" not in directions:
        return ordered
    goes_left = sum(len(word.text) for word, way in zip(ordered, directions, strict=True) if way == "R") * 2 > sum(
        len(word.text) for word, way in zip(ordered, directions, strict=True) if way
    )
    other = "L" if goes_left else "R"
    result: list[Word] = []
    run: list[Word] = []
    for word, way in (
        zip(reversed(ordered), reversed(directions), strict=True)
        if goes_left
        else zip(ordered, directions, strict=True)
    ):
        if way == other:
            run.append(word)
            continue
        result.extend(reversed(run))
        run = []
        result.append(word)
    return [*result, *reversed(run)]


def direction(text: str) -> str:
    """``R``, ``L``, or nothing for digits and signs; figures inside of writing to the left go to the right, as ``L`` does."""
    ways = {unicodedata.bidirectional(letter) for letter in text}
    if ways & {"R", "AL"}:
        return "R"
    return "L" if ways & {"L", "EN"} else ""


def is_glued(left: Word, right: Word) -> bool:
    """Whether two neighbours of a row are parts of one word: no room between them."""
    first, second = (left, right) if left.left <= right.left else (right, left)
    room, size = second.left - first.right, min(first.size, second.size)
    return -size < room < GLUE * size


def spell(words: Sequence[Word]) -> str:
    parts: list[str] = []
    for number, word in enumerate(words):
        if number and not is_glued(words[number - 1], word):
            parts.append(" ")
        parts.append(word.text)
    return "".join(parts)
