"""The one JSON document of `compare --json`: the cells of a grid on dev, their differences, and the inputs that two of them disagree on.

Shares are 0 to 1, times milliseconds. Cells and disagreements come from dev, never from the sealed split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from journeyman.evaluation.document import Figure, JudgePart, LatencyPart, PairCounts, Part, TokensPart
from journeyman.evaluation.gate import Method
from journeyman.evaluation.grid import Cell, Difference, Disagreement
from journeyman.evaluation.pairs import make_pairs
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.latency import measure_latency
from journeyman.measure.metrics import Metric, estimate
from journeyman.task.answer import answer_text
from journeyman.task.task import Task


class DifferencePart(Part):
    """See ``evaluation.grid.Difference``."""

    value: float
    low: float
    high: float
    error: float
    n: int
    groups: int
    method: Method
    counts: PairCounts | None

    @staticmethod
    def of(found: Difference) -> DifferencePart:
        counts = found.counts
        return DifferencePart(
            value=found.value,
            low=found.low,
            high=found.high,
            error=found.error,
            n=found.n,
            groups=found.groups,
            method=found.method,
            counts=PairCounts(n11=counts.n11, n10=counts.n10, n01=counts.n01, n00=counts.n00) if counts else None,
        )


class CellPart(Part):
    """One cell: ``metrics`` with an interval of 95 % each, ``difference`` to the baseline with one that holds for all cells together. ``unreadable``
    answers and ``errors`` are wrong answers; ``asked`` rows were asked this time, the others lay in the cache. ``failed``: why there is nothing else."""

    number: int
    name: str
    instruction: str
    model: str
    shots: int
    temperature: float
    metrics: dict[str, Figure] = Field(default_factory=dict)
    difference: DifferencePart | None = None
    latency_ms: LatencyPart | None = None
    tokens_per_call: TokensPart | None = None
    unreadable: int = 0
    errors: int = 0
    asked: int = 0
    failed: str = ""


class AnswerPart(Part):
    """``text`` as it came, ``problem`` why it is unreadable or absent, ``score`` by the metric."""

    text: str
    problem: str
    score: float

    @staticmethod
    def of(item: Prediction, score: float) -> AnswerPart:
        return AnswerPart(text=item.text, problem=item.error.partition("\n")[0] or item.problem, score=score)


class DisagreementPart(Part):
    input: dict[str, Any]
    expected: str
    first: AnswerPart
    second: AnswerPart


class Comparison(Part):
    """``pair``: the cells, by number, whose ``disagreed`` disagreements begin in ``disagreements``; ``calls`` of models that are paid for; ``judges``: what the
    verdicts of metrics that ask a model are worth."""

    edition: Literal[1] = 1
    task: str
    dataset: str
    metric: str
    rows: int
    groups: int
    baseline: int
    instructions: dict[str, str]
    cells: tuple[CellPart, ...]
    calls: int = 0
    pair: tuple[int, int] | None = None
    disagreed: int = 0
    disagreements: tuple[DisagreementPart, ...] = ()
    judges: tuple[JudgePart, ...] = ()

    def cell(self, number: int) -> CellPart:
        return self.cells[number - 1]


def describe_cell(
    cell: Cell,
    metrics: Mapping[str, Metric],
    rows: Sequence[Row],
    answered: Predictions,
    difference: Difference | None,
) -> CellPart:
    """A cell that was asked."""
    pairs = make_pairs(zip(rows, answered.items, strict=True))
    return name_cell(cell).model_copy(
        update={
            "metrics": {name: Figure.of(estimate(metric, pairs)) for name, metric in metrics.items()},
            "difference": DifferencePart.of(difference) if difference else None,
            "latency_ms": LatencyPart.of(measure_latency(answered.latencies_ms)) if answered.latencies_ms else None,
            "tokens_per_call": TokensPart(
                input=_mean([item.input_tokens for item in answered.items]),
                output=_mean([item.output_tokens for item in answered.items]),
            ),
            "unreadable": sum(bool(item.problem) for item in answered.items),
            "errors": answered.failed,
            "asked": len(rows) - answered.reused,
        }
    )


def name_cell(cell: Cell, failed: str = "") -> CellPart:
    return CellPart(
        number=cell.number,
        name=cell.name,
        instruction=cell.instruction,
        model=cell.model,
        shots=cell.shots,
        temperature=cell.temperature,
        failed=failed,
    )


def describe_disagreement(task: Task, found: Disagreement) -> DisagreementPart:
    expected = found.row.expected
    return DisagreementPart(
        input=dict(found.row.input),
        expected=answer_text(task, expected) if expected is not None else "",
        first=AnswerPart.of(found.first, found.scores[0]),
        second=AnswerPart.of(found.second, found.scores[1]),
    )


def describe_difference(found: DifferencePart) -> str:
    """In points, with its interval."""
    points = [100 * value for value in (found.value, found.low, found.high)]
    return f"{points[0]:+.1f} ({points[1]:+.1f} to {points[2]:+.1f})"


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
