"""Confusions: which fields have one, what is counted, and that nothing is dropped."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import object_target, text_target
from journeyman.evaluation.confusion import NO_ANSWER, find_confusions
from journeyman.evaluation.run import Prediction, Row
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"intent": {"enum": ["a", "b", "c"]}, "many": {"type": "boolean"}, "note": {"type": "string"}},
    "required": ["intent", "note"],
    "additionalProperties": False,
}
TEXT: dict[str, dict[str, Json]] = {"text": {"type": "string"}}


def _pair(wanted: dict[str, Json], got: dict[str, Json] | None) -> tuple[Row, Prediction]:
    return Row("h", {"text": "x"}, object_target(wanted), None), Prediction(
        "h", "", object_target(got) if got is not None else None
    )


def test_fields_that_are_choices_have_one_and_every_row_is_in_it() -> None:
    answered = [
        _pair({"intent": "a", "note": "1", "many": True}, {"intent": "a", "note": "2"}),
        _pair({"intent": "a", "note": "1", "many": True}, {"intent": "b", "note": "2", "many": True}),
        _pair({"intent": "b", "note": "1", "many": False}, None),
    ]
    intent, many = find_confusions(Task("t", "i", TEXT, SCHEMA), answered)
    assert (intent.field, intent.values, intent.given) == ("intent", ('"a"', '"b"'), ('"a"', '"b"', NO_ANSWER))
    assert intent.counts == ((1, 1, 0), (0, 0, 1))
    assert (many.values, many.given) == (("false", "true"), ("false", "true", NO_ANSWER))
    assert many.counts == ((0, 0, 1), (0, 1, 1))
    assert sum(map(sum, intent.counts)) == len(answered)


def test_a_bare_choice_and_outputs_without_one() -> None:
    bare = Task("t", "i", TEXT, {"enum": ["x", "y"]})
    rows = [(Row("h", {"text": ""}, object_target("x"), None), Prediction("h", "", object_target("y")))]
    (only,) = find_confusions(bare, rows)
    assert (only.field, only.counts) == ("", ((0, 1), (0, 0)))
    assert (
        find_confusions(Task("t", "i", TEXT, None), [(Row("h", {}, text_target("x"), None), Prediction("h", "", None))])
        == []
    )
    assert find_confusions(Task("t", "i", TEXT, {"type": "object", "properties": {}}), []) == []
