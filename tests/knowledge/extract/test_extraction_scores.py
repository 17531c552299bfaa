"""Precision, recall and F1 of extracted values, counted by hand."""

from __future__ import annotations

import pytest

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.equal import canonical, is_equal
from journeyman.knowledge.extract.place import place
from journeyman.knowledge.extract.scores import Extraction, FieldScore, score_extractions
from tests.knowledge.extract.documents import SCHEMA, document


def fields(*pairs: tuple[Json, Json]) -> dict[str, FieldScore]:
    return {one.field: one for one in score_extractions([Extraction(said, gold) for said, gold in pairs]).fields}


def values(one: FieldScore) -> list[float | None]:
    return [None if each is None else round(each.value, 3) for each in (one.precision, one.recall, one.f1, one.whole)]


def test_values_are_the_same_in_any_writing_but_not_of_another_kind() -> None:
    assert is_equal("Müller  GmbH", "MÜLLER GmbH")
    assert is_equal(5, 5.0)
    assert not is_equal(1, True)
    assert not is_equal("5", 5)
    assert canonical([{"a": "", "b": None}]) is None


def test_fields_are_counted_with_null_and_wrong_values() -> None:
    found = fields(
        ({"number": "A-1", "due": None, "total": 5}, {"number": "a-1", "due": "2024-01-01", "total": 5}),
        ({"number": "B", "due": "2024-01-01", "total": 6}, {"number": "C", "due": None, "total": 6.0}),
    )
    assert values(found["number"]) == [0.5, 0.5, 0.5, 0.5]
    assert values(found["due"]) == [0.0, 0.0, 0.0, 0.0]
    assert values(found["total"]) == [1.0, 1.0, 1.0, 1.0]
    assert values(found["*"]) == [0.6, 0.6, 0.6, 0.0]
    assert found["number"].precision is not None
    low, high = found["number"].precision.interval.low, found["number"].precision.interval.high
    assert (round(low, 4), round(high, 4)) == (0.0126, 0.9874)  # Clopper and Pearson, 1 of 2


def test_rows_are_compared_with_those_they_share_most_with() -> None:
    gold = [{"text": "a", "amount": 1}, {"text": "b", "amount": 2}, {"text": "c", "amount": 3}]
    said = [{"text": "b", "amount": 2}, {"text": "c", "amount": 4}, {"text": "d", "amount": 9}]
    found = fields(({"items": said}, {"items": gold}))
    assert values(found["items[].text"]) == [0.667, 0.667, 0.667, 0.0]
    assert values(found["items[].amount"]) == [0.333, 0.333, 0.333, 0.0]


def test_documents_that_are_right_as_a_whole_and_values_that_stand_in_them() -> None:
    text = "Number A-1, in euros"
    answers: list[Json] = [{"number": "A-1", "currency": "EUR"}, {"number": "Z-9", "currency": "EUR"}]
    gold: Json = {"number": "A-1", "currency": "EUR"}
    scores = score_extractions([Extraction(one, gold, place(one, SCHEMA, document(text))) for one in answers])
    assert (scores.whole.value, scores.whole.n) == (0.5, 2)
    assert scores.grounded is not None
    assert (scores.grounded.value, scores.grounded.n) == (0.5, 2)
    with pytest.raises(ValueError, match="no extractions"):
        score_extractions([])
