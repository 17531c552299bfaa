"""Which of its occurrences each quote means, when a text says the same several times.

Quotes in the order in which the text says them: the least breaks of that order first, then the least way from each occurrence to the next and the earliest occurrences, both in
characters, by dynamic programming over all of them. Quotes in no order: those with one occurrence stay, each of the others goes to its free occurrence that is nearest to one that is placed. No two quotes share
an occurrence while one of them has another that is free.

Legend: ``k`` occurrences of one quote; spans are int64 [k, 2], ascending.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
Span = tuple[int, int]


def choose_in_order(spans: Sequence[Spans], names: Sequence[Hashable], length: int) -> list[int]:
    """The number of the occurrence for each quote. ``names`` are equal for quotes that say the same; ``length`` is that of the text."""
    if not spans:
        return []
    penalty = 2 * len(spans) * (length + 1)
    costs, origins = spans[0][:, 0], list[Ints]()
    for number in range(1, len(spans)):
        costs, origin = _step(spans[number - 1], costs, spans[number], names[number - 1] == names[number], penalty)
        origins.append(origin)
    chosen = [int(np.argmin(costs))]
    for origin in reversed(origins):
        chosen.append(int(origin[chosen[-1]]))
    return _part(spans, chosen[::-1])


def _step(before: Spans, costs: Ints, after: Spans, is_same: bool, penalty: int) -> tuple[Ints, Ints]:
    """What each occurrence of the next quote costs at least, and after which occurrence of the quote before it."""
    starts = before[:, 0]
    reached = costs - starts
    least = np.minimum.accumulate(reached)
    is_new = np.concatenate(([True], reached[1:] < least[:-1]))
    first = np.maximum.accumulate(np.where(is_new, np.arange(len(before)), 0))
    place = np.searchsorted(starts, after[:, 0], side="left" if is_same else "right") - 1
    cheapest = int(np.argmin(costs))
    back = costs[cheapest] + penalty + after[:, 0]
    forward = np.where(place >= 0, least[place] + 2 * after[:, 0], back + 1)
    origin = np.where(forward <= back, first[place], cheapest)
    return np.minimum(forward, back), origin


def choose_nearest(spans: Sequence[Spans]) -> list[int]:
    """The number of the occurrence for each quote, whatever the order of the quotes; without any that has one alone, the first's first is where to begin."""
    chosen, taken, placed = [0] * len(spans), set[Span](), list[int]()
    for number in sorted(range(len(spans)), key=lambda number: len(spans[number])):
        chosen[number] = _nearest(spans[number], placed, taken)
        taken.add(_span(spans[number], chosen[number]))
        insort(placed, int(spans[number][chosen[number], 0]))
    return chosen


def _part(spans: Sequence[Spans], chosen: list[int]) -> list[int]:
    """Later ones of those that share an occurrence go to their nearest free one."""
    taken = set[Span]()
    for number, choice in enumerate(chosen):
        if _span(spans[number], choice) in taken:
            chosen[number] = _nearest(spans[number], [int(spans[number][choice, 0])], taken)
        taken.add(_span(spans[number], chosen[number]))
    return chosen


def _nearest(spans: Spans, placed: Sequence[int], taken: set[Span]) -> int:
    """Of the free ones where there are any, that with the least way to one of the places; of all where there are none."""
    if not placed or len(spans) == 1:
        return 0
    known, starts = np.array(placed), spans[:, 0]
    place = np.searchsorted(known, starts)
    ways = np.minimum(
        abs(starts - known[np.maximum(place - 1, 0)]), abs(starts - known[np.minimum(place, len(known) - 1)])
    )
    order = np.argsort(ways, kind="stable")
    return int(next((number for number in order if _span(spans, number) not in taken), order[0]))


def _span(spans: Spans, number: int) -> Span:
    return int(spans[number, 0]), int(spans[number, 1])
