"""Drawn labels: weights that leave no bias, a bound that is fixed beforehand, and a gate that keeps its level at the margin."""

from __future__ import annotations

from itertools import combinations
from math import ceil, sqrt

import numpy as np
import pytest

from journeyman.core.example import object_target
from journeyman.evaluation.gate import decide
from journeyman.evaluation.labels import (
    Design,
    Frame,
    Truth,
    decide_labelled,
    expect_differing,
    make_frame,
    weigh,
)
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.intervals import Paired, clopper_pearson, tango
from journeyman.measure.metrics import METRICS
from journeyman.task.task import Gate

EXACT, GATE = METRICS["exact_match"], Gate(margin=0.05)
OURS, THEIRS, OTHER = (object_target({"a": value}) for value in "xyz")


def make_rows(differs: list[bool], counts: list[int] | None = None, groups: list[str] | None = None) -> Frame:
    """No gold anywhere; the teacher says THEIRS, the student the same or OURS."""
    n = len(differs)
    named = zip(counts or [1] * n, groups or [""] * n, strict=True)
    rows = tuple(Row(f"{place:04d}", {}, None, THEIRS, *more) for place, more in enumerate(named))
    return Frame(rows, tuple(OURS if item else THEIRS for item in differs), tuple(not item for item in differs))


def make_truths(frame: Frame, drawn: list[str], won: dict[str, int]) -> dict[str, Truth]:
    said: dict[int, Truth] = {1: OURS, -1: THEIRS, 0: "neither"}
    return {name: said[won[name]] for name in drawn}


def test_the_frame_is_every_row_with_a_recorded_answer() -> None:
    rows = [
        Row("1", {}, OURS, THEIRS),
        Row("2", {}, None, THEIRS),
        Row("3", {}, None, THEIRS),
        Row("4", {}, OURS, None),
        Row("3", {}, None, THEIRS),
        Row("0", {}, None, THEIRS),
    ]
    given = [OURS, THEIRS, OURS, OURS, OURS, None]
    predictions = Predictions("s", tuple(Prediction(row.hash, "", said) for row, said in zip(rows, given, strict=True)))
    frame = make_frame(EXACT, None, rows, predictions)
    assert [row.hash for row in frame.rows] == ["1", "2", "3", "3", "0"]
    assert frame.differing == ["0", "3"], "a copy is one; what is not readable differs; gold needs nobody"
    other = [OURS, THEIRS, OTHER, OURS, OTHER, None]
    changed = Predictions("s", tuple(Prediction(row.hash, "", said) for row, said in zip(rows, other, strict=True)))
    assert make_frame(EXACT, None, rows, changed).answers != frame.answers


def test_scores_of_what_people_said() -> None:
    frame = make_rows([True] * 5 + [False])
    truths: dict[str, Truth] = {"0000": OURS, "0001": THEIRS, "0002": "both", "0003": "neither", "0004": OTHER}
    weighed = weigh(EXACT, frame, truths, Design(5, 5, 5), 1.0)
    assert [(score.candidate, score.reference) for score in weighed.scores] == [
        (1, 0),
        (0, 1),
        (1, 1),
        (0, 0),
        (0, 0),
        (1, 1),
    ]
    graded = weigh(METRICS["row_f1"], frame, {"0000": object_target({"a": "x", "b": 1})}, Design(1, 5, 5), 1.0)
    assert graded.scores[0].candidate == pytest.approx(2 / 3)
    assert [score.weight for score in graded.scores] == [5.0, 1.0], "undrawn rows that differ have no score"


def test_over_all_draws_the_estimate_is_that_of_labelling_everything() -> None:
    """Counts and groups, one of them cut: sums of weighted payoffs are unbiased, exactly."""
    frame = make_rows(
        [True, True, False, True, True, False, True, True],
        [1, 3, 2, 1, 4, 1, 2, 9],
        ["", "", "", "g", "g", "g", "h", "h"],
    )
    won = dict(zip(frame.differing, [1, -1, -1, 0, 1, -1], strict=True))
    heaviest = 5.0
    whole = weigh(EXACT, frame, make_truths(frame, frame.differing, won), Design(6, 6, 6), heaviest)

    def payoff(weighed: object) -> float:
        return sum(score.weight * (score.candidate - (score.reference or 0) + 0.05) for score in weighed.scores)  # type: ignore[attr-defined]

    for size in (1, 2, 4):
        draws = [
            weigh(EXACT, frame, make_truths(frame, list(chosen), won), Design(size, 6, 6), heaviest)
            for chosen in combinations(frame.differing, size)
        ]
        assert np.mean([payoff(weighed) for weighed in draws]) == pytest.approx(payoff(whole))
        for weighed in draws:
            by_group: dict[str, float] = {}
            for score in weighed.scores:
                by_group[score.group or str(id(score))] = by_group.get(score.group or str(id(score)), 0) + score.weight
            assert max(by_group.values()) <= heaviest * weighed.design.stretch + 1e-9, "never cut again"
            assert weighed.cut == whole.cut > 0


