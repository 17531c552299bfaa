"""From answers to a calibrated confidence and the threshold with its promise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from journeyman.core.example import object_target
from journeyman.evaluation.document import ConfidencePart, PromisePart, describe_promise
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.threshold import Outcomes, disagreement, field_outcomes, outcomes, trust, trust_fields
from journeyman.measure.calibrators import Calibrator
from journeyman.measure.metrics import METRICS
from journeyman.models.protocol import Confidence

ANSWER = object_target({"intent": "a", "city": "Rome"})
NEARLY = object_target({"intent": "a", "city": "Bern"})


def _row(name: str, count: int = 1, group: str = "") -> Row:
    return Row(name, {"text": name}, ANSWER, None, count, group)


def _known(n: int, seed: int) -> Outcomes:
    """Overconfident: an answer said to be right with p is so with p squared."""
    rng = np.random.default_rng(seed)
    said = rng.beta(3, 0.4, n)
    return Outcomes(said, (rng.random(n) < said**2).astype(np.float64), np.ones(n), tuple(map(str, range(n))), n)


def test_a_row_is_right_where_the_metric_gives_it_all() -> None:
    answered = [
        (_row("1", 3), Prediction("1", "", ANSWER, confidence=Confidence(0.9))),
        (_row("2", group="g"), Prediction("2", "", NEARLY, confidence=Confidence(0.8))),
        (_row("3", group="g"), Prediction("3", "nonsense", None, confidence=Confidence(0.7))),
        (_row("4"), Prediction("4", "", None, error="JM-421")),
        (_row("5"), Prediction("5", "", ANSWER)),
        (replace(_row("6"), gold=None), Prediction("6", "", ANSWER, confidence=Confidence(1.0))),
    ]
    for name in ("exact_match", "row_f1", "valid", "field_f1"):
        known = outcomes(METRICS[name], answered)
        assert known.right.tolist() == [1, 0, 0, 0, 1], name
        assert known.confidence.tolist() == [0.9, 0.8, 0.0, 0.0, 0.0], "what cannot be read is not trusted"
        assert known.weights.tolist() == [3, 1, 1, 1, 1]
        assert known.groups == ("1", "g", "g", "4", "5")
        assert known.gold == 5


def test_no_confidence_stays_none_whatever_the_map() -> None:
    known = Outcomes(np.array([0.0, 0.4]), np.array([0.0, 1.0]), np.ones(2), ("a", "b"))
    scored = known.scored(Calibrator("isotonic", (0.0, 1.0, 0.9, 0.9)), 1.0)
    assert scored.confidence.tolist() == pytest.approx([0.0, 0.9])


def test_overconfidence_is_mended_and_the_promise_is_made() -> None:
    found = trust(_known(1500, 1), _known(1500, 2), _known(3000, 3), 0.1, 0.05, 1.0)
    assert found is not None
    assert (found.fitted, found.decided, found.shown) == (1500, 1500, 3000)
    assert set(found.losses) == {"identity", "temperature", "beta", "isotonic"}
    assert found.error < 0.03 < found.raw_error
    assert found.interval.low <= found.error <= found.interval.high
    assert found.promise is not None
    assert found.promise.threshold is not None
    fresh = _known(200_000, 4)
    taken = found.calibrator(fresh.confidence) >= found.promise.threshold
    assert 1 - fresh.right[taken].mean() <= 0.1
    assert taken.mean() > 0.3
    confidence, promise = ConfidencePart.of(found), PromisePart.of(found)
    assert promise is not None
    assert ConfidencePart.model_validate_json(confidence.model_dump_json()) == confidence
    assert PromisePart.model_validate(json.loads(promise.model_dump_json())) == promise
    assert promise.chosen is not None
    assert "at most 10 % are wrong, with confidence 95 %" in describe_promise(promise)


def test_without_rows_nothing_is_said() -> None:
    none = Outcomes(np.empty(0), np.empty(0), np.empty(0), ())
    assert trust(none, _known(50, 1), _known(50, 2), 0.05, 0.05, 1.0) is None
    assert trust(_known(50, 1), none, none, 0.05, 0.05, 1.0) is None
    halves = trust(_known(50, 1), none, _known(50, 2), 0.05, 0.05, 1.0)
    assert halves is not None
    assert halves.promise is None


def test_too_few_rows_promise_nothing_and_say_how_many_it_takes() -> None:
    sure = Outcomes(np.full(40, 0.99), np.ones(40), np.ones(40), tuple(map(str, range(40))), 40)
    found = trust(sure, sure, sure, 0.02, 0.05, 1.0)
    assert found is not None
    promise = PromisePart.of(found)
    assert promise is not None
    assert (promise.threshold, promise.needed) == (None, 149)
    assert "149 accepted rows" in describe_promise(promise)
    assert "everything goes to the teacher" in describe_promise(promise)
    assert "are wrong;" in describe_promise(promise)
    assert "are other than the teacher's;" in describe_promise(promise.model_copy(update={"gold": 0}))
    assert "33 of the 40 rows say" in describe_promise(promise.model_copy(update={"gold": 7}))


def test_how_often_accepted_answers_differ_from_the_teachers_is_bounded_on_rows_with_both() -> None:
    found = trust(_known(1500, 1), _known(1500, 2), _known(3000, 3), 0.1, 0.05, 1.0)
    assert found is not None
    said = [(replace(_row(str(place)), teacher=NEARLY if place < 3 else ANSWER), 0.999) for place in range(40)]
    said += [(replace(_row("unsure"), teacher=NEARLY), 0.01), (_row("gold alone"), 0.999)]
    said += [(replace(_row(f"copy {place}", group="one"), gold=None, teacher=NEARLY), 0.999) for place in range(5)]
    answered = [(row, Prediction(row.hash, "", ANSWER, confidence=Confidence(sure))) for row, sure in said]
    bound = disagreement(METRICS["exact_match"], answered, found, 0.05)
    assert bound == pytest.approx(stats.beta.ppf(0.95, 5, 37))  # 3 of 40, and one group
    assert disagreement(METRICS["exact_match"], answered[40:42], found, 0.05) is None
    assert disagreement(METRICS["exact_match"], answered[42:], found, 0.05) == 0.99
    silent = replace(found, promise=None)
    assert disagreement(METRICS["exact_match"], answered, silent, 0.05) is None


def test_each_value_that_was_said_is_right_where_the_expected_answer_has_it_in_any_row() -> None:
    gold = object_target({"a": "x", "none": None, "items": [{"n": 1, "t": "b"}, {"n": 2, "t": "c"}]})
    said = object_target({"a": "y", "none": "z", "items": [{"n": 2, "t": "c"}, {"n": 2, "t": ""}]})
    sure = {"a": 0.4, "none": 0.3, "items": 0.2, "items.0.n": 0.9, "items.0.t": 0.8, "items.1.n": 0.7, "items.1.t": 0.6}
    row = Row("1", {"text": "1"}, gold, None, 2, "g")
    known = field_outcomes([(row, Prediction("1", "", said, confidence=Confidence(0.1, sure)))])
    assert known.confidence.tolist() == [0.4, 0.3, 0.9, 0.8, 0.7], "neither the list nor what is empty is a value"
    assert known.right.tolist() == [0, 0, 1, 1, 0], "each expected value counts once"
    assert set(known.groups) == {"g"}
    assert known.weights.tolist() == [2] * 5
    assert not len(field_outcomes([(row, Prediction("1", "", None, error="JM-720"))]).right)


def test_overconfident_values_are_mended_with_an_interval_over_rows() -> None:
    def grouped(seed: int) -> Outcomes:
        known = _known(1200, seed)
        return replace(known, groups=tuple(f"{seed}-{place // 12}" for place in range(1200)))

    found = trust_fields(grouped(1), grouped(2))
    assert found is not None
    assert found.calibrator.kind != "identity"
    assert (found.fitted, found.shown) == (1200, 1200)
    assert found.error < 0.03 < found.raw_error
    assert found.interval.low <= found.error + 1e-9
    part = ConfidencePart.of(found)
    assert ConfidencePart.model_validate_json(part.model_dump_json()) == part
    none = Outcomes(np.array([]), np.array([]), np.array([]), ())
    assert trust_fields(none, grouped(2)) is None
