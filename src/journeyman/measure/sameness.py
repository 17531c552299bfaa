"""Whether two answers to one question must score alike, whatever the right answer is: then nobody has to say what is right."""

from __future__ import annotations

from collections.abc import Sequence

from journeyman.core.example import Target
from journeyman.measure.metrics import Metric, Pair, exact_match
from journeyman.task.task import MetricSpec

# A score of 1 between two answers says little there: a number may be near to both, a quote stands in the input, a user's function is anybody's guess, and
# what an encoder has no word for looks like anything else.
LOOSE = ("numeric", "quoted", "function", "embedding")


def find_same(metric: Metric, spec: MetricSpec | None, pairs: Sequence[Pair]) -> list[bool]:
    """For each pair of two models' answers, whether their scores are equal on any gold. ``spec`` describes a metric of the task's own.

    Equal answers are. So are those with a score of 1 between them where 1 means equal in all that the metric looks at: the same field, words,
    set or number. An answer that is missing or unreadable is like none.
    """
    equal = [exact_match(pair.expected, pair.got) for pair in pairs]
    if not pairs or metric.kind == "ratio" or not _is_faithful(spec):
        return equal
    return [same or top == bottom for same, (top, bottom) in zip(equal, metric.score(pairs), strict=True)]


def score_targets(metric: Metric, golds: Sequence[Target], pairs: Sequence[Pair]) -> tuple[list[float], list[float]]:
    """Scores of both sides of each pair, ``got`` and ``expected``, on its gold."""

    def score(answers: Sequence[Target | None]) -> list[float]:
        given = [
            Pair(gold, answer, pair.count, pair.input) for gold, answer, pair in zip(golds, answers, pairs, strict=True)
        ]
        return [top / bottom for top, bottom in metric.score(given)] if given else []

    return score([pair.got for pair in pairs]), score([pair.expected for pair in pairs])


def _is_faithful(spec: MetricSpec | None) -> bool:
    return spec is None or spec.kind not in LOOSE or (spec.kind == "numeric" and spec.tolerance == 0)
