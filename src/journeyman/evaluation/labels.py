"""Labels for the verdict: of the sealed rows on which student and teacher differ some are drawn, and people say which answer is right.

Where both answers score alike on any gold the difference is 0 and nobody needs to look. Rows with gold count as they are. Of the others, the differing ones,
simple random samples are drawn without replacement, one after the other; together they are one such sample, so that each row of those ``asked`` for so far was
drawn with probability asked / differing, or 1 where there are no more. What a row may weigh: docs/decisions/0007-labels-for-the-verdict.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np

from journeyman.core.canonical import Json, content_hash
from journeyman.core.example import Target
from journeyman.evaluation.gate import Score, Verdict, decide
from journeyman.evaluation.run import Predictions, Row
from journeyman.measure.intervals import Paired, clopper_pearson, tango
from journeyman.measure.metrics import Metric, MetricKind, Pair
from journeyman.measure.power import labels_to_draw
from journeyman.measure.sameness import find_same, score_targets
from journeyman.task.task import Gate, MetricSpec

Truth = Target | Literal["both", "neither"]
"""What people said: the right answer, or that both of the two are right, or neither."""
DEV_ERROR = 0.2
"""How often a share of sealed rows may lie above the bound that dev gives for it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rows with a recorded answer, in their order: the student's answer to each, and whether both answers score alike on any gold."""

    rows: tuple[Row, ...]
    given: tuple[Target | None, ...]
    is_alike: tuple[bool, ...]

    @property
    def differing(self) -> list[str]:
        """The rows that need a person, by hash: without gold, and the answers differ. Copies are one."""
        apart = {
            row.hash for row, alike in zip(self.rows, self.is_alike, strict=True) if row.gold is None and not alike
        }
        return sorted(apart)

    @property
    def answers(self) -> str:
        """Hash of what was compared: draws belong to these answers."""
        said: list[Json] = [
            [row.hash, given.to_json() if given else None] for row, given in zip(self.rows, self.given, strict=True)
        ]
        return content_hash(sorted(said, key=str))


@dataclass(frozen=True, slots=True)
class Design:
    """What was drawn: ``asked`` rows in all, of which ``differing`` there are; ``expected`` is what was foreseen before any sealed answer was seen."""

    asked: int
    differing: int
    expected: int

    @property
    def probability(self) -> float:
        return min(1.0, self.asked / self.differing) if self.differing else 1.0

    @property
    def stretch(self) -> float:
        """How much heavier than its count a drawn row may be: 1 / the smallest probability that was foreseen, or 1 / that of the draw where more rows differ."""
        return max(1.0, max(self.differing, self.expected) / self.asked)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Scores of the rows with gold, of those that are alike, and of those drawn (``is_drawn``). A group counts ``heaviest`` at the most. ``cut``: the share of calls that this moved from heavy groups to others."""

    scores: tuple[Score, ...]
    is_drawn: tuple[bool, ...]
    heaviest: float
    cut: float
    design: Design

    @property
    def scale(self) -> float:
        """What bounds the bets: no group's drawn weight is above it."""
        return self.heaviest * self.design.stretch


def make_frame(metric: Metric, spec: MetricSpec | None, rows: Sequence[Row], predictions: Predictions) -> Frame:
    """Raises: what the metric raises."""
    kept = [(row, item.target) for row, item in zip(rows, predictions.items, strict=True) if row.teacher is not None]
    pairs = [_pair(row, given) for row, given in kept]
    return Frame(
        tuple(row for row, _ in kept), tuple(given for _, given in kept), tuple(find_same(metric, spec, pairs))
    )


def expect_differing(sealed: Frame, dev: Frame) -> int:
    """How many sealed rows without gold may differ, told before any of their answers is seen: by the bound of dev's share, and all of them where dev says
    nothing."""
    rows = len({row.hash for row in sealed.rows if row.gold is None})
    n = len(dev.rows)
    share = clopper_pearson(n - sum(dev.is_alike), n, DEV_ERROR, sides=1).high if n else 1.0
    return ceil(share * rows)


def weigh(metric: Metric, frame: Frame, truths: Mapping[str, Truth], design: Design, heaviest: float) -> Weighed:
    """Scores of what is known, each weighing its count over its probability. ``truths``: what people said, by row hash, of the drawn rows.

    A group that came more often than ``heaviest`` keeps its mean and counts that much, by its count among all rows of the frame: what of it was drawn must not
    decide how much it is cut.
    """
    names = [row.group or row.hash for row in frame.rows]
    totals: dict[str, float] = {}
    for name, row in zip(names, frame.rows, strict=True):
        totals[name] = totals.get(name, 0.0) + row.count
    known = _known_scores(metric, frame, truths)
    scores, is_drawn = [], []
    for place, row in enumerate(frame.rows):
        if place not in known:
            continue
        drawn = row.gold is None and not frame.is_alike[place]
        weight = row.count * min(1.0, heaviest / totals[names[place]]) / (design.probability if drawn else 1.0)
        scores.append(Score(*known[place], weight, row.group))
        is_drawn.append(drawn)
    before = np.array(list(totals.values()))
    after = np.minimum(before, heaviest)
    cut = float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)
    return Weighed(tuple(scores), tuple(is_drawn), heaviest, cut, design)


