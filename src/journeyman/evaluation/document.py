"""The one JSON document of `assess --json`, and of a release's ``evaluation.json``.

Unknown keys are refused when reading. Shares are 0 to 1, money is in US dollars, times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.evaluation.gate import Method, Verdict, VerdictName
from journeyman.measure.latency import Latency
from journeyman.measure.metrics import Estimate, FieldScore
from journeyman.task.task import Against


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetPart(Part):
    """Row counts by split."""

    hash: str
    train: int
    dev: int
    calibration: int
    test: int


class Figure(Part):
    """A figure with its 95 % interval; ``n`` is the number of distinct rows behind it."""

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(estimate: Estimate) -> Figure:
        return Figure(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


class LatencyPart(Part):
    """Milliseconds per call with 95 % intervals; an end is null where so few calls bound it on no side."""

    p50: float
    p95: float
    p50_low: float
    p50_high: float | None
    p95_low: float
    p95_high: float | None
    n: int

    @staticmethod
    def of(latency: Latency) -> LatencyPart:
        p50, p95 = latency.p50, latency.p95
        return LatencyPart(
            p50=p50.value,
            p95=p95.value,
            p50_low=p50.low,
            p50_high=p50.high if isfinite(p50.high) else None,
            p95_low=p95.low,
            p95_high=p95.high if isfinite(p95.high) else None,
            n=p50.n,
        )


class TokensPart(Part):
    """Mean tokens per call; null where the model does not report them."""

    input: float | None
    output: float | None


class FieldPart(Part):
    field: str
    precision: Figure
    recall: Figure
    f1: Figure

    @staticmethod
    def of(score: FieldScore) -> FieldPart:
        return FieldPart(
            field=score.field,
            precision=Figure.of(score.precision),
            recall=Figure.of(score.recall),
            f1=Figure.of(score.f1),
        )


class CandidatePart(Part):
    """One model on one split. ``kind``: student, base, teacher, or the kind of the student (lora, head, ...)."""

    name: str
    kind: str
    split: str
    metrics: dict[str, Figure]
    latency_ms: LatencyPart | None = None
    tokens_per_call: TokensPart | None = None
    cost_usd_per_1000: float | None = None
    fields: tuple[FieldPart, ...] = ()
    note: str = ""


class PairCounts(Part):
    """Distinct rows by candidate and reference, 1 right and 0 wrong."""

    n11: int
    n10: int
    n01: int
    n00: int


class GatePart(Part):
    """See ``evaluation.gate.Verdict``: ``low`` and ``high`` are one-sided at ``level``, ``low_95`` and ``high_95`` two-sided."""

    verdict: VerdictName
    against: Against
    metric: str
    difference: float
    low: float
    high: float
    low_95: float | None = None
    high_95: float | None = None
    margin: float | None
    floor: float | None
    level: float
    n: int
    groups: int | None = None
    needed: int | None
    method: Method
    counts: PairCounts | None

    @staticmethod
    def of(verdict: Verdict) -> GatePart:
        raw = asdict(verdict)
        return GatePart(**raw)


class ReleasePart(Part):
    hash: str
    path: str


class Document(Part):
    edition: Literal[1] = 1
    task: str
    dataset: DatasetPart
    candidates: tuple[CandidatePart, ...]
    gate: GatePart | None = None
    release: ReleasePart | None = None

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = self.model_dump(mode="json")
        return raw

    @staticmethod
    def from_json(raw: Mapping[str, Json] | str | bytes, where: str = "") -> Document:
        """Raises: GateError JM-609, not an evaluation of an edition that is known here."""
        try:
            if isinstance(raw, str | bytes):
                return Document.model_validate_json(raw)
            return Document.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(item) for item in first["loc"])
            raise GateError(
                "JM-609",
                "this is not an evaluation document of edition 1",
                where=where or place,
                expected=first["msg"],
                got=f"{place}: {first['input']!r:.80}",
                hint="run `journeyman assess TASK` to make a new one",
            ) from error


def describe_verdict(gate: GatePart) -> str:
    """The verdict in one plain sentence."""
    points = _points(gate.margin or 0.0)
    floor = f"{100 * (gate.floor or 0.0):.4g} %"
    if gate.verdict == "inconclusive":
        more = f"label {gate.needed:,} more rows" if gate.needed else "no affordable number of labels would settle it"
        return f"Inconclusive on {gate.n:,} rows: {more}."
    claims: dict[tuple[str, str], str] = {
        (
            "teacher",
            "pass",
        ): f"Pass: on {gate.metric} the student is shown to be no more than {points} below the teacher.",
        ("teacher", "fail"): f"Fail: on {gate.metric} the student is shown to be more than {points} below the teacher.",
        ("floor", "pass"): f"Pass: the student's {gate.metric} is shown to be at least {floor}.",
        ("floor", "fail"): f"Fail: the student's {gate.metric} is shown to be below {floor}.",
        (
            "agreement",
            "pass",
        ): f"Pass: on {gate.metric} the student is shown to be no more than {points} short of full agreement with the teacher.",
        (
            "agreement",
            "fail",
        ): f"Fail: on {gate.metric} the student is shown to be more than {points} short of full agreement with the teacher.",
    }
    return claims[(gate.against, gate.verdict)]


def describe_interval(gate: GatePart) -> str:
    """The figures behind the verdict, on one line."""
    sign = "+" if gate.against == "teacher" else ""
    name = {"teacher": "difference", "floor": gate.metric, "agreement": "agreement"}[gate.against]
    unit = "points" if gate.against == "teacher" else "%"
    limit = {
        "teacher": f"margin -{100 * (gate.margin or 0):.4g} points",
        "floor": f"floor {100 * (gate.floor or 0):.4g} %",
    }
    return (
        f"{name} {100 * gate.difference:{sign}.1f} {unit}, one-sided bounds {100 * gate.low:{sign}.1f} and "
        f"{100 * gate.high:{sign}.1f} at level {gate.level:.4g}, n = {gate.n:,}, "
        f"{limit.get(gate.against, f'limit {100 * (1 - (gate.margin or 0)):.4g} %')}"
    )


def _points(share: float) -> str:
    number = f"{100 * share:.4g}"
    return f"{number} point" if number == "1" else f"{number} points"
