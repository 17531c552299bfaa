"""Answers of tasks: what they cite is checked, what stands nowhere leaves, and saying nothing is an answer."""

from __future__ import annotations

import pytest

from journeyman.core.canonical import Json
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.ground.task_answers import Grounded, Ungrounded, ground, is_absent, is_blank

PASSAGES = (
    Passage(1, "returns.md", 100, "Goods may be sent back within thirty days."),
    Passage(2, "hours.md", 0, "We are open from nine to five."),
)
ABSENT = "Not in the documents."


def hold(value: Json, ungrounded: Ungrounded = "drop") -> Grounded:
    return ground(value, PASSAGES, ungrounded, ABSENT)


def test_a_quote_has_its_place_in_the_document() -> None:
    found = hold({"answer": "30 days", "source": {"passage": 1, "quote": "within thirty days"}})
    (citation,) = found.citations
    assert (citation.document, citation.start, citation.end, citation.status) == ("returns.md", 123, 141, "exact")
    assert found.problem == ""
    assert not found.is_absent


def test_wrong_citations_are_dropped_from_a_list_and_are_null_elsewhere() -> None:
    wrong, right = {"passage": 2, "quote": "on the moon"}, {"passage": 2, "quote": "from nine to five"}
    assert hold({"sources": [wrong, right]}).value == {"sources": [right]}
    assert hold({"answer": "x", "source": wrong}).value == {"answer": "x", "source": None}
    assert hold(wrong | {"sure": True}).value == {"passage": None, "quote": None, "sure": True}
    assert hold({"sources": [wrong, right]}, "mark").value == {"sources": [wrong, right]}
    refused = hold({"sources": [right, wrong]}, "refuse")
    assert refused.problem == "what sources.1 cites stands in none of the passages"


def test_a_number_that_was_not_given_is_no_citation() -> None:
    assert hold({"source": {"passage": 9, "quote": "within fourteen days"}}).value == {"source": None}
    assert hold({"source": {"passage": True, "quote": "within thirty days"}}).citations == ()


def test_a_number_without_a_quote_is_held_against_the_other_texts() -> None:
    assert hold({"text": "Goods may be sent back within thirty days.", "passage": 1}).citations[0].document
    assert hold([{"text": "Cheese grows on trees in April.", "passage": 1}]).value == []


@pytest.mark.parametrize(
    "value",
    [None, {"answer": None, "sources": []}, {"answer": " "}, [], {"a": {"b": [None, ""]}}, {"passage": 0, "quote": ""}],
)
def test_an_object_in_which_nothing_is_said_is_absent(value: Json) -> None:
    assert is_blank(value)
    assert hold(value, "refuse").is_absent
    assert hold(value, "refuse").problem == ""


@pytest.mark.parametrize(
    "value",
    [{"answer": 0}, {"answer": False}, {"passage": 0, "quote": "x"}, {"passage": 1, "quote": ""}, {"a": ["", "x"]}],
)
def test_zero_and_false_say_something(value: Json) -> None:
    assert not is_blank(value)


def test_text_cites_by_numbers() -> None:
    found = hold("Goods may be sent back within thirty days [1]. We are open from nine to five [2].")
    assert [citation.document for citation in found.citations] == ["returns.md", "hours.md"]
    refused = hold("Goods may be sent back within thirty days [1]. Cheese grows on trees in April [2].", "refuse")
    assert refused.problem.startswith("no passage that it cites says: Cheese")
    assert is_absent("not in the documents", ABSENT)
    assert hold("Not in the documents.", "refuse").is_absent
