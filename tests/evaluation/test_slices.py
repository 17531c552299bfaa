"""Slices: which parts of the rows there are, and what they are worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from journeyman.core.example import Target as Answer
from journeyman.core.example import ToolCall, object_target
from journeyman.evaluation.gate import Score
from journeyman.evaluation.run import Row
from journeyman.evaluation.slices import LEAST, find_slices


def _rows(n: int) -> list[Row]:
    """Half are refunds; every third has an amount; the first tenth is in Cyrillic letters and ten times as long."""
    rows = []
    for place in range(n):
        value = {"intent": "refund" if place % 2 else "other", "note": f"note {place}"}
        if place % 3 == 0:
            value["amount"] = "ten"
        text = "привет " * 40 if place < n // 10 else "hello " * (1 + place % 5)
        rows.append(Row(str(place), {"text": text}, object_target(value), None))
    return rows


def test_parts_by_value_presence_length_and_script() -> None:
    rows = _rows(200)
    scores = [Score(0.0 if place < 20 else 1.0) for place in range(200)]
    found = {item.name: item for item in find_slices(rows, scores)}
    assert set(found) == {
        'intent = "refund"',
        'intent = "other"',
        "amount is given",
        'amount = "ten"',
        "shortest quarter",
        "longest quarter",
        "in Cyrillic letters",
        "in Latin letters",
    }
    worst = next(iter(found.values()))
    assert (worst.name, worst.score.value, worst.score.n, worst.is_low) == ("in Cyrillic letters", 0.0, 20, True)
    assert worst.difference is None
    assert not found["in Latin letters"].is_low
    assert found['intent = "refund"'].score.value == pytest.approx(0.9)


def test_the_teacher_stands_beside_the_student_where_there_is_one() -> None:
    scores = [Score(float(place % 4 > 0), 1.0, weight=2.0) for place in range(120)]
    found = find_slices(_rows(120), scores)
    assert all(item.difference is not None for item in found)
    for item in found:
        assert item.difference is not None
        assert item.difference.value == pytest.approx(item.score.value - 1)


def test_tool_calls_are_parts_and_few_rows_are_none() -> None:
    rows = [
        Row(
            str(place), {"text": "x"}, Answer("tool_calls", tool_calls=(ToolCall("1", f"tool{place % 2}", "{}"),)), None
        )
        for place in range(40)
    ]
    assert {item.name for item in find_slices(rows, [Score(1.0)] * 40)} == {"calls tool0", "calls tool1"}
    assert find_slices(_rows(LEAST - 1), [Score(1.0)] * (LEAST - 1)) == []
    assert find_slices([], []) == []


def test_near_copies_widen_a_slice() -> None:
    rows = _rows(200)
    scores = [Score(float(place % 40 < 20)) for place in range(200)]
    grouped = [replace(score, group=str(place // 20)) for place, score in enumerate(scores)]
    alone = {item.name: item.score for item in find_slices(rows, scores)}['intent = "refund"']
    together = {item.name: item.score for item in find_slices(rows, grouped)}['intent = "refund"']
    assert together.interval.high - together.interval.low > alone.interval.high - alone.interval.low


def test_all_intervals_of_a_table_hold_together() -> None:
    """Where most slices are small and nearly all right."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(60):
        rows = [
            Row(str(place), {"text": "x"}, object_target({"kind": f"k{place % 12}"}), None) for place in range(12 * 25)
        ]
        scores = [Score(float(rng.random() < 0.95), 1.0) for _ in rows]
        found = find_slices(rows, scores)
        assert len(found) == 12
        pairs = [(item.score, 0.95) for item in found]
        pairs += [(item.difference, -0.05) for item in found if item.difference is not None]
        missed += any(not part.interval.low <= truth <= part.interval.high for part, truth in pairs)
    assert missed <= 8, "5 % of 60 tables, and three standard errors"
