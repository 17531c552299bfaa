"""Metrics of embeddings, latencies and costs in a task file: what is read, what is refused, and that older rules stay the same."""

from __future__ import annotations

import jsonschema_rs
import pytest
import yaml

from journeyman.core.errors import TaskError
from journeyman.task.file import task_file_schema, task_from_mapping
from journeyman.task.task import MetricSpec, Task

HEAD = "edition: 1\nname: t\ninstruction: Sort it.\ninput: {message: string}\noutput: {a: string, b: integer}\n"
FLOOR = "gate: {metric: m, against: floor, floor: 0.95}\n"


def load(text: str) -> Task:
    return task_from_mapping(yaml.safe_load(HEAD + text), "t.yaml")


@pytest.mark.parametrize(
    ("described", "spec"),
    [
        ("{kind: embedding}", MetricSpec("embedding")),
        ("{kind: embedding, field: a}", MetricSpec("embedding", "a")),
        ("{kind: latency, most_ms: 200}", MetricSpec("latency", most_ms=200)),
        ("{kind: cost, most_usd: 0.0001}", MetricSpec("cost", most_usd=0.0001)),
    ],
)
def test_what_is_read(described: str, spec: MetricSpec) -> None:
    task = load(f"metrics: {{m: {described}}}\n{FLOOR}")
    assert task.metrics["m"] == spec
    assert Task.from_json(task.to_json()).metrics == task.metrics
    validator = jsonschema_rs.validator_for(task_file_schema())
    assert validator.is_valid(yaml.safe_load(f"{HEAD}metrics: {{m: {described}}}\n{FLOOR}"))


@pytest.mark.parametrize("against", ["teacher", "agreement"])
def test_embeddings_decide_any_gate(against: str) -> None:
    assert load(f"metrics: {{m: {{kind: embedding}}}}\ngate: {{metric: m, against: {against}}}\n").gate.metric == "m"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("metrics: {m: {kind: latency}}", "JM-206", "most_ms and kind: latency belong together"),
        ("metrics: {m: {kind: cost, most_ms: 3}}", "JM-206", "most_ms and kind: latency belong together"),
        ("metrics: {m: {kind: cost}}", "JM-206", "most_usd and kind: cost belong together"),
        ("metrics: {m: {kind: embedding, most_usd: 3}}", "JM-206", "most_usd and kind: cost belong together"),
        ("metrics: {m: {kind: latency, most_ms: 0}}", "JM-203", "greater than 0"),
        ("metrics: {m: {kind: latency, most_ms: -5}}", "JM-203", "metrics.m.most_ms"),
        ("metrics: {m: {kind: latency, most_ms: .inf}}", "JM-203", "finite"),
        ("metrics: {m: {kind: latency, most_ms: fast}}", "JM-203", "a valid number"),
        ("metrics: {m: {kind: cost, most_usd: 0}}", "JM-203", "greater than 0"),
        ("metrics: {m: {kind: latency, most_s: 3}}", "JM-202", "did you mean most_ms?"),
        ("metrics: {m: {kind: latency, most_ms: 3, field: a}}", "JM-206", "a call is measured as a whole"),
        ("metrics: {m: {kind: embedding, field: c}}", "JM-206", "no such field"),
        ("metrics: {m: {kind: embedding, model: base}}", "JM-206", "model belongs to kind: judge"),
        ("metrics: {m: {kind: embedding, tolerance: 0.1}}", "JM-206", "a tolerance belongs to kind: numeric"),
        ("metrics: {m: {kind: latency, most_ms: 3}}\ngate: {metric: m}", "JM-206", "a gate on latency needs a floor"),
        (
            "metrics: {m: {kind: cost, most_usd: 3}}\ngate: {metric: m, against: agreement}",
            "JM-206",
            "a gate on cost needs a floor",
        ),
    ],
)
def test_what_is_refused(text: str, code: str, message: str) -> None:
    with pytest.raises(TaskError, match=code) as caught:
        load(text)
    assert message in str(caught.value)
    assert caught.value.hint


def test_rules_from_before_stay_the_same() -> None:
    assert MetricSpec("numeric", "a", 0.1).to_json() == {
        "kind": "numeric",
        "field": "a",
        "tolerance": 0.1,
        "source": "",
        "function": "",
    }
    assert set(MetricSpec("judge", rubric="r").to_json()) - set(MetricSpec("numeric").to_json()) == {
        "rubric",
        "model",
        "least_kappa",
    }
    assert MetricSpec("latency", most_ms=3.0).to_json()["most_ms"] == 3.0
    assert "most_usd" not in MetricSpec("latency", most_ms=3.0).to_json()
