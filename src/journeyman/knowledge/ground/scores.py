"""How good answers with citations are, in counts: shares are of all answers together, so that an interval can stand beside each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from journeyman.knowledge.ground.citing import CheckedAnswer
from journeyman.measure.intervals import Interval, clopper_pearson


@dataclass(frozen=True, slots=True)
class Share:
    """``k`` of ``n``."""

    k: int
    n: int

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> Interval | None:
        """At 95 %, Clopper and Pearson."""
        return clopper_pearson(self.k, self.n) if self.n else None


def citation_precision(cited: Sequence[Set[int]], gold: Sequence[Set[int]]) -> Share:
    """Of the passages that answers cite, those that answer the question."""
    pairs = list(zip(cited, gold, strict=True))
    return Share(sum(len(given & right) for given, right in pairs), sum(len(given) for given in cited))


def citation_recall(cited: Sequence[Set[int]], gold: Sequence[Set[int]]) -> Share:
    """Of the passages that answer the questions, those that are cited."""
    pairs = list(zip(cited, gold, strict=True))
    return Share(sum(len(given & right) for given, right in pairs), sum(len(right) for right in gold))


def groundedness(answers: Iterable[CheckedAnswer]) -> Share:
    """Of all statements, those that are supported."""
    said = [statement.is_supported for answer in answers for statement in answer.statements]
    return Share(sum(said), len(said))


def abstention_accuracy(answers: Sequence[CheckedAnswer], gold: Sequence[Set[int]]) -> Share:
    """Of all questions, those that are answered where a passage answers them, and not where none does."""
    right = [answer.is_abstention == (not passages) for answer, passages in zip(answers, gold, strict=True)]
    return Share(sum(right), len(right))


def cited_passages(answer: CheckedAnswer) -> frozenset[int]:
    """Numbers of the passages with a grounded citation."""
    return frozenset(
        citation.passage
        for statement in answer.statements
        for citation in statement.citations
        if citation.status != "ungrounded"
    )
