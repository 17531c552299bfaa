"""What a judge is worth, on labels whose agreement is known."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.measure.agreement import cohens_kappa
from journeyman.measure.judged import MIRRORED, Better, measure_worth, paired_kappa

LABELS: tuple[Better, ...] = ("one", "two", "tie")
labels = st.sampled_from(LABELS)


def vectors(counts: dict[tuple[Better, Better], int]) -> tuple[list[Better], list[Better]]:
    pairs = [pair for pair, count in counts.items() for _ in range(count)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_known_agreement() -> None:
    """80 alike of 100 and no tie: chance agrees on half, kappa is 0.6."""
    people, judge = vectors({("one", "one"): 45, ("two", "two"): 35, ("one", "two"): 15, ("two", "one"): 5})
    worth = measure_worth(people, judge, ["neither"] * 100)
    assert worth.kappa is not None
    assert worth.kappa.value == pytest.approx(0.6)
    assert (worth.accuracy.value, worth.n, worth.groups) == (0.8, 100, 100)
    assert worth.accuracy.low == pytest.approx(0.7082, abs=1e-4), "Clopper-Pearson"
    assert (worth.position_bias.value, worth.position_bias.low) == (0.0, 0.0)
    assert worth.position_bias.high == pytest.approx(0.0362, abs=1e-4)


def test_a_file_that_names_the_better_answer_first_throughout() -> None:
    people, judge = vectors({("one", "one"): 80, ("one", "two"): 20})
    assert cohens_kappa(people, judge).kappa == pytest.approx(0.0, abs=1e-9)
    found = paired_kappa(people, judge, range(100))
    assert found is not None
    assert found.value == pytest.approx(0.6)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=40), st.data())
def test_which_answer_stands_first_in_the_file_changes_nothing(
    pairs: list[tuple[Better, Better]], data: st.DataObject
) -> None:
    turned = [data.draw(st.booleans()) for _ in pairs]
    moved = [
        (MIRRORED[a], MIRRORED[b]) if is_turned else (a, b) for (a, b), is_turned in zip(pairs, turned, strict=True)
    ]
    groups = range(len(pairs))
    one, other = (paired_kappa([a for a, _ in side], [b for _, b in side], groups) for side in (pairs, moved))
    assert (one is None) == (other is None) == (set(pairs) == {("tie", "tie")})
    if one and other:
        ends = [(found.value, found.low, found.high) for found in (one, other)]
        assert ends[0] == pytest.approx(ends[1], abs=1e-9)
        assert all(np.isfinite(end) for end in ends[0])


def test_ties_count_half_and_cost_agreement() -> None:
    people, judge = vectors(
        {("one", "one"): 30, ("two", "two"): 30, ("one", "tie"): 20, ("tie", "tie"): 10, ("tie", "two"): 10}
    )
    worth = measure_worth(people, judge, ["neither"] * 100)
    assert worth.accuracy.value == pytest.approx(0.85)
    assert 0.7 < worth.accuracy.low < 0.85 < worth.accuracy.high < 1
    # People tie 0.2 of the time and the judge 0.3: by chance 0.8 * 0.7 / 2 + 0.2 * 0.3 = 0.34.
    assert worth.kappa is not None
    assert worth.kappa.value == pytest.approx((0.7 - 0.34) / (1 - 0.34))
    assert (worth.ties, worth.ties_of_people) == (30, 20)


def test_a_judge_of_positions_is_worth_nothing() -> None:
    people: list[Better] = ["one", "two"] * 40
    worth = measure_worth(people, ["tie"] * 80, ["first"] * 60 + ["second"] * 18 + ["neither"] * 2)
    assert worth.kappa is not None
    assert worth.kappa.value == pytest.approx(0.0)
    assert -0.1 < worth.kappa.low <= 0 <= worth.kappa.high < 0.1
    assert worth.accuracy.value == 0.5
    assert worth.position_bias.value == pytest.approx(78 / 80)
    assert (worth.first, worth.second) == (60, 18)


def test_all_ties_leave_kappa_undefined() -> None:
    worth = measure_worth(["tie"] * 5, ["tie"] * 5, [None] * 5)
    assert worth.kappa is None
    assert worth.accuracy.value == 1.0
    assert (worth.position_bias.n, worth.position_bias.low, worth.position_bias.high) == (0, 0.0, 1.0)


def test_near_copies_widen_every_interval() -> None:
    people, judge = vectors({("one", "one"): 45, ("two", "two"): 35, ("one", "two"): 15, ("two", "one"): 5})
    order = np.random.default_rng(1).permutation(100).tolist()
    people, judge = [people[place] for place in order], [judge[place] for place in order]
    favoured = ["first" if place % 7 == 0 else "neither" for place in range(100)]
    single = measure_worth(people, judge, favoured)  # type: ignore[arg-type]
    copied = measure_worth(people * 4, judge * 4, favoured * 4, [*range(100)] * 4)  # type: ignore[arg-type]
    assert (copied.n, copied.groups) == (400, 100)
    assert single.kappa is not None
    assert copied.kappa is not None
    assert (copied.kappa.low, copied.kappa.high) == pytest.approx((single.kappa.low, single.kappa.high))
    assert copied.accuracy.low <= single.accuracy.low
    assert copied.position_bias.high >= single.position_bias.high


def test_unequal_lengths_and_nothing() -> None:
    for sides in (([], [], []), (["one"], ["one", "two"], ["neither"])):
        with pytest.raises(ValueError, match="equally many"):
            measure_worth(*sides)  # type: ignore[arg-type]


# Shares of: both say the same and no tie, they say the opposite, the judge ties, people tie, both tie.
DESIGNS = {
    0.0: (0.35, 0.35, 0.3, 0.0, 0.0),
    0.4: (0.7, 0.3, 0.0, 0.0, 0.0),
    0.367: (0.62, 0.18, 0.2, 0.0, 0.0),
    0.451: (0.52, 0.12, 0.16, 0.08, 0.12),
    0.8: (0.9, 0.1, 0.0, 0.0, 0.0),
}
KINDS: list[tuple[Better, Better]] = [("one", "one"), ("one", "two"), ("one", "tie"), ("tie", "one"), ("tie", "tie")]


@pytest.mark.parametrize("n", [50, 150, 400])
@pytest.mark.parametrize("truth", DESIGNS)
def test_the_interval_holds_and_its_lower_end_above_all(n: int, truth: float) -> None:
    """1,000 samples each: the truth lies inside in 95 % of them, and above the lower end, which decides, in 97.5 %."""
    rng, runs, inside, above = np.random.default_rng(n), 1000, 0, 0
    for drawn in rng.multinomial(n, DESIGNS[truth], size=runs).tolist():
        people, judge = vectors(dict(zip(KINDS, drawn, strict=True)))
        found = paired_kappa(people, judge, range(n))
        assert found is not None
        inside += found.low - 5e-4 <= truth <= found.high + 5e-4
        above += found.low - 5e-4 <= truth
    assert inside / runs >= 0.95 - 3 * sqrt(0.95 * 0.05 / runs)
    assert above / runs >= 0.975 - 3 * sqrt(0.975 * 0.025 / runs)
