"""The gate: its rule, its refusals, and how often it passes what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.errors import GateError
from journeyman.core.example import Target, object_target
from journeyman.evaluation.gate import Score, Verdict, decide, score_rows
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.betting import betting_interval
from journeyman.measure.intervals import Paired, clopper_pearson, tango
from journeyman.measure.metrics import METRICS, MetricKind
from journeyman.task.task import Gate

TEACHER = Gate(against="teacher", margin=0.05)
FLOOR = Gate(against="floor", margin=None, floor=0.9)
AGREEMENT = Gate(against="agreement", margin=0.1)


def paired_scores(n11: int, n10: int, n01: int, n00: int) -> list[Score]:
    return (
        [Score(True, True)] * n11
        + [Score(True, False)] * n10
        + [Score(False, True)] * n01
        + [Score(False, False)] * n00
    )


def plain_scores(right: int, wrong: int) -> list[Score]:
    return [Score(True)] * right + [Score(False)] * wrong


def test_teacher_gate_reports_tango_at_the_level_of_the_look() -> None:
    verdict = decide(TEACHER, paired_scores(290, 10, 12, 8), 0.02)
    interval = tango(Paired(290, 10, 12, 8), 0.02, sides=1)
    assert (verdict.low, verdict.high) == (interval.low, interval.high)
    assert verdict.difference == pytest.approx(-2 / 320)
    assert (verdict.verdict, verdict.method, verdict.n, verdict.needed) == ("pass", "tango", 320, None)
    assert verdict.counts == Paired(290, 10, 12, 8)
    drawn = tango(Paired(290, 10, 12, 8))
    assert (verdict.low_95, verdict.high_95, verdict.groups) == (drawn.low, drawn.high, 320)
    assert (verdict.margin, verdict.floor) == (0.05, None)


@pytest.mark.parametrize(
    ("gate", "scores", "expected"),
    [
        (TEACHER, paired_scores(300, 10, 5, 5), "pass"),
        (TEACHER, paired_scores(200, 2, 100, 18), "fail"),
        (TEACHER, paired_scores(60, 5, 6, 9), "inconclusive"),
        (TEACHER, paired_scores(20, 0, 0, 0), "inconclusive"),
        (FLOOR, plain_scores(310, 10), "pass"),
        (FLOOR, plain_scores(200, 120), "fail"),
        (FLOOR, plain_scores(19, 1), "inconclusive"),
        (AGREEMENT, plain_scores(310, 10), "pass"),
        (AGREEMENT, plain_scores(200, 120), "fail"),
    ],
)
def test_each_rule_has_its_three_verdicts(gate: Gate, scores: list[Score], expected: str) -> None:
    verdict = decide(gate, scores, 0.02)
    assert verdict.verdict == expected
    assert (verdict.needed is not None) == (expected == "inconclusive")


def test_floor_and_agreement_report_the_share_itself() -> None:
    verdict = decide(FLOOR, plain_scores(310, 10), 0.02)
    interval = clopper_pearson(310, 320, 0.02, sides=1)
    assert (verdict.difference, verdict.low, verdict.high) == (310 / 320, interval.low, interval.high)
    assert verdict.counts is not None
    assert (verdict.margin, verdict.floor, verdict.counts.n01) == (None, 0.9, 10)
    agreement = decide(AGREEMENT, plain_scores(310, 10), 0.02)
    assert (agreement.low, agreement.margin) == (interval.low, 0.1)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) >= 2), st.floats(0.005, 0.2))
def test_the_verdict_follows_from_its_own_figures(counts: tuple[int, int, int, int], level: float) -> None:
    verdict = decide(TEACHER, paired_scores(*counts), level)
    assert verdict.low <= verdict.difference <= verdict.high
    assert (verdict.verdict == "pass") == (verdict.low >= -0.05)
    assert (verdict.verdict == "fail") == (verdict.high < -0.05)


def test_equal_counts_decide_as_distinct_rows() -> None:
    once = decide(TEACHER, paired_scores(90, 3, 3, 4), 0.02)
    thrice = decide(TEACHER, [Score(item.candidate, item.reference, 3) for item in paired_scores(90, 3, 3, 4)], 0.02)
    assert once == thrice


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 6)), min_size=2, max_size=80))
def test_unequal_counts_weigh_the_difference_and_widen_the_bounds(rows: list[tuple[bool, bool, int]]) -> None:
    scores = [Score(*row) for row in rows] + [Score(True, True, 1), Score(True, True, 2)]
    verdict = decide(TEACHER, scores, 0.02, heaviest=6)
    total = sum(score.weight for score in scores)
    weighted = sum(score.weight * (score.candidate - bool(score.reference)) for score in scores) / total
    assert verdict.method == "betting"
    assert verdict.difference == pytest.approx(weighted)
    assert verdict.low <= weighted + 1e-9
    assert verdict.high >= weighted - 1e-9
    assert verdict.n == len(scores)


def test_a_weighted_gate_can_pass_and_fail() -> None:
    good = [Score(True, True, 1 + index % 2) for index in range(800)]
    assert decide(TEACHER, good, 0.02, heaviest=2).verdict == "pass"
    bad = [Score(index % 3 != 0, True, 1 + index % 2) for index in range(800)]
    assert decide(TEACHER, bad, 0.02, heaviest=2).verdict == "fail"
    few = decide(TEACHER, good[:60], 0.02, heaviest=2)
    assert few.verdict == "inconclusive"
    floor = [Score(True, None, 1 + index % 2) for index in range(800)]
    assert decide(FLOOR, floor, 0.02, heaviest=2).verdict == "pass"
    assert decide(FLOOR, floor, 0.02).method == "clopper_pearson", "each counts one at the most"


def test_rows_of_a_group_are_one_draw() -> None:
    plain = paired_scores(290, 10, 12, 8)
    grouped = [replace(score, group=str(index // 4)) for index, score in enumerate(plain)]
    verdict, alone = decide(TEACHER, grouped, 0.02), decide(TEACHER, plain, 0.02)
    assert (verdict.method, verdict.n, verdict.groups, verdict.counts) == ("betting", 320, 80, alone.counts)
    assert verdict.difference == pytest.approx(alone.difference)
    assert verdict.low < alone.low
    assert verdict.high > alone.high
    copies = decide(
        TEACHER, [replace(score, group=str(index % 80)) for index, score in enumerate(plain[240:] * 4)], 0.02
    )
    once = np.array([score.candidate - (score.reference or 0) for score in plain[240:]], dtype=np.float64)
    bound = betting_interval(once, np.ones(80), 0.02, -1.0, 1.0)
    assert (copies.low, copies.high) == (pytest.approx(bound.low), pytest.approx(bound.high))
    assert {decide(TEACHER, [replace(item, group="one") for item in plain], 0.02).verdict} == {"inconclusive"}


def test_graded_scores_decide_by_the_bound_that_holds_for_them() -> None:
    gate = Gate(metric="row_f1", margin=0.05)
    close = [Score(0.5 + 0.4 * (index % 2), 0.5 + 0.4 * (index % 2)) for index in range(400)]
    verdict = decide(gate, close, 0.02, "graded")
    assert (verdict.verdict, verdict.method, verdict.counts, verdict.difference) == ("pass", "betting", None, 0.0)
    worse = [replace(score, candidate=score.candidate - 0.4) for score in close]
    assert decide(gate, worse, 0.02, "graded").verdict == "fail"
    few = decide(gate, close[:30], 0.02, "graded")
    assert few.verdict == "inconclusive"
    assert few.needed is not None
    assert few.needed > 60, "what the largest stake takes"


@pytest.mark.parametrize(
    ("gate", "scores", "level", "code", "text"),
    [
        (TEACHER, [Score(True, True)], 0.02, "JM-605", "at least two rows"),
        (TEACHER, [], 0.02, "JM-605", "got: 0"),
        (Gate(margin=None), paired_scores(2, 0, 0, 0), 0.02, "JM-606", "needs a margin"),
        (Gate(against="floor", floor=None), plain_scores(2, 0), 0.02, "JM-606", "`gate.floor`"),
        (TEACHER, plain_scores(2, 0), 0.02, "JM-607", "a reference"),
        (FLOOR, paired_scores(2, 0, 0, 0), 0.02, "JM-607", "no reference"),
        (TEACHER, paired_scores(2, 0, 0, 0), 0.7, "JM-608", "got: 0.7"),
        (TEACHER, [Score(0.5, 1), Score(1, 1)], 0.02, "JM-607", "0 or 1"),
        (TEACHER, [Score(1, 1, 0.0), Score(1, 1)], 0.02, "JM-607", "weight above 0"),
    ],
)
def test_refusals_say_what_is_missing(gate: Gate, scores: list[Score], level: float, code: str, text: str) -> None:
    with pytest.raises(GateError, match=code) as caught:
        decide(gate, scores, level)
    assert text in str(caught.value)


EXACT = METRICS["exact_match"]


@pytest.mark.parametrize(
    ("scores", "kind", "text"),
    [
        ([Score(float("nan"), 1), Score(1, 1)], "graded", "scores from 0 to 1"),
        ([Score(1.5, 1), Score(1, 1)], "graded", "scores from 0 to 1"),
        (paired_scores(2, 0, 0, 0), "ratio", "a ratio over all rows"),
    ],
)
def test_scores_fit_their_kind(scores: list[Score], kind: MetricKind, text: str) -> None:
    with pytest.raises(GateError, match="JM-607") as caught:
        decide(TEACHER, scores, 0.02, kind)
    assert text in str(caught.value)


YES, NO = object_target({"a": 1}), object_target({"a": 2})


def predictions(rows: Sequence[Row], targets: Sequence[Target | None]) -> Predictions:
    items = tuple(Prediction(row.hash, "", target) for row, target in zip(rows, targets, strict=True))
    return Predictions("student", items)


def test_each_rule_scores_the_rows_that_fit_it() -> None:
    rows = [
        Row("1", {}, gold=YES, teacher=NO),
        Row("2", {}, gold=None, teacher=YES),
        Row("3", {}, gold=YES, teacher=None, count=4),
        Row("4", {}, gold=YES, teacher=YES),
    ]
    got = predictions(rows, [YES, NO, YES, None])
    assert score_rows(TEACHER, EXACT, rows, got) == (Score(True, False), Score(False, True))
    assert score_rows(FLOOR, EXACT, rows, got) == (Score(True), Score(True, None, 4), Score(False))
    assert score_rows(AGREEMENT, EXACT, rows, got) == (Score(False), Score(False), Score(False))
    assert score_rows(Gate(metric="valid"), METRICS["valid"], rows, got) == (Score(True, True), Score(False, True))


def test_rows_that_cannot_decide_are_refused_with_the_next_step() -> None:
    rows = [Row("1", {}, gold=None, teacher=YES), Row("2", {}, gold=None, teacher=YES)]
    with pytest.raises(GateError, match="JM-604") as caught:
        score_rows(TEACHER, EXACT, rows, predictions(rows, [YES, YES]))
    assert "both `gold` and a recorded answer" in str(caught.value)
    assert "agreement" in str(caught.value)
    with pytest.raises(GateError, match="JM-603"):
        score_rows(TEACHER, EXACT, rows, predictions(rows[:1], [YES]))


@pytest.mark.parametrize(
    ("gate", "gold", "teacher", "steps", "never"),
    [
        (TEACHER, None, YES, ("journeyman label TASK --draw N", "against: agreement"), "floor"),
        (TEACHER, YES, None, ("import rows with a recorded answer", "against: floor"), "label"),
        (FLOOR, None, YES, ("import rows with gold", "against: agreement"), "label"),
        (FLOOR, None, None, ("import rows with gold",), "set"),
        (AGREEMENT, YES, None, ("import rows with a recorded answer", "against: floor"), "label"),
    ],
)
def test_the_next_step_fits_the_gate_and_what_is_there(
    gate: Gate, gold: Target | None, teacher: Target | None, steps: tuple[str, ...], never: str
) -> None:
    rows = [Row(name, {}, gold, teacher) for name in "12"]
    with pytest.raises(GateError, match="JM-604") as caught:
        score_rows(gate, EXACT, rows, predictions(rows, [YES, YES]))
    assert all(step in caught.value.hint for step in steps)
    assert never not in caught.value.hint
    with pytest.raises(GateError, match="JM-605") as few:
        decide(gate, [], 0.02)
    assert ("label" in few.value.hint) == (gate == TEACHER)


def simulate(rng: np.random.Generator, n: int, margin: float, p10: float, weighted: bool) -> list[Score]:
    """Rows whose truth sits exactly at the margin; the repeated rows are no better or worse than the others."""
    kinds = rng.choice(4, size=n, p=[0.8 - p10 - margin, p10, p10 + margin, 0.2 - p10])
    counts = rng.choice([1, 3], size=n, p=[0.8, 0.2]) if weighted else np.ones(n, dtype=int)
    return [
        Score(kind in (0, 1), kind in (0, 2), float(count)) for kind, count in zip(kinds.tolist(), counts, strict=True)
    ]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("runs", "n"), [(200, 120), pytest.param(3000, 320, marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_false_passes_at_the_margin_keep_the_level(runs: int, n: int, weighted: bool) -> None:
    level, rng = 0.1 if runs < 1000 else 0.02, np.random.default_rng(17)
    if weighted and runs > 1000:
        runs = 300
    known: dict[tuple[int, ...], Verdict] = {}
    passes = 0
    for _ in range(runs):
        scores = simulate(rng, n, 0.05, 0.05, weighted)
        if weighted:
            verdict = decide(TEACHER, scores, level, heaviest=3)
        else:
            pairs = [(score.candidate, score.reference) for score in scores]
            key = tuple(pairs.count(kind) for kind in ((True, False), (False, True), (True, True)))
            verdict = known[key] if key in known else decide(TEACHER, scores, level)
            known[key] = verdict
        passes += verdict.verdict == "pass"
    assert passes / runs <= level + 3 * np.sqrt(level * (1 - level) / runs)
