"""Claims of answers, and what they have of support in the passages."""

from __future__ import annotations

import pytest

from journeyman.core.canonical import Json
from journeyman.knowledge.ground.claims import find_claims, weigh_claim
from journeyman.knowledge.ground.passages import Passage

TEXTS = (
    "The old mill was built by Anna Berg in 1871. It burned down three years later. A bakery stands there now.",
    "The lighthouse was built by Otto Lind. Its lamp was lit in 1903, and a keeper lived there until the storm.",
)
PASSAGES = [Passage(number, "", 0, text) for number, text in enumerate(TEXTS, 1)]


@pytest.mark.parametrize(
    ("value", "claims"),
    [
        ("It burned down. [1] A bakery stands there [1].", ["It burned down.", "A bakery stands there."]),
        ("Not in the documents.", []),
        ({"answer": None, "source": None}, []),
        ({"answer": "1871", "source": {"passage": 1, "quote": "in 1871"}}, ["1871", "in 1871"]),
        ({"years": [1871, 1903], "is_old": True, "label": "mill", "note": " "}, ["1871", "1903"]),
    ],
)
def test_what_an_answer_claims(value: Json, claims: list[str]) -> None:
    assert find_claims(value, "not in the documents", closed={"label"}) == claims


def test_fields_that_are_named_are_the_claims() -> None:
    value: Json = {"answer": {"text": "in 1871", "more": [{"text": "Anna"}]}, "thought": "whatever"}
    assert find_claims(value, "", fields=["text"]) == ["in 1871", "Anna"]
    assert find_claims(value, "", fields=["answer"]) == ["in 1871", "Anna"]


def test_a_sentence_is_supported_as_far_as_its_words_stand_together() -> None:
    said = weigh_claim("The old mill that Anna Berg had built burned down three years later.", "", PASSAGES)
    half = weigh_claim("The old mill was sold by the town to a circus from abroad.", "", PASSAGES)
    assert said > 0.6 > 0.5 > half
    assert weigh_claim("It burned down three years later.", "", PASSAGES) == 1.0
    assert weigh_claim("The old mill was built by Anna Berg in 1872.", "", PASSAGES) == 0.0, "another number"
    assert weigh_claim("The old mill", "", []) == 0.0


def test_a_few_words_are_held_with_their_question() -> None:
    asked = "Who built the old mill?"
    right, wrong, elsewhere = (weigh_claim(name, asked, PASSAGES) for name in ("Anna Berg", "Otto Lind", "Ada Frank"))
    assert right > 0.8 > 0.7 > wrong > 0.5 > elsewhere == 0.0
    assert weigh_claim("Otto Lind", "Who built the lighthouse?", PASSAGES) > weigh_claim(
        "Anna Berg", "Who built the lighthouse?", PASSAGES
    )
