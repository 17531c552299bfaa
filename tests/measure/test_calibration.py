from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.measure.calibration import calibration_error

rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(rows, st.integers(1, 20))
def test_it_is_the_mean_gap_of_the_bins(pairs: list[tuple[float, bool]], bins: int) -> None:
    expected, left = 0.0, list(pairs)
    for place in range(bins):
        inside = [pair for pair in left if place == bins - 1 or np.ceil(pair[0] * bins) <= place + 1]
        left = [pair for pair in left if pair not in inside]
        expected += abs(sum(said - came for said, came in inside))
    said, came = zip(*pairs, strict=True)
    assert calibration_error(said, came, bins) == pytest.approx(expected / len(pairs), abs=1e-12)


def test_the_two_ends() -> None:
    assert calibration_error([1.0, 1.0, 0.0], [True, True, False]) == 0.0
    assert calibration_error([1.0, 1.0], [False, False]) == 1.0
    assert calibration_error([0.75] * 4, [True, True, True, False]) == 0.0


@pytest.mark.parametrize(
    ("said", "came"), [([], []), ([0.5], [True, False]), ([1.1], [True]), ([float("nan")], [True])]
)
def test_what_cannot_be_measured(said: list[float], came: list[bool]) -> None:
    with pytest.raises(ValueError, match="expected"):
        calibration_error(said, came)