def decide_labelled(gate: Gate, weighed: Weighed, level: float, kind: MetricKind) -> Verdict:
    """The gate on labelled rows. ``needed`` is how many rows to draw further. Nothing is said of both right or both wrong: of alike answers it is not known.

    Raises:
        GateError: JM-605 to JM-608.
    """
    verdict = decide(gate, weighed.scores, level, kind, weighed.scale)
    needed = _needed(verdict, weighed, kind) if verdict.verdict == "inconclusive" else None
    return replace(verdict, counts=None, heaviest=weighed.heaviest, cut=weighed.cut, needed=needed)


def _known_scores(metric: Metric, frame: Frame, truths: Mapping[str, Truth]) -> dict[int, tuple[float, float]]:
    """Student's and teacher's score by place; of alike answers only the difference is known, and they are given 1 each."""
    known: dict[int, tuple[float, float]] = {}
    golds: dict[int, Target] = {}
    for place, row in enumerate(frame.rows):
        truth = truths.get(row.hash)
        if row.gold is not None:
            golds[place] = row.gold
        elif frame.is_alike[place]:
            known[place] = (1.0, 1.0)
        elif truth == "both" or truth == "neither":
            known[place] = (float(truth == "both"),) * 2
        elif truth is not None:
            golds[place] = truth
    pairs = [_pair(frame.rows[place], frame.given[place]) for place in golds]
    given, taught = score_targets(metric, list(golds.values()), pairs)
    return known | {place: (ours, theirs) for place, ours, theirs in zip(golds, given, taught, strict=True)}


def _pair(row: Row, given: Target | None) -> Pair:
    assert row.teacher is not None, "a frame holds rows with a recorded answer"
    return Pair(row.teacher, given, row.count, row.input)


def _needed(verdict: Verdict, weighed: Weighed, kind: MetricKind) -> int | None:
    """Further rows to draw, if the next are like those seen."""
    design, limit = weighed.design, -(verdict.margin or 0.0)
    if design.asked >= design.differing:
        return None
    payoffs: dict[str, float] = {}
    drawn: set[str] = set()
    for place, (score, is_drawn) in enumerate(zip(weighed.scores, weighed.is_drawn, strict=True)):
        name = score.group or f"\0{place}"
        payoffs[name] = payoffs.get(name, 0.0) + score.weight * (score.candidate - (score.reference or 0.0) - limit)
        drawn |= {name} if is_drawn else set()
    distance = sum(payoffs.values())
    certain = sum(value**2 for name, value in payoffs.items() if name not in drawn)
    uncertain = sum(value**2 for name, value in payoffs.items() if name in drawn) * design.probability
    at_most = weighed.heaviest * max(design.differing, design.expected) / design.differing
    room = 1 + limit if distance > 0 else 1 - limit
    further = labels_to_draw(
        certain, uncertain, distance, room, len(payoffs), at_most, design.differing, design.asked, verdict.level
    )
    return further if further is not None or kind != "binary" else _needed_of_all(verdict, weighed)


def _needed_of_all(verdict: Verdict, weighed: Weighed) -> int | None:
    """Where no draw is enough, a label for every differing row may be: the plain bound then holds, which is the closer one."""
    scores, design = weighed.scores, weighed.design
    names = [score.group for score in scores if score.group]
    is_plain = len(set(names)) == len(names) and all(
        score.weight == weighed.heaviest
        for score, is_drawn in zip(scores, weighed.is_drawn, strict=True)
        if not is_drawn
    )
    if not is_plain:
        return None
    differences = [(score.candidate - (score.reference or 0.0), score.weight / weighed.heaviest) for score in scores]
    wins, losses = (round(sum(weight for value, weight in differences if value == sign)) for sign in (1, -1))
    n = max(round(sum(weight for _, weight in differences)), wins + losses)
    ends, limit = tango(Paired(n - wins - losses, wins, losses, 0), verdict.level, 1), -(verdict.margin or 0.0)
    is_enough = ends.low >= limit or ends.high < limit
    return max(design.differing, design.expected) - design.asked if is_enough else None
