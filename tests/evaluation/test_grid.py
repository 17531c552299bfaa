"""Cells, rows and paired differences of a grid: known answers, and a simulation of how often any interval of a grid misses."""

from __future__ import annotations

import random
from math import sqrt

import pytest

from journeyman.core.errors import GateError
from journeyman.core.example import object_target
from journeyman.evaluation.comparison import Comparison, describe_cell, describe_difference, describe_disagreement
from journeyman.evaluation.comparison_page import render_page
from journeyman.evaluation.grid import (
    ERROR,
    Cell,
    compare_cells,
    compare_scores,
    draw_rows,
    find_disagreements,
    make_cells,
    score_answers,
    split_rows,
)
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.intervals import Paired, tango
from journeyman.measure.metrics import METRICS
from journeyman.task.grid import Grid
from journeyman.task.task import Task

EXACT = METRICS["exact_match"]
TASK = Task("paint", "Name it.", {"line": {"type": "string"}}, {"type": "object", "properties": {"colour": {}}})


def make_rows(count: int, *, groups: int = 0, times: int = 1) -> list[Row]:
    """Rows that expect their own number; in ``groups`` groups, or each alone."""
    return [
        Row(
            f"{place:04}",
            {"line": f"<b>{place}</b>"},
            object_target({"colour": place}),
            None,
            times,
            f"g{place % groups}" if groups else "",
        )
        for place in range(count)
    ]


def answer(rows: list[Row], right: set[int], problems: set[int] = frozenset()) -> Predictions:  # type: ignore[assignment]
    items = [
        Prediction(row.hash, "?", None, problem="not JSON")
        if place in problems
        else Prediction(row.hash, "{}", object_target({"colour": place if place in right else -1}), latency_ms=2.0)
        for place, row in enumerate(rows)
    ]
    return Predictions("m", tuple(items))


def test_cells_are_the_product_and_a_student_has_no_other_prompt() -> None:
    grid = Grid({"own": None, "short": "Colour?"}, ("base", "student"), (0, 4), (0.0, 0.5), 100, 0)
    cells = make_cells(grid)
    assert [cell.number for cell in cells] == list(range(1, 11))
    assert [cell.name for cell in cells[:3]] == ["base own, 0 shots", "base own, 0 shots T=0.5", "base own, 4 shots"]
    assert [cell.name for cell in cells if cell.model == "student"] == ["student as tuned", "student as tuned T=0.5"]


def test_rows_are_one_of_each_group_first_and_always_the_same() -> None:
    rows = [*make_rows(40, groups=10), Row("x", {"line": "?"}, None, None)]
    drawn = draw_rows(rows, 12)
    assert len(drawn) == 12
    assert {row.group for row in drawn[:10]} == {f"g{n}" for n in range(10)}
    assert drawn == draw_rows(rows[::-1], 12)
    assert drawn != draw_rows(rows, 12, seed=1)
    assert len(draw_rows(rows, 1000)) == 40, "a row without an expected answer scores nothing"


def test_no_group_is_in_both_halves() -> None:
    rows = make_rows(60, groups=11)
    one, other = split_rows(rows)
    assert {row.group for row in one} | {row.group for row in other} == {row.group for row in rows}
    assert not {row.group for row in one} & {row.group for row in other}
    assert len({row.group for row in one}) == 6
    assert (one, other) == split_rows(rows)


def test_a_difference_is_paired_and_has_its_part_of_the_error() -> None:
    rows = make_rows(50)
    scores = {
        1: score_answers(EXACT, rows, answer(rows, set(range(20)))),
        2: score_answers(EXACT, rows, answer(rows, set(range(3, 32)))),
        3: score_answers(EXACT, rows, answer(rows, set(range(20)))),
    }
    found = compare_cells(EXACT, rows, scores, 1, 1.0)
    assert set(found) == {2, 3}
    assert found[2].value == pytest.approx(9 / 50)
    assert found[2].counts == Paired(17, 12, 3, 18)
    wanted = tango(Paired(17, 12, 3, 18), ERROR / 2)
    assert (found[2].low, found[2].high) == pytest.approx((wanted.low, wanted.high))
    assert found[2].method == "tango"
    same = found[3]
    assert same.value == 0
    assert same.low < 0 < same.high, "equal answers on fifty rows are not proof that two cells are equal"


