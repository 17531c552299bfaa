"""What a report says of a task that answers from documents: whether its answers stand in their passages, cite the right ones, and say nothing where those do.

grounded   of what the answer cites, the share that stands where it says; an answer that says something and cites nothing has 0
cited      of the passages that it cites, the share that the expected answer cites
absent     whether it says "not in the documents" just where the expected answer does
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from journeyman.core.canonical import Json
from journeyman.core.example import Target
from journeyman.knowledge.ground.block import read_passages
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.ground.task_answers import Grounded, ground
from journeyman.measure.metrics import Metric, MetricKind, Pair
from journeyman.task.task import Knowledge

Judge = Callable[[Grounded, Grounded], float]


def make_metrics(use: Knowledge) -> dict[str, Metric]:
    """By name; an answer that is missing or unreadable scores 0."""

    def make(name: str, kind: MetricKind, judge: Judge) -> Metric:
        def score(pair: Pair) -> float:
            if pair.got is None:
                return 0.0
            passages = read_passages(str(pair.input.get(use.fill, "")))
            return judge(_hold(pair.got, passages, use), _hold(pair.expected, passages, use))

        return Metric(name, kind, lambda pairs: [(score(pair), 1.0) for pair in pairs])

    return {
        "grounded": make("grounded", "graded", lambda got, _expected: share_grounded(got)),
        "cited": make("cited", "graded", share_right),
        "absent": make("absent", "binary", lambda got, expected: float(got.is_absent == expected.is_absent)),
    }


def share_grounded(answer: Grounded) -> float:
    if answer.is_absent:
        return 1.0
    said = answer.checked.statements
    return sum(statement.is_supported for statement in said) / len(said) if said else 0.0


def share_right(got: Grounded, expected: Grounded) -> float:
    if got.is_absent or expected.is_absent:
        return float(got.is_absent == expected.is_absent)
    cited = _numbers(got)
    return len(cited & _numbers(expected)) / len(cited) if cited else 0.0


def _numbers(answer: Grounded) -> set[int]:
    return {citation.passage for citation in answer.citations if citation.status != "ungrounded"}


def _hold(target: Target, passages: Sequence[Passage], use: Knowledge) -> Grounded:
    said: Json = target.text if target.kind == "text" else target.value
    return ground(said, passages, "mark", use.absent)
