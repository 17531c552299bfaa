"""The evaluation document: round trips, refusals and plain sentences."""

from __future__ import annotations

import json
import math

import pytest

from journeyman.core.errors import GateError
from journeyman.core.example import object_target
from journeyman.evaluation.behaviour import Tried
from journeyman.evaluation.document import (
    BehaviourPart,
    CandidatePart,
    DatasetPart,
    Document,
    FieldPart,
    Figure,
    GatePart,
    LatencyPart,
    ReleasePart,
    TokensPart,
    describe_behaviour,
    describe_interval,
    describe_verdict,
)
from journeyman.evaluation.gate import Score, decide
from journeyman.measure.latency import measure_latency
from journeyman.measure.metrics import METRICS, Pair, estimate, score_fields
from journeyman.task.behaviour import BehaviourSpec
from journeyman.task.task import Gate

# An evaluation as edition 1 was first written. It must always open.
EDITION_1 = """{"edition": 1, "task": "tickets", "dataset": {"hash": "d", "train": 1, "dev": 1, "calibration": 0,
"test": 2}, "candidates": [{"name": "student", "kind": "lora", "split": "test", "metrics": {"exact_match":
{"value": 0.5, "low": 0.01, "high": 0.99, "n": 2}}, "latency_ms": {"p50": 5, "p95": 6, "p50_low": 0, "p50_high": null,
"p95_low": 0, "p95_high": null, "n": 2}, "tokens_per_call": {"input": 7, "output": null}, "cost_usd_per_1000": null,
"fields": [], "note": ""}], "gate": {"verdict": "inconclusive", "against": "teacher", "metric": "exact_match",
"difference": 0, "low": -0.6, "high": 0.6, "margin": 0.05, "floor": null, "level": 0.02, "n": 2, "needed": 200,
"method": "tango", "counts": {"n11": 1, "n10": 0, "n01": 0, "n00": 1}}, "release": null}"""


def make_document(gate: Gate | None = None, scores: list[Score] | None = None) -> Document:
    right, wrong = object_target({"intent": "a", "city": "Rome"}), object_target({"intent": "a", "city": "Bern"})
    pairs = [Pair(right, right), Pair(right, wrong), Pair(right, None)]
    verdict = decide(gate or Gate(), scores or [Score(True, True)] * 300 + [Score(False, True)] * 4, 0.02)
    student = CandidatePart(
        name="student",
        kind="lora",
        split="test",
        metrics={name: Figure.of(estimate(metric, pairs)) for name, metric in METRICS.items()},
        latency_ms=LatencyPart.of(measure_latency([10.0, 12.0, 30.0])),
        tokens_per_call=TokensPart(input=40.0, output=12.5),
        fields=tuple(FieldPart.of(score) for score in score_fields(pairs)),
    )
    return Document(
        task="tickets",
        dataset=DatasetPart(hash="d" * 64, train=800, dev=80, calibration=20, test=304),
        candidates=(student, CandidatePart(name="base", kind="base", split="test", metrics={})),
        gate=GatePart.of(verdict),
        release=ReleasePart(hash="r" * 64, path=".journeyman/releases/tickets/r"),
    )


def test_it_comes_back_from_its_own_json() -> None:
    document = make_document()
    text = json.dumps(document.to_json(), allow_nan=False)
    assert Document.from_json(text) == document
    assert Document.from_json(json.loads(text)) == document


def test_it_has_the_promised_keys() -> None:
    raw = make_document().to_json()
    assert {
        "edition",
        "task",
        "dataset",
        "candidates",
        "gate",
        "confidence",
        "field_confidence",
        "promise",
        "slices",
        "confusions",
        "ladder",
        "reference",
        "behaviours",
        "judges",
        "labels",
        "ceiling",
        "safety",
        "weak",
        "release",
    } == set(raw)
    gate, candidates = raw["gate"], raw["candidates"]
    assert isinstance(gate, dict)
    assert isinstance(candidates, list)
    promised = "verdict against metric difference low high margin floor level n needed"
    assert set(promised.split()) <= set(gate)
    first = candidates[0]
    assert isinstance(first, dict)
    assert {"name", "kind", "split", "metrics", "latency_ms", "tokens_per_call", "cost_usd_per_1000"} <= set(first)
    latency = first["latency_ms"]
    assert isinstance(latency, dict)
    assert latency["p50"] == 12.0
    assert latency["p95_high"] is None


