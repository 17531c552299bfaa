"""Wrong rows by what is wrong with them."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.weak import find_weak_spots
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
