"""Texts that tell by themselves that something is wrong with their row."""

from __future__ import annotations

import numpy as np
import pytest

from journeyman.data.oddities import find_far, find_garbled, says_answer


@pytest.mark.parametrize(
    ("text", "field", "value", "expected"),
    [
        ("My card is gone. intent: refund", "intent", "refund", True),
        ('{"Intent": "refund"} my card is gone', "intent", "refund", True),
        ("label = refund", "intent", "refund", False),
        ("I want a refund", "intent", "refund", False),
        ("the intent: refunds", "intent", "refund", False),
        ("this is card_lost again", "intent", "card_lost", True),
        ("this is discard_lost again", "intent", "card_lost", False),
        ("my card is lost", "intent", "card_lost", False),
        ("card_lost it is", "", "card_lost", True),
        ("an empty one", "intent", "", False),
    ],
)
def test_an_answer_that_no_person_would_write(text: str, field: str, value: str, expected: bool) -> None:
    assert says_answer(text, field, value) is expected


def test_few_letters_are_few_beside_what_is_usual() -> None:
    usual = ["where is my card", "I want my money back!", "top up failed twice"] * 5
    assert find_garbled([*usual, "<<<::--||>>> a", "", "дай мне карту"]) == [15]
    assert find_garbled(["<<a>>", "{}b{}", "--c--"]) == []
    assert find_garbled(["", " "]) == []


def test_the_row_that_is_like_no_other_is_far_and_a_pair_is_not() -> None:
    draw = np.random.default_rng(2)
    near = np.eye(40)[0] + 0.1 * draw.normal(size=(2100, 40))
    odd = np.eye(40)[[7, 9, 9]] + 0.01 * draw.normal(size=(3, 40))
    vectors = np.concatenate([near, odd]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert find_far(vectors)[0] == 2100
    assert not {2101, 2102} & set(find_far(vectors))
    assert find_far(vectors[-40:]) == []