def test_what_a_row_may_weigh_is_told_beforehand() -> None:
    assert Design(30, 50, 60).stretch == 2, "by what dev let expect, not by how many came"
    assert Design(30, 90, 60).stretch == 3, "more differ than dev let expect"
    assert Design(60, 50, 60).stretch == 1
    assert (Design(30, 60, 60).probability, Design(30, 20, 60).probability, Design(5, 0, 3).probability) == (0.5, 1, 1)
    sealed, dev = make_rows([True, False] * 100), make_rows([True] * 5 + [False] * 45)
    assert expect_differing(sealed, dev) == ceil(200 * clopper_pearson(5, 50, 0.2, sides=1).high)
    assert expect_differing(sealed, Frame((), (), ())) == 200


def test_the_verdict_is_the_gates_with_weights_of_draws() -> None:
    frame = make_rows([True] * 40 + [False] * 260)
    drawn = frame.differing[:20]
    truths = make_truths(frame, drawn, dict.fromkeys(drawn, 1))
    weighed = weigh(EXACT, frame, truths, Design(20, 40, 60), 1.0)
    verdict = decide_labelled(GATE, weighed, 0.02, "binary")
    by_hand = decide(GATE, weighed.scores, 0.02, "binary", 3.0)
    assert (verdict.low, verdict.high, verdict.method) == (by_hand.low, by_hand.high, "betting")
    assert (verdict.verdict, verdict.counts, verdict.difference) == ("pass", None, pytest.approx(40 / 300))
    everything = make_truths(frame, frame.differing, dict.fromkeys(frame.differing, -1))
    full = decide_labelled(GATE, weigh(EXACT, frame, everything, Design(60, 40, 60), 1.0), 0.02, "binary")
    assert (full.method, full.low) == ("tango", tango(Paired(260, 0, 40, 0), 0.02, 1).low)


def test_needed_is_how_many_to_draw_further() -> None:
    def verdict(asked: int, losses: int, n: int = 1200, differing: int = 120) -> object:
        frame = make_rows([place < differing for place in range(n)])
        drawn = frame.differing[:asked]
        won = {
            name: -1 if place % 12 < losses else 1 if place % 12 < 2 * losses - 1 else 0
            for place, name in enumerate(drawn)
        }
        weighed = weigh(EXACT, frame, make_truths(frame, drawn, won), Design(asked, differing, differing + 10), 1.0)
        return decide_labelled(GATE, weighed, 0.02, "binary")

    few = verdict(12, 4)
    assert few.verdict == "inconclusive"  # type: ignore[attr-defined]
    needed = few.needed  # type: ignore[attr-defined]
    assert needed is not None
    assert 0 < needed < 108
    assert verdict(12 + needed, 4).verdict == "pass"  # type: ignore[attr-defined]
    small = verdict(12, 4, 140, 60)
    assert (small.verdict, small.needed) == ("inconclusive", None), "labels of all would not do"  # type: ignore[attr-defined]
    assert verdict(120, 4, 300, 120).needed is None, "nothing is left to draw"  # type: ignore[attr-defined]


def simulate(rng: np.random.Generator, n: int, share: float, asked: int, is_grouped: bool) -> bool:
    """Whether the gate passes a student at the margin: answers differ on ``share`` of rows, people label ``asked`` of these."""
    margin = GATE.margin or 0.0
    differs = rng.random(n) < share
    counts = rng.choice([1, 3], n).tolist() if is_grouped else None
    groups = [str(place // 2) for place in range(n)] if is_grouped else None
    frame = make_rows(differs.tolist(), counts, groups)
    dev = make_rows((rng.random(max(1, n // 4)) < share).tolist())
    design = Design(asked, len(frame.differing), expect_differing(frame, dev))
    drawn = rng.permutation(frame.differing)[:asked].tolist()
    lost = (1 + margin / share) / 2
    truths = make_truths(frame, drawn, {name: -1 if rng.random() < lost else 1 for name in drawn})
    weighed = weigh(EXACT, frame, truths, design, 6.0 if is_grouped else 1.0)
    return decide_labelled(GATE, weighed, 0.1, "binary").verdict == "pass"


@pytest.mark.parametrize(
    ("n", "share", "part", "is_grouped"), [(100, 0.1, 0.5, False), (800, 0.3, 0.25, False), (300, 0.3, 0.5, True)]
)
def test_false_passes_at_the_margin_keep_the_level(n: int, share: float, part: float, is_grouped: bool) -> None:
    runs, level = 60, 0.1
    rng = np.random.default_rng([n, 5])
    passes = sum(simulate(rng, n, share, ceil(part * share * n), is_grouped) for _ in range(runs))
    assert passes / runs <= level + 3 * sqrt(level * (1 - level) / runs)


@pytest.mark.bench
@pytest.mark.parametrize("n", [100, 300, 1000])
@pytest.mark.parametrize("share", [0.06, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("part", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("is_grouped", [False, True])
def test_false_passes_over_many_designs(n: int, share: float, part: float, is_grouped: bool) -> None:
    runs, level = 1000, 0.1
    rng = np.random.default_rng([n, 6])
    passes = sum(simulate(rng, n, share, max(1, ceil(part * share * n)), is_grouped) for _ in range(runs))
    assert passes / runs <= level + 3 * sqrt(level * (1 - level) / runs)
