"""An answer that repeats its instruction: so many of the instruction's words, in its order and in a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil

from journeyman.guards.look import WORD, Look

Span = tuple[int, int]
FEWEST, MOST = 4, 40
"""Words in a row that are an echo: fewer may be chance, and more would have a stream wait too long."""
GAPS = 64


@dataclass(frozen=True, slots=True)
class Runs:
    """Every run of ``length`` words of an instruction, and the two that each begins with; ``reach`` is that of the longest one in characters, with wider gaps than it has."""

    length: int
    runs: frozenset[tuple[str, ...]]
    beginnings: frozenset[tuple[str, ...]]
    reach: int


@lru_cache(maxsize=256)
def read_runs(instruction: str, share: float) -> Runs:
    words = [match.group().casefold() for match in WORD.finditer(instruction)]
    length = min(MOST, max(FEWEST, ceil(share * len(words))))
    runs = frozenset(tuple(words[place : place + length]) for place in range(len(words) - length + 1))
    beginnings = frozenset(run[:2] for run in runs)
    return Runs(length, runs, beginnings, max((2 * len(" ".join(run)) + GAPS for run in runs), default=0))


def find_echo(look: Look, runs: Runs) -> Iterator[Span]:
    """Runs that overlap are one echo."""
    if not runs.runs:
        return
    words, start, end = look.words, -1, -1
    for place, pair in enumerate(pairwise(words)):
        if pair not in runs.beginnings or tuple(words[place : place + runs.length]) not in runs.runs:
            continue
        if start >= 0 and place > end:
            yield look.span(look.word_spans[start][0], look.word_spans[end][1])
            start = -1
        start = place if start < 0 else start
        end = place + runs.length - 1
    if start >= 0:
        yield look.span(look.word_spans[start][0], look.word_spans[end][1])