def test_edition_1_opens() -> None:
    document = Document.from_json(EDITION_1)
    assert document.gate is not None
    assert document.gate.needed == 200


@pytest.mark.parametrize(
    ("change", "text"),
    [({"edition": 2}, "edition"), ({"verdict": "pass"}, "verdict"), ({"task": None}, "task")],
)
def test_another_shape_is_refused_by_name(change: dict[str, object], text: str) -> None:
    with pytest.raises(GateError, match="JM-609") as caught:
        Document.from_json(json.loads(EDITION_1) | change, where="evaluation.json")
    assert "evaluation.json" in str(caught.value)
    assert text in str(caught.value)


def test_broken_json_and_nan_are_refused() -> None:
    with pytest.raises(GateError, match="JM-609"):
        Document.from_json("{")
    with pytest.raises(ValueError):
        Figure(value=math.nan, low=0, high=1, n=1)


@pytest.mark.parametrize(
    ("gate", "right", "wrong", "sentence"),
    [
        (Gate(), 300, 4, "Pass: on exact_match the student is shown to be no more than 5 points below the teacher."),
        (
            Gate(margin=0.01),
            200,
            100,
            "Fail: on exact_match the student is shown to be more than 1 point below the teacher.",
        ),
        (Gate(against="floor", floor=0.9), 300, 4, "Pass: the student's exact_match is shown to be at least 90 %."),
        (Gate(against="floor", floor=0.9), 200, 104, "Fail: the student's exact_match is shown to be below 90 %."),
        (Gate(against="agreement"), 300, 4, "no more than 5 points short of full agreement"),
        (Gate(against="agreement"), 200, 104, "more than 5 points short of full agreement"),
        (Gate(), 30, 1, "Inconclusive on 31 rows: label "),
        (Gate(against="floor", floor=0.9), 29, 2, "more sealed rows with gold."),
        (Gate(against="agreement"), 30, 1, "more sealed rows with a recorded answer of the teacher."),
    ],
)
def test_the_verdict_is_one_plain_sentence(gate: Gate, right: int, wrong: int, sentence: str) -> None:
    reference = True if gate.against == "teacher" else None
    scores = [Score(True, reference)] * right + [Score(False, reference)] * wrong
    part = GatePart.of(decide(gate, scores, 0.02))
    assert sentence in describe_verdict(part)
    assert "label" not in describe_verdict(part, is_judged=True), "a judge needs no labels of rows"
    assert f"n = {right + wrong}" in describe_interval(part)


def test_the_interval_line_names_limit_and_level() -> None:
    gate = make_document().gate
    assert gate is not None
    line = describe_interval(gate)
    assert line.startswith("difference -1.3 points, one-sided bounds ")
    assert line.endswith("at level 0.02, n = 304, margin -5 points")


def test_required_tests_that_do_not_pass_are_named_beside_the_gates_own_verdict() -> None:
    gate = make_document().gate
    assert gate is not None
    held = gate.model_copy(update={"alone": "pass"})
    assert describe_verdict(held) == describe_verdict(gate)
    stopped = gate.model_copy(update={"verdict": "fail", "alone": "pass", "unmet": {"a": "fail", "b": "inconclusive"}})
    assert describe_verdict(stopped) == (
        "Fail, with the required tests: a is shown to hold too seldom, b is not settled. "
        f"The gate by itself: {describe_verdict(gate)}"
    )


def test_a_behavioural_test_on_one_line() -> None:
    spec = BehaviourSpec("invariance", change="typos", least=0.95, required=True)
    part = BehaviourPart.of(Tried("typos", spec, (True,) * 90 + (False,) * 4, 6), 0.02)
    assert BehaviourPart.model_validate_json(part.model_dump_json()) == part
    assert describe_behaviour(part) == (
        "typos (invariance, typos): 95.7 % of 94 held, 95 % interval 89.5 to 98.8; required 95 %: not settled, "
        f"{part.needed:,} more would settle it, 6 rows could not be changed"
    )
    nothing = BehaviourPart.of(Tried("cases", BehaviourSpec("minimum", cases="m.jsonl"), ()), 0.02)
    assert describe_behaviour(nothing) == "cases (minimum, m.jsonl): no row could be asked; wanted 90 %: not settled"
