"""Wrong rows by what is wrong with them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.weak import WeakSpot, find_weak_spots
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "parcel", "other"]},
        "slots": {"type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "string"}}},
    },
    "required": ["intent", "slots"],
    "additionalProperties": False,
}
TASK = Task("tickets", "Sort.", {"message": {"type": "string"}}, SCHEMA)


def answer(intent: str, **slots: Json) -> Target:
    return object_target({"intent": intent, "slots": slots})


def test_spots_are_named_counted_and_ordered() -> None:
    pairs: list[tuple[Target, Target | None, int]] = [
        (answer("refund"), answer("other"), 1),
        (answer("refund"), answer("other"), 2),
        (answer("refund"), answer("refund"), 1),
        (answer("parcel", city="Ghent"), answer("parcel"), 1),
        (answer("parcel", city="Ghent"), answer("parcel", city="Gent"), 1),
        (answer("parcel"), answer("parcel", day="now"), 1),
        (answer("parcel"), None, 1),
    ]
    answered = [
        (Row(str(place), {"message": str(place)}, wanted, None, count), Prediction(str(place), "", got))
        for place, (wanted, got, count) in enumerate(pairs)
    ]
    spots = find_weak_spots(TASK, answered)
    assert [(spot.name, spot.errors, spot.rows) for spot in spots] == [
        ('intent "refund" taken for "other"', 3, 4),
        ("slots.city missing", 1, 2),
        ("slots.city other than expected", 1, 2),
        ("slots.day too much", 1, 8),
        ("the answer no answer", 1, 8),
    ]
    assert find_weak_spots(TASK, answered[2:3]) == []
    assert [spot.errors for spot in find_weak_spots(TASK, answered, most=1)] == [3]


def test_texts_differ_as_wholes() -> None:
    task = Task("t", "Say.", {"message": {"type": "string"}}, None)
    row = Row("a", {"message": "x"}, Target("text", text="yes"), None)
    (spot,) = find_weak_spots(task, [(row, Prediction("a", "no", Target("text", text="no")))])
    assert spot.name == "the answer another text"


def test_an_answer_that_is_a_choice_has_spots_of_its_values() -> None:
    task = Task("t", "Sort.", {"message": {"type": "string"}}, {"enum": ["a", "b", "c"]})
    row = Row("1", {"message": "x"}, object_target("a"), None)
    (spot,) = find_weak_spots(task, [(row, Prediction("1", "", object_target("b")))])
    assert spot.name == 'the answer "a" taken for "b"'
    assert [value for value in "abc" if spot.is_part_of(object_target(value))] == ["a", "b"]


def test_a_spot_says_which_rows_it_is_about() -> None:
    taken = WeakSpot("intent", "taken for another", "refund", "other", 1, 1)
    assert [taken.is_part_of(answer(name)) for name in ("refund", "other", "parcel")] == [True, True, False]
    assert [taken.is_open_to(answer(name)) for name in ("refund", "other", "parcel")] == [True, False, False]
    assert taken.is_in(answer("refund", city="Ghent"), answer("other"))
    assert not taken.is_in(answer("refund"), answer("parcel"))
    assert not taken.is_in(answer("refund"), None)
    missing = WeakSpot("slots.city", "missing", None, None, 1, 1)
    assert [missing.is_part_of(row) for row in (answer("other", city="Ghent"), answer("other"))] == [True, False]
    assert missing.is_in(answer("other", city="Ghent"), answer("refund"))
    assert not missing.is_in(answer("other", city="Ghent"), answer("other", city="Gent"))
    other = WeakSpot("slots.city", "other than expected", None, None, 1, 1)
    assert other.is_in(answer("other", city="Ghent"), answer("other", city="Gent"))
    assert not other.is_in(answer("other", city="Ghent"), answer("other"))
    extra = WeakSpot("slots.city", "too much", None, None, 1, 1)
    assert extra.is_in(answer("other"), answer("other", city="Ghent"))
    assert not any(extra.is_part_of(row) for row in (answer("other"), answer("other", city="Ghent")))
    none = WeakSpot("", "no answer", None, None, 1, 1)
    assert none.is_in(answer("other"), None)
    assert not none.is_in(answer("other"), answer("refund"))


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_name_holds_nothing_that_a_terminal_would_obey(field: str, value: str) -> None:
    name = WeakSpot(field, "taken for another", value, value, 1, 1).name
    assert name.isprintable()
    assert len(name) < 300