def test_an_unreadable_answer_is_a_wrong_one() -> None:
    rows = make_rows(6)
    assert score_answers(EXACT, rows, answer(rows, set(range(6)), {1, 4})) == [1, 0, 1, 1, 0, 1]
    with pytest.raises(GateError, match="JM-603"):
        score_answers(EXACT, rows, answer(rows[1:], set()))


def test_near_copies_are_one_draw() -> None:
    rows = make_rows(50, groups=5)
    found = compare_scores(EXACT, rows, [1.0] * 50, [0.0] * 50, 0.05, 10.0)
    alone = compare_scores(EXACT, make_rows(50), [1.0] * 50, [0.0] * 50, 0.05, 1.0)
    assert (found.groups, found.method) == (5, "betting")
    assert (alone.groups, alone.method) == (50, "tango")
    assert found.low < alone.low, "five groups show less than fifty rows"
    with pytest.raises(GateError, match="JM-605"):
        compare_scores(EXACT, rows[:1], [1.0], [0.0], 0.05, 1.0)


def test_disagreements_come_from_both_sides_in_turn() -> None:
    rows = make_rows(8)
    first, second = answer(rows, {0, 1, 2, 7}), answer(rows, {4, 7})
    scores = score_answers(EXACT, rows, first), score_answers(EXACT, rows, second)
    found = find_disagreements(rows, first, second, scores)
    assert [item.row.hash for item in found] == ["0000", "0004", "0001", "0002"]
    assert found[1].scores == (0, 1)
    assert not find_disagreements(rows, first, first, (scores[0], scores[0]))


def _page() -> tuple[Comparison, str]:
    rows = make_rows(8)
    first, second = answer(rows, {0, 1}, {5}), answer(rows, {4, 5, 6})
    scores = {1: score_answers(EXACT, rows, first), 2: score_answers(EXACT, rows, second)}
    found = compare_cells(EXACT, rows, scores, 1, 1.0)
    cells = [Cell(1, "own", "base", 0, 0.0), Cell(2, "<short>", "base", 4, 0.0)]
    comparison = Comparison(
        task="paint",
        dataset="d",
        metric="exact_match",
        rows=8,
        groups=8,
        baseline=1,
        instructions={"own": "Name it.", "<short>": "<script>alert(1)</script>"},
        cells=tuple(
            describe_cell(cell, {"exact_match": EXACT}, rows, given, found.get(cell.number))
            for cell, given in zip(cells, (first, second), strict=True)
        ),
        pair=(1, 2),
        disagreed=5,
        disagreements=tuple(
            describe_disagreement(TASK, item)
            for item in find_disagreements(rows, first, second, (scores[1], scores[2]))
        ),
    )
    return comparison, render_page(comparison, "today")


def test_the_page_is_escaped_and_needs_no_network() -> None:
    comparison, page = _page()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;0&lt;/b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert comparison.cell(1).unreadable == 1
    assert comparison.cell(2).difference is not None
    assert describe_difference(comparison.cell(2).difference) in page  # type: ignore[arg-type]
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison


def _misses(error: float | None, draws: int, cells: int = 6, rows: int = 60) -> float:
    """The share of grids in which any interval misses the true difference; ``error`` of each interval, else what `compare_cells` gives it."""
    draw, given, missed = random.Random(3), make_rows(rows), 0
    shares = [0.5 + 0.05 * cell for cell in range(cells)]
    for _ in range(draws):
        hardness = [draw.random() for _ in given]
        scores = {
            cell: [float((0.5 * hard + 0.5 * draw.random()) < _cut(share)) for hard in hardness]
            for cell, share in enumerate(shares)
        }
        if error is None:
            found = compare_cells(EXACT, given, scores, 0, 1.0)
        else:
            found = {
                cell: compare_scores(EXACT, given, scores[cell], scores[0], error, 1.0) for cell in range(1, cells)
            }
        truth = {cell: shares[cell] - shares[0] for cell in found}
        missed += any(not item.low <= truth[cell] <= item.high for cell, item in found.items())
    return missed / draws


def _cut(share: float) -> float:
    """Below which the mean of two uniform draws lies with chance ``share``."""
    return sqrt(share / 2) if share <= 0.5 else 1 - sqrt((1 - share) / 2)


def test_all_intervals_of_a_grid_hold_together() -> None:
    draws = 400
    slack = 3 * sqrt(ERROR * (1 - ERROR) / draws)
    assert _misses(None, draws) <= ERROR + slack
    assert _misses(ERROR, draws) > ERROR + slack, "each at 95 % by itself misses somewhere far more often"
