from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.evaluation.halving import keep_better, plan_rounds


@given(st.integers(1, 200), st.integers(1, 500))
def test_rounds_grow_to_all_rows_and_end_with_one_arm(arms: int, rows: int) -> None:
    rounds = plan_rounds(arms, rows)
    assert rounds[-1] == rows
    assert list(rounds) == sorted(rounds)
    left = list(range(arms))
    for _ in rounds:
        left = [left[place] for place in keep_better([float(arm) for arm in left])]
    assert left == [arms - 1], "the best arm survives every round"


def test_the_earlier_of_equals_stays() -> None:
    assert keep_better([0.2, 0.5, 0.5, 0.5]) == [1, 2]
    assert keep_better([float("-inf"), 0.0, 0.0]) == [1, 2]
    assert keep_better([0.0]) == [0]
    assert plan_rounds(11, 128) == (16, 32, 64, 128)
    with pytest.raises(ValueError, match="arms and rows"):
        plan_rounds(0, 5)
