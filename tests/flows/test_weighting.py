"""Which rows weigh more, and how much of the weight they may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import DataError
from journeyman.core.example import Example, object_target
from journeyman.evaluation.weak import WeakSpot
from journeyman.flows.earlier import Aimed
from journeyman.flows.weighting import weigh_rows


def rows(letters: str, weight: float = 1.0) -> list[Example]:
    return [
        Example({"text": str(place)}, object_target({"letter": letter}), weight=weight)
        for place, letter in enumerate(letters)
    ]


def taken(value: str, given: str, errors: int = 1) -> WeakSpot:
    return WeakSpot("letter", "taken for another", value, given, errors, 9)


def aim(*spots: WeakSpot) -> Aimed:
    return Aimed("student", "run", spots)


def test_both_values_weigh_more_where_there_is_room() -> None:
    made, weighting = weigh_rows(rows("aabbcccccccc", 0.5), aim(taken("a", "b")), 2.0)
    assert [row.weight for row in made] == [1.0] * 4 + [0.5] * 8
    assert (weighting.factor, weighting.rows, weighting.of) == (2.0, 4, 12)
    assert [row.hash for row in made] == [row.hash for row in rows("aabbcccccccc")]


def test_where_both_are_too_many_the_missed_one_does() -> None:
    made, weighting = weigh_rows(rows("aabbbbcc"), aim(taken("a", "b")), 2.0)
    assert [row.weight for row in made] == [2.0] * 2 + [1.0] * 6
    assert weighting.rows == 2


def test_spots_that_would_be_too_much_are_left_out() -> None:
    spots = taken("a", "b", 5), taken("c", "d", 4), taken("e", "f", 3)
    _made, weighting = weigh_rows(rows("ab" + "c" * 9 + "d" * 9 + "ef" + "g" * 20), aim(*spots), 3.0)
    assert weighting.spots == (spots[0], spots[2])
    assert weighting.key()["factor"] == 3.0


def test_the_factor_is_lowered_to_half_of_the_weight() -> None:
    made, weighting = weigh_rows(rows("aaabbbbbbb"), aim(taken("a", "b")), 10.0)
    assert weighting.asked == 10.0
    assert weighting.factor == pytest.approx(7 / 3)
    assert sum(row.weight for row in made[:3]) == pytest.approx(7)


@pytest.mark.parametrize(
    "spot",
    [taken("z", "y"), WeakSpot("letter", "missing", None, None, 1, 1), WeakSpot("", "no answer", None, None, 1, 1)],
)
def test_nothing_to_weigh_is_told(spot: WeakSpot) -> None:
    with pytest.raises(DataError, match="JM-387") as told:
        weigh_rows(rows("aab"), aim(spot), 2.0)
    assert spot.name in told.value.got


@given(
    st.text("abcde", min_size=2, max_size=60),
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), min_size=1, max_size=4),
    st.floats(1.01, 100),
)
def test_weak_rows_never_have_more_than_half(letters: str, pairs: list[tuple[str, str]], factor: float) -> None:
    plain = rows(letters)
    try:
        made, weighting = weigh_rows(plain, aim(*(taken(*pair) for pair in pairs)), factor)
    except DataError as error:
        if error.code != "JM-387":
            raise
        return
    heavy = [row.weight for row in made if row.weight > 1]
    assert len(heavy) == weighting.rows > 0
    assert sum(heavy) <= sum(row.weight for row in made) / 2 * (1 + 1e-9)
    assert set(heavy) == {weighting.factor}
    assert 1 < weighting.factor <= factor
