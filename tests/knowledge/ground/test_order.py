"""The occurrences that are chosen, against all choices tried one by one."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.ground.order import choose_in_order, choose_nearest

LENGTH = 30
STARTS = st.lists(
    st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=4, unique=True).map(sorted), min_size=1, max_size=5
)


def spans(starts: list[list[int]]) -> list[np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Each quote with a length of its own, so that no two share an occurrence."""
    return [np.array([(start, start + 1 + number) for start in each], np.int64) for number, each in enumerate(starts)]


def cost(starts: tuple[int, ...]) -> tuple[int, int]:
    """Breaks of the order, and the way forward with how late all are."""
    steps = list(pairwise(starts))
    breaks = sum(after < before for before, after in steps)
    return breaks, sum(starts) + sum(after - before for before, after in steps if after >= before)


@given(STARTS)
def test_the_order_is_broken_as_seldom_as_can_be_and_the_way_is_the_least(starts: list[list[int]]) -> None:
    chosen = choose_in_order(spans(starts), range(len(starts)), LENGTH)
    got = tuple(each[choice] for each, choice in zip(starts, chosen, strict=True))
    assert cost(got) == min(map(cost, product(*starts)))


@given(STARTS)
def test_one_occurrence_stays_whatever_is_around_it(starts: list[list[int]]) -> None:
    for chosen in (choose_nearest(spans(starts)), choose_in_order(spans(starts), range(len(starts)), LENGTH)):
        assert all(0 <= choice < len(each) for choice, each in zip(chosen, starts, strict=True))


def test_nearest_is_nearest_to_any_that_is_placed() -> None:
    placed = spans([[3, 29], [10], [0, 9, 20], [28]])
    assert choose_nearest(placed) == [1, 0, 1, 0]
    assert choose_nearest([]) == choose_in_order([], [], 0) == []
