"""What is asked in several sentences."""

from __future__ import annotations

import pytest

from journeyman.knowledge.retrieve.parts import MOST_PARTS, Part, find_parts, join_parts
from journeyman.knowledge.retrieve.ranking import Hit


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("How long may goods be returned?", []),
        ("", []),
        ("Hello. Is it me? Who?", []),
        (
            "I bought a lamp from Dr. Berg in May. Until when may it be returned? Who pays the postage?",
            ["Until when may it be returned?", "Who pays the postage?", "I bought a lamp from Dr. Berg in May."],
        ),
        (
            "Rückgabe der Lampe?\nÖffnungszeiten im Winter?",
            ["Rückgabe der Lampe?", "Öffnungszeiten im Winter?"],
        ),
    ],
)
def test_sentences_that_look_for_something_those_that_ask_first(question: str, parts: list[str]) -> None:
    assert find_parts(question) == parts


def test_a_long_letter_is_searched_in_few_parts() -> None:
    letter = "My order number forty has not arrived yet. " * 50 + "Where does parcel forty stand?"
    parts = find_parts(letter)
    assert len(parts) == MOST_PARTS
    assert parts[0] == "Where does parcel forty stand?"


def hits(*ids: int) -> list[Hit]:
    return [Hit(id, 1 - place / 10) for place, id in enumerate(ids)]


def test_each_part_brings_its_best() -> None:
    whole = hits(5, 6, 7, 1, 2)
    one, other = Part("Who one?", hits(1, 5, 8), 0.8), Part("Who other?", hits(2, 6, 9), 0.6)
    assert [hit.id for hit in join_parts(whole, [one, other])][:2] == [1, 2]
    assert join_parts(whole, []) == whole
    assert join_parts(whole, [Part("?", [], 0.0)]) != []


def test_a_greeting_finds_nothing_and_a_statement_takes_no_question_away() -> None:
    whole = hits(5, 6)
    greeting, asked = Part("Thank you for your help.", hits(3, 4), 0.2), Part("Who one?", hits(1, 5), 0.6)
    assert 3 not in {hit.id for hit in join_parts(whole, [asked, greeting])}
    quoted = Part("This stands in a document.", hits(4, 5), 1.3)
    assert {hit.id for hit in join_parts(whole, [asked, quoted])} >= {1, 4}
