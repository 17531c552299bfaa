"""Errors of one student and of the next, by the weak spots of the first."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target
from journeyman.evaluation.helped import Both, compare_students
from journeyman.evaluation.run import Prediction, Row
from journeyman.measure.intervals import Paired, tango
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"intent": {"enum": ["refund", "parcel", "other"]}, "note": {"type": "string"}},
    "required": ["intent"],
    "additionalProperties": False,
}
TASK = Task("tickets", "Sort.", {"message": {"type": "string"}}, SCHEMA)


def both(name: str, expected: str, before: str, after: str, count: int = 1) -> Both:
    wanted = object_target({"intent": expected})
    row = Row(name, {"message": name}, wanted, None, count)
    return Both(row, wanted, say(name, before), say(name, after))


def say(name: str, intent: str) -> Prediction:
    return Prediction(name, intent, object_target({"intent": intent}) if intent else None)


def test_each_spot_is_compared_on_the_rows_that_could_have_it() -> None:
    rows = [both(f"a{place}", "refund", "other", "refund") for place in range(6)]
    rows += [both(f"b{place}", "refund", "other", "parcel") for place in range(2)]
    rows += [both(f"c{place}", "refund", "refund", "other") for place in range(1)]
    rows += [both(f"d{place}", "parcel", "parcel", "parcel") for place in range(10)]
    whole, (spot,) = compare_students(TASK, rows, 1.0)
    assert (whole.rows, whole.before, whole.after) == (19, 8, 3)
    assert (spot.name, spot.rows, spot.before, spot.after) == ('intent "refund" taken for "other"', 9, 8, 1)
    assert spot.difference is not None
    assert whole.difference is not None
    expected = tango(Paired(0, 1, 8, 0), 0.025)
    assert (spot.difference.low, spot.difference.high) == (expected.low, expected.high)
    expected = tango(Paired(2, 1, 6, 10), 0.025)
    assert (whole.difference.low, whole.difference.high) == (expected.low, expected.high)


def test_an_error_counts_also_where_something_before_it_is_wrong_now() -> None:
    def noted(intent: str, note: str) -> Target:
        return object_target({"intent": intent, "note": note} if note else {"intent": intent})

    wanted = noted("refund", "x")
    pairs = [(noted("refund", ""), noted("other", ""))] * 2
    rows = [
        Both(
            Row(str(place), {"message": str(place)}, wanted, None),
            wanted,
            Prediction(str(place), "", before),
            Prediction(str(place), "", after),
        )
        for place, (before, after) in enumerate(pairs)
    ]
    _whole, (spot,) = compare_students(TASK, rows, 1.0)
    assert (spot.name, spot.before, spot.after) == ("note missing", 2, 2)


def test_one_row_has_no_interval_and_a_count_weighs() -> None:
    rows = [
        both("a", "refund", "", "refund", 3),
        both("b", "parcel", "other", "other"),
        both("c", "other", "other", "other"),
    ]
    whole, spots = compare_students(TASK, rows, 3.0)
    assert (whole.rows, whole.before, whole.after) == (5, 4, 1)
    found = {item.name: item for item in spots}
    assert found["the answer no answer"].before == 3
    lone = found['intent "parcel" taken for "other"']
    assert (lone.rows, lone.before, lone.after, lone.difference) == (1, 1, 1, None)
