"""How alike two answers are by the vectors of their texts. It loads no encoder: who measures hands the similarity in.

Leaves are compared as by any metric of leaves, in the mean over those of either side: a text with a text by their similarity, where equal texts have 1 and a
blank text is like another blank one only. A list of texts is one text, an item a line, so that its order counts as little as that of sentences. All else is 1
if it is the same and 0 if not: numbers and booleans, to which embeddings are nearly blind, and lists of anything but texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from journeyman.core.canonical import Json
from journeyman.measure.declared import Compare, compare_leaves
from journeyman.measure.metrics import Metric, Pair, Part, same_value

Texts = tuple[str, str]
Similarities = Callable[[Sequence[Texts]], Sequence[float]]
"""From 0 to 1 for each pair of texts, all in one call."""


def make_embedding_metric(name: str, field: str, similarities: Similarities) -> Metric:
    """The mean similarity of the leaves at ``field`` or below it; a missing or unreadable answer scores 0."""

    def score(pairs: Sequence[Pair]) -> list[Part]:
        met: dict[Texts, float] = {}
        for pair in pairs:  # once to see which texts meet, then all at once, then to score
            compare_leaves(field, _compare(lambda *texts: met.setdefault(texts, 0.0)), pair)
        met = dict(zip(met, similarities(list(met)), strict=True)) if met else met
        compare = _compare(lambda *texts: met[texts])
        return [(compare_leaves(field, compare, pair), 1.0) for pair in pairs]

    return Metric(name, "graded", score)


def _compare(similarity: Callable[[str, str], float]) -> Compare:
    def compared(expected: Json, got: Json) -> float:
        wanted, given = _text(expected), _text(got)
        if wanted is None or given is None:
            return float(same_value(expected, got))
        if wanted == given or not (wanted.strip() and given.strip()):
            return float(wanted.strip() == given.strip())
        return similarity(wanted, given)

    return compared


def _text(value: Json) -> str | None:
    """None: it is compared as it is."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(str(item) for item in value)
    return value if isinstance(value, str) else None
