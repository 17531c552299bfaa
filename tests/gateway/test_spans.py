"""Spans of stored calls at a real collector: their names, their tree, their times, and nothing of what was said."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from journeyman.core.example import text_target
from journeyman.core.messages import make_message
from journeyman.core.trace import Trace
from journeyman.gateway.metrics import Metrics
from journeyman.gateway.spans import Spans
from tests.gateway.collectors import Collector, collector

SERVER, INTERNAL, CLIENT = 2, 1, 3
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIME = "2026-11-23T04:47:16.500000+00:00"
MOMENT = round(datetime.fromisoformat(TIME).timestamp() * 1e6) * 1000
URL = "https://api.openai.com/v1"


def trace(**changes: Any) -> Trace:
    given = {"id": "trace-1", "task": "tickets", "time": TIME, "origin": "serve", "input": {"message": "secret words"},
             "messages": (make_message("user", "secret words"),), "output": text_target("a secret answer"), "latency_ms": 30.0, "input_tokens": 5,
             "output_tokens": 7, "cost_usd": 0.25, "model": "tickets@abcd", "release": "abcd",
             "verdicts": {"route": {"by": "student", "why": "sure", "policy": "cascade", "student_ms": 29.0}}, "meta": {"key": "key-1"}}  # fmt: skip
    return Trace(**(given | changes))


def route(**said: Any) -> dict[str, Any]:
    return {"route": {"by": "teacher", "policy": "cascade"} | said}


def send(made: Collector, *traces: Trace, url: str = URL, has_content: bool = False) -> None:
    spans = Spans(OTLPSpanExporter(f"{made.url}/v1/traces"), url, has_content=has_content)
    for item in traces:
        spans.observe(item)
    spans.close()
    assert spans.count() == {"sent": len(made.spans), "failed": 0, "dropped": 0}


def test_the_student_answers() -> None:
    with collector() as made:
        send(made, trace())
        whole, student = sorted(made.spans, key=lambda span: span.parent)
        assert (whole.name, whole.kind, whole.parent) == ("chat task:tickets", SERVER, "")
        assert (student.name, student.kind, student.parent) == ("chat tickets@abcd", INTERNAL, whole.id)
        assert (whole.begin, whole.end) == (MOMENT, MOMENT + 30_000_000)
        assert (student.begin, student.end) == (MOMENT, MOMENT + 29_000_000)
        assert whole.attributes == {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "journeyman", "gen_ai.request.model": "task:tickets", "gen_ai.response.model": "tickets@abcd",
            "gen_ai.response.id": "trace-1", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 7, "journeyman.trace": "trace-1",
            "journeyman.task": "tickets", "journeyman.release": "abcd", "journeyman.route.by": "student", "journeyman.route.why": "sure",
            "journeyman.route.policy": "cascade", "journeyman.origin": "serve", "journeyman.key": "key-1", "journeyman.cost_usd": 0.25,
        }  # fmt: skip
        assert "secret" not in repr(made.spans)
        assert made.paths == ["/v1/traces"]
        assert made.resources[0]["service.name"] == "journeyman"


def test_the_teacher_answers_after_an_unsure_student_under_the_clients_span() -> None:
    said = route(why="unsure", student_ms=10.0) | {"student": {"release": "abcd"}, "finish": "stop"}
    with collector() as made:
        send(made, trace(model="big", release="", verdicts=said, meta={"traceparent": PARENT}))
        (whole,) = (span for span in made.spans if span.kind == SERVER)
        (student,) = (span for span in made.spans if span.kind == INTERNAL)
        (teacher,) = (span for span in made.spans if span.kind == CLIENT)
        assert {span.trace for span in made.spans} == {PARENT.split("-")[1]}
        assert whole.parent == PARENT.split("-")[2]
        assert {student.parent, teacher.parent} == {whole.id}
        assert (student.name, teacher.name) == ("chat tickets@abcd", "chat big")
        assert whole.begin == student.begin == MOMENT - 10_000_000
        assert student.end == teacher.begin == MOMENT
        assert whole.end == teacher.end == MOMENT + 20_000_000
        assert teacher.attributes["gen_ai.provider.name"] == whole.attributes["gen_ai.provider.name"] == "openai"
        assert teacher.attributes["server.address"] == "api.openai.com"
        assert whole.attributes["gen_ai.response.finish_reasons"] == ["stop"]
        assert not any(span.is_error for span in made.spans)
        assert "gen_ai.usage.input_tokens" not in student.attributes | teacher.attributes, "a sum counts tokens once"


def test_an_audit_comes_later_and_belongs_to_its_call() -> None:
    audit = trace(id="trace-2", origin="audit", model="big", release="", verdicts={}, meta={"of": "trace-1"})
    with collector() as made:
        send(made, trace(), audit)
        (whole,) = (span for span in made.spans if span.kind == SERVER)
        (late,) = made.by(journeyman__of="trace-1")
        assert (late.parent, late.trace, late.name, late.kind) == (whole.id, whole.trace, "chat big", CLIENT)
        assert (late.begin, late.end) == (MOMENT, MOMENT + 30_000_000)


def test_a_failed_teacher_whose_place_the_student_took() -> None:
    said = route(why="unsure", student_ms=10.0)
    failed = trace(id="trace-0", model="big", release="", status="JM-430", verdicts=said, meta={"of": "trace-1"})
    stood = trace(verdicts={"route": {"by": "student", "why": "fallback", "error": "JM-430", "student_ms": 10.0}})
    with collector() as made:
        send(made, failed, stood)
        (whole,) = (span for span in made.spans if span.kind == SERVER)
        (teacher,) = made.by(journeyman__of="trace-1")
        assert (teacher.parent, teacher.attributes["error.type"], teacher.is_error) == (whole.id, "JM-430", True)
        assert (teacher.begin, teacher.end) == (MOMENT, MOMENT + 20_000_000)
        assert not whole.is_error


def test_failures_of_either_side_are_told() -> None:
    broken = trace(id="trace-2", model="big", release="", verdicts=route(why="failed", error="JM-421", student_ms=3.0))
    with collector() as made:
        send(made, trace(status="invalid"), broken)
        assert [span.attributes["error.type"] for span in made.spans if span.is_error] == [
            "invalid",
            "invalid",
            "JM-421",
        ]
        assert all(("error.type" in span.attributes) == span.is_error for span in made.spans)


def test_what_was_passed_on_has_the_providers_name() -> None:
    passed = trace(
        task="model:gpt-5", model="gpt-5", release="", verdicts=route(why="policy"), meta={"operation": "embeddings"}
    )
    with collector() as made:
        send(made, passed, url="http://models.example.org:8000/v1")
        assert {span.name for span in made.spans} == {"embeddings gpt-5"}
        assert {span.attributes["gen_ai.provider.name"] for span in made.spans} == {"models.example.org"}


def test_content_only_where_it_is_wanted() -> None:
    with collector() as made:
        send(made, trace(verdicts={"finish": "stop"}), has_content=True)
        (whole,) = (span for span in made.spans if span.kind == SERVER)
        parts = [{"type": "text", "content": "secret words"}]
        assert json.loads(whole.attributes["gen_ai.input.messages"]) == [{"role": "user", "parts": parts}]
        (answer,) = json.loads(whole.attributes["gen_ai.output.messages"])
        assert (answer["finish_reason"], answer["parts"][0]["content"]) == ("stop", "a secret answer")


def test_samplers_and_the_clients_own_choice_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as made:
        send(made, trace(meta={"traceparent": PARENT[:-1] + "0"}))
        assert made.spans == []
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
        audits = [trace(id=f"audit-{n}", origin="audit", verdicts={}, meta={"of": f"trace-{n}"}) for n in range(200)]
        send(made, *(trace(id=f"trace-{n}") for n in range(200)), *audits)
        calls = {span.id for span in made.spans if span.kind == SERVER}
        late = {span.parent for span in made.spans if "journeyman.of" in span.attributes}
        assert 50 < len(calls) < 150
        assert late == calls


def test_a_collector_that_is_away_holds_no_call_and_what_is_lost_is_counted() -> None:
    spans = Spans(OTLPSpanExporter("http://127.0.0.1:9/v1/traces", timeout=1), URL, most_waiting=100)
    metrics = Metrics(spans.count)
    for number in range(1_000):
        spans.observe(trace(id=f"trace-{number}"))
    assert spans.count()["dropped"] > 0
    until = time.monotonic() + 30
    while not spans.count()["failed"] and time.monotonic() < until:
        time.sleep(0.05)
    spans.close()
    assert spans.count()["sent"] == 0
    assert spans.count()["failed"] > 0
    assert f'journeyman_spans_total{{outcome="failed"}} {spans.count()["failed"]:.1f}' in metrics.write(0).decode()


def test_a_collector_that_refuses_is_counted_too() -> None:
    with collector() as made:
        made.status = 400
        spans = Spans(OTLPSpanExporter(f"{made.url}/v1/traces"), URL)
        spans.observe(trace())
        spans.close()
        assert spans.count() == {"sent": 0, "failed": 2, "dropped": 0}
