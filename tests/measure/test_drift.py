"""Watches: silent while the promise holds, over any number of looks; loud soon after it breaks."""

from __future__ import annotations

import numpy as np
import pytest

from journeyman.measure.drift import AgreementWatch, ExchangeWatch
from journeyman.measure.novelty import Vocabulary, thin


def test_a_kept_promise_raises_no_alarm_over_all_looks() -> None:
    rng, runs, alarms = np.random.default_rng(1), 400, 0
    for _ in range(runs):
        watch = AgreementWatch(0.02, alpha=0.05)
        alarms += any(watch.add(bool(wrong)) for wrong in rng.random(1500) < 0.02)
    assert alarms / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_broken_promise_is_found() -> None:
    rng, found = np.random.default_rng(2), []
    for _ in range(40):
        watch = AgreementWatch(0.02, alpha=0.01)
        for wrong in rng.random(2000) < 0.08:
            if watch.add(bool(wrong)):
                break
        assert watch.is_alarm
        found.append(watch.seen)
    assert np.median(found) < 400
    assert watch.add(False), "an alarm stays"
    assert AgreementWatch(**watch.to_json()) == watch  # type: ignore[arg-type]


def test_rows_like_the_known_ones_raise_no_alarm() -> None:
    rng, runs, alarms = np.random.default_rng(3), 200, 0
    for run in range(runs):
        watch = ExchangeWatch.of(rng.normal(size=1000).tolist(), alpha=0.01, seed=run)
        alarms += any(watch.add(value) for value in rng.normal(size=300).tolist())
    assert alarms / runs <= 0.04


def test_rows_that_move_are_found() -> None:
    rng = np.random.default_rng(4)
    watch = ExchangeWatch.of(rng.normal(size=1000).tolist())
    assert not any(watch.add(value) for value in rng.normal(size=200).tolist())
    later = [watch.add(value) for value in (rng.normal(size=400) + 1).tolist()]
    assert later[-1]
    assert later.index(True) < 150
    constant = ExchangeWatch.of([0.5] * 500)
    assert not any(constant.add(0.5) for _ in range(500)), "ties are drawn"


@pytest.mark.parametrize(("error", "weight"), [(0.0, 1.0), (0.1, 2.0)])
def test_bad_numbers(error: float, weight: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        AgreementWatch(error).add(True, weight)


def test_no_alarm_comes_from_few_known_rows_however_long_it_runs() -> None:
    """Given a sample of 200, p-values of rows like it are not uniform, and a watch that took them for uniform would end in an alarm."""
    rng, runs, alarms = np.random.default_rng(11), 25, 0
    for run in range(runs):
        watch = ExchangeWatch.of(rng.normal(size=200).tolist(), alpha=0.05, seed=run)
        alarms += any(watch.add(value) for value in rng.normal(size=8000).tolist())
    assert alarms <= 2


def test_words_that_train_rows_did_not_have() -> None:
    known = Vocabulary.of(["two red cars", "One blue boat", "ünïcode"])
    assert known.novelty("RED boat") == 0
    assert known.novelty("red lorry lorry") == 0.5
    assert known.novelty("") == known.novelty("?!") == 0
    assert Vocabulary.read(known.write()) == known
    assert len(Vocabulary.of(["a b c", "a b", "a"], most=2).marks) == 2
    assert Vocabulary.of(["a b c", "a b", "a"], most=2).novelty("a c") == 0.5, "the frequent ones are kept"
    assert thin([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
    assert thin(range(1000), 10) == tuple(range(50, 1000, 100))
