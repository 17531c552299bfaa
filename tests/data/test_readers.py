"""Rows of other tools' logs, made here after their documentation, as they become Records and traces."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import object_target, text_target
from journeyman.data.formats import Rows, read_rows
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.lines import Line
from journeyman.data.readers import chatml
from journeyman.data.record import Record
from journeyman.store.database import Store
from journeyman.task.task import Task

ASKED, ANSWER = "They stole my card!", '{"intent": "card", "urgent": true}'
SYSTEM: Json = {"role": "system", "content": "Sort a customer's message."}
USER: Json = {"role": "user", "content": ASKED}
ASSISTANT: Json = {"role": "assistant", "content": ANSWER}
COMPLETION: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-2026",
    "choices": [{"index": 0, "message": ASSISTANT, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 5},
}
MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 12, "output_tokens": 5},
}


def rows_of(lines: Sequence[object], task: Task) -> Rows:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return read_rows([Line(number, text) for number, text in enumerate(texts, 1)], task, "FILE")


def records_of(lines: Sequence[object], task: Task) -> list[Record]:
    found = list(rows_of(lines, task).rows)
    assert not [row.line for row in found if row.line.problem]
    return [row.record for row in found if row.record is not None]


def record_of(line: object, task: Task) -> Record:
    (record,) = records_of([line], task)
    return record


def problem_of(line: object, task: Task) -> str:
    good = {"messages": [USER, ASSISTANT]}
    bad = list(rows_of([good, line], task).rows)[1:]
    assert len(bad) == 1
    return bad[0].line.problem


def check_said(record: Record, system: bool = True) -> None:
    """What each of the samples says, in whatever form."""
    roles = ["system", "user"] if system else ["user"]
    assert [message.role for message in record.messages] == roles
    assert record.messages[-1].text == ASKED
    assert record.output == text_target(ANSWER)


def test_anthropic_request_and_message(task: Task) -> None:
    request: Json = {
        "model": "claude-x",
        "max_tokens": 100,
        "top_k": 5,
        "system": [{"type": "text", "text": "Sort a customer's message.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}],
        "tools": [{"name": "look_up", "description": "Looks.", "input_schema": {"type": "object"}}],
    }
    for row in (
        {"request": request, "response": MESSAGE, "feedback": "up"},
        {"body": request, "response": {"status_code": 200, "body": MESSAGE}, "feedback": "up"},
        request | {"response": MESSAGE, "feedback": "up"},  # type: ignore[operator]
    ):
        record = record_of(row, task)
        check_said(record)
        assert (record.key, record.model, record.feedback) == ("msg_1", "claude-x", "up")
        assert (record.input_tokens, record.output_tokens) == (12, 5)
        assert record.tools[0]["function"]["name"] == "look_up"  # type: ignore[index,call-overload]


def test_anthropic_tool_use_cut_off_answers_and_errors(task: Task) -> None:
    request: Json = {"messages": [USER], "system": "Sort a customer's message."}
    used = MESSAGE | {  # type: ignore[operator]
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "tool_use", "id": "t", "name": "a", "input": {"b": 1}},
        ],
        "stop_reason": "tool_use",
    }
    output = record_of({"request": request, "response": used}, task).output
    assert output is not None
    assert (output.kind, output.tool_calls[0].arguments) == ("tool_calls", '{"b":1}')
    cut = record_of({"request": request, "response": MESSAGE | {"stop_reason": "max_tokens"}}, task)  # type: ignore[operator]
    assert cut.flaw == "the answer was cut off at the token limit"
    error = {"type": "error", "error": {"type": "overloaded_error"}}
    assert problem_of({"request": request, "response": error}, task) == "the recorded response is an error"


def langfuse_row(**more: Json) -> dict[str, Json]:
    return {
        "id": "obs-1",
        "traceId": "trace-1",
        "type": "GENERATION",
        "name": "triage",
        "startTime": "2026-01-02T03:04:05.000Z",
        "endTime": "2026-01-02T03:04:06.000Z",
        "model": "gpt-2026",
        "input": [SYSTEM, USER],
        "output": ASSISTANT,
        "usageDetails": {"input": 12, "output": 5, "total": 17},
        "level": "DEFAULT",
    } | more


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"input": {"messages": [SYSTEM, USER]}, "output": ANSWER},
        {"input": json.dumps([SYSTEM, USER]), "output": json.dumps(ASSISTANT)},
        {"output": COMPLETION, "usageDetails": None},
        {"output": [ASSISTANT]},
    ],
)
def test_langfuse_generations(task: Task, said: dict[str, Json]) -> None:
    record = record_of(langfuse_row(**said), task)
    check_said(record)
    assert (record.key, record.model, record.time) == ("obs-1", "gpt-2026", "2026-01-02T03:04:05+00:00")
    assert (record.input_tokens, record.output_tokens) == (12, 5)


def test_langfuse_blobs_traces_and_pages(task: Task) -> None:
    blob = {
        "id": "obs-2",
        "trace_id": "trace-1",
        "type": "GENERATION",
        "start_time": "2026-01-02 03:04:05.000000",
        "provided_model_name": "gpt-2026",
        "session_id": "s",
        "input": json.dumps([SYSTEM, USER]),
        "output": json.dumps(ANSWER),
        "usage_details": json.dumps({"input": 12, "output": 5}),
        "level": "DEFAULT",
    }
    record = record_of(blob, task)
    check_said(record)
    assert (record.model, record.group, record.input_tokens) == ("gpt-2026", "s", 12)
    trace = {
        "id": "trace-1",
        "timestamp": "2026-01-02T03:04:05.000Z",
        "sessionId": "session-1",
        "input": {"message": ASKED},
        "output": {"intent": "card", "urgent": True},
        "scores": [{"name": "user-feedback", "value": 1, "dataType": "BOOLEAN"}],
    }
    whole = record_of(trace | {"observations": ["obs-1"]}, task)
    assert whole.input == {"message": ASKED}
    assert whole.output == object_target({"intent": "card", "urgent": True})
    assert (whole.feedback, whole.group) == ("up", "session-1")
    inner = [langfuse_row(), {"id": "obs-3", "type": "SPAN", "input": 1, "output": 2}]
    for row in (trace | {"observations": inner}, {"data": [trace | {"observations": inner}], "meta": {"page": 1}}):
        record = record_of(row, task)
        check_said(record)
        assert (record.key, record.feedback, record.group) == ("obs-1", "up", "session-1")


def test_langfuse_passes_over_other_observations_and_names_failed_calls(task: Task) -> None:
    rows = list(rows_of([langfuse_row(), langfuse_row(type="SPAN"), langfuse_row(type="EVENT", input=None)], task).rows)
    assert [row.is_other for row in rows] == [False, True, True]
    assert problem_of(langfuse_row(level="ERROR"), task) == "the recorded call failed"
    assert problem_of(langfuse_row(input=None), task) == "this row has no input"


def test_langfuse_csv(task: Task) -> None:
    written = io.StringIO()
    row = langfuse_row(output=json.dumps(ANSWER))
    writer = csv.DictWriter(written, list(row))
    writer.writeheader()
    writer.writerow({name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()})
    check_said(records_of(written.getvalue().splitlines(), task)[0])


def attributes_of(values: dict[str, Json]) -> Json:
    kinds: dict[type, str] = {str: "stringValue", int: "intValue", float: "doubleValue"}
    found: list[Json] = []
    for key, value in values.items():
        inner: Json = (
            {"arrayValue": {"values": [{"stringValue": item} for item in value]}}
            if isinstance(value, list)
            else {kinds[type(value)]: str(value) if isinstance(value, int) else value}
        )
        found.append({"key": key, "value": inner})
    return found


OPENINFERENCE: dict[str, Json] = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-2026",
    "session.id": "s",
    "llm.token_count.prompt": 12,
    "llm.token_count.completion": 5,
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Sort a customer's message.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": ASKED,
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": ANSWER,
    "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": {"name": "look_up"}}),
}
CONVENTIONS: dict[str, Json] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-2026",
    "gen_ai.conversation.id": "s",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Sort a customer's message."}]),
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": ASKED}]}]),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}]
    ),
}
INDEXED: dict[str, Json] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.response.model": "gpt-2026",
    "gen_ai.conversation.id": "s",
    "gen_ai.usage.prompt_tokens": 12,
    "gen_ai.usage.completion_tokens": 5,
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Sort a customer's message.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": ASKED,
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": ANSWER,
    "gen_ai.completion.0.finish_reason": "stop",
}


def otlp(*spans: Json) -> dict[str, Json]:
    scope: Json = {"scope": {"name": "instrumentation", "version": "1"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}


def otlp_span(values: dict[str, Json], **more: Json) -> dict[str, Json]:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-2026",
        "kind": 3,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": attributes_of(values),
        "status": {},
    } | more


@pytest.mark.parametrize("values", [OPENINFERENCE, CONVENTIONS, INDEXED])
def test_spans_of_otlp(task: Task, values: dict[str, Json]) -> None:
    chain = otlp_span({"openinference.span.kind": "CHAIN", "input.value": "x"}, spanId="aaaa")
    rows = list(rows_of([otlp(chain, otlp_span(values))], task).rows)
    assert [row.is_other for row in rows] == [True, False]
    record = rows[1].record
    assert record is not None
    check_said(record)
    assert (record.model, record.group, record.time) == ("gpt-2026", "s", "2023-11-14T22:13:20+00:00")
    assert (record.input_tokens, record.output_tokens) == (12, 5)
    assert record.key == "5b8efff798038103d269b633813fc60c:eee19b7ec3c1b174"


def test_spans_of_phoenix_nested_and_flat(task: Task) -> None:
    nested: Json = {
        "llm": {
            "model_name": "gpt-2026",
            "input_messages": [
                {"message": {"role": "system", "content": "Sort a customer's message."}},
                {"message": {"role": "user", "content": ASKED}},
            ],
            "output_messages": [{"message.role": "assistant", "message.content": ANSWER}],
        }
    }
    span: dict[str, Json] = {
        "name": "ChatCompletion",
        "context": {"trace_id": "t", "span_id": "s"},
        "span_kind": "LLM",
        "parent_id": None,
        "start_time": "2026-01-02T03:04:05+00:00",
        "status_code": "OK",
        "events": [],
    }
    framed = {
        "context.span_id": "s",
        "context.trace_id": "t",
        "span_kind": "LLM",
        "attributes.llm.model_name": "gpt-2026",
        "attributes.llm.input_messages": [
            {"message.role": "system", "message.content": "Sort a customer's message."},
            {"message.role": "user", "message.content": ASKED},
        ],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": ANSWER}],
    }
    plain = {
        "input.value": json.dumps({"messages": [SYSTEM, USER], "model": "gpt-2026"}),
        "output.value": json.dumps(COMPLETION),
    }
    for row in (
        span | {"attributes": nested},
        span | {"attributes": OPENINFERENCE},
        framed,
        span | {"attributes": plain},
    ):
        record = record_of(row, task)
        check_said(record)
        assert (record.key, record.model) == ("t:s", "gpt-2026")
    page = {"data": [span | {"attributes": nested}], "next_cursor": None}
    check_said(record_of(page, task))


def test_events_of_spans(task: Task) -> None:
    base: dict[str, Json] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-2026"}
    by_message: list[Json] = [
        {"name": "gen_ai.system.message", "attributes": attributes_of({"content": "Sort a customer's message."})},
        {"name": "gen_ai.user.message", "attributes": attributes_of({"content": ASKED})},
        {
            "name": "gen_ai.choice",
            "attributes": attributes_of({"index": 0, "finish_reason": "stop", "message": json.dumps(ASSISTANT)}),
        },
    ]
    by_content: list[Json] = [
        {"name": "gen_ai.content.prompt", "attributes": attributes_of({"gen_ai.prompt": json.dumps([SYSTEM, USER])})},
        {
            "name": "gen_ai.content.completion",
            "attributes": attributes_of({"gen_ai.completion": json.dumps([ASSISTANT])}),
        },
    ]
    details: list[Json] = [
        {"name": "gen_ai.client.inference.operation.details", "attributes": attributes_of(CONVENTIONS)}
    ]
    for events in (by_message, by_content, details):
        check_said(record_of(otlp(otlp_span(base, events=events)), task))


def test_tool_calls_of_spans(task: Task) -> None:
    values: dict[str, Json] = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": ASKED,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "sort",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": ANSWER,
    }
    parts = [{"type": "tool_call", "id": "c", "name": "sort", "arguments": json.loads(ANSWER)}]
    written = CONVENTIONS | {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}])}
    for given in (values, written):
        output = record_of(otlp(otlp_span(given)), task).output
        assert output is not None
        assert json.loads(output.tool_calls[0].arguments) == json.loads(ANSWER)


def test_spans_without_messages_and_failed_ones(task: Task) -> None:
    silent = otlp_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"})
    assert problem_of(otlp(silent), task) == "this call's messages were not recorded"
    failed = otlp_span(CONVENTIONS, status={"code": 2, "message": "429"})
    assert problem_of(otlp(failed), task) == "the recorded call failed"
    cut = otlp_span(CONVENTIONS | {"gen_ai.response.finish_reasons": ["length"]})
    assert record_of(otlp(cut), task).flaw == "the answer was cut off at the token limit"


def litellm_row(**more: Json) -> dict[str, Json]:
    return {
        "id": "chatcmpl-9",
        "trace_id": "t",
        "call_type": "acompletion",
        "status": "success",
        "response_cost": 0.0001,
        "startTime": 1_700_000_000.5,
        "endTime": 1_700_000_001.5,
        "model": "gpt-2026",
        "model_group": "triage",
        "messages": [SYSTEM, USER],
        "response": COMPLETION,
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "model_parameters": {"temperature": 0, "tools": [{"type": "function", "function": {"name": "look_up"}}]},
        "metadata": {"user_api_key_hash": "x"},
    } | more


def test_litellm(task: Task) -> None:
    record = record_of(litellm_row(), task)
    check_said(record)
    assert (record.key, record.model, record.time) == ("chatcmpl-9", "gpt-2026", "2023-11-14T22:13:20+00:00")
    assert len(record.tools) == 1
    check_said(record_of(litellm_row(messages=ASKED, response=ANSWER), task), system=False)
    rows = list(rows_of([litellm_row(), litellm_row(call_type="aembedding")], task).rows)
    assert rows[1].is_other
    assert problem_of(litellm_row(status="failure", response={}), task) == "the recorded call failed"
    redacted: Json = [{"role": "user", "content": "redacted-by-litellm"}]
    assert problem_of(litellm_row(messages=redacted), task) == "the log has no text of this call"


def mlflow_span(
    version: int, inputs: Json, outputs: Json, kind: str = "CHAT_MODEL", parent: str = "p"
) -> dict[str, Json]:
    attributes: Json = {
        "mlflow.traceRequestId": json.dumps("tr-1"),
        "mlflow.spanType": json.dumps(kind),
        "mlflow.spanInputs": json.dumps(inputs),
        "mlflow.spanOutputs": json.dumps(outputs),
    }
    if version == 2:
        context: Json = {"trace_id": "0xt", "span_id": "0xs"}
        place = {"context": context, "parent_id": parent, "start_time": 1_700_000_000_000_000_000, "status_code": "OK"}
    else:
        status: Json = {"code": "STATUS_CODE_OK", "message": ""}
        place = {"trace_id": "dA==", "span_id": "cw==", "parent_span_id": parent}
        place |= {"start_time_unix_nano": 1_700_000_000_000_000_000, "status": status}
    return {"name": "Completions", "attributes": attributes, "events": []} | place  # type: ignore[return-value]


@pytest.mark.parametrize("version", [2, 3])
def test_mlflow(task: Task, version: int) -> None:
    call = mlflow_span(version, {"messages": [SYSTEM, USER], "model": "gpt-2026"}, COMPLETION)
    root = mlflow_span(version, {"message": ASKED}, json.loads(ANSWER), kind="UNKNOWN", parent="")
    said: list[Json] = [
        {"assessment_name": "good", "source": {"source_type": "HUMAN"}, "feedback": {"value": False}},
        {"assessment_name": "expected_response", "expectation": {"value": {"intent": "other", "urgent": False}}},
    ]
    info: Json = {"request_id" if version == 2 else "trace_id": "tr-1", "assessments": said}
    trace = {"info": info, "data": {"spans": [root, call]}}
    for row in (trace, {"traces": [trace]}):
        record = record_of(row, task)
        check_said(record)
        assert (record.feedback, record.time) == ("down", "2023-11-14T22:13:20+00:00")
        assert record.gold == object_target({"intent": "other", "urgent": False})
    alone = record_of({"info": info, "data": json.dumps({"spans": [root]})}, task)
    assert (alone.input, alone.output) == ({"message": ASKED}, object_target(json.loads(ANSWER)))


def tensorzero_row(**more: Json) -> dict[str, Json]:
    return {
        "id": "0196",
        "function_name": "triage",
        "variant_name": "gpt_2026",
        "episode_id": "0195",
        "input": {
            "system": "Sort a customer's message.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}],
        },
        "output": [{"type": "text", "text": ANSWER}],
        "tool_params": None,
        "timestamp": "2026-01-02T03:04:05Z",
        "tags": {},
    } | more


def test_tensorzero(task: Task) -> None:
    record = record_of(tensorzero_row(), task)
    check_said(record)
    assert (record.key, record.model) == ("0196", "gpt_2026")
    dumped = tensorzero_row()
    check_said(record_of(dumped | {name: json.dumps(dumped[name]) for name in ("input", "output")}, task))
    worse: Json = [[{"type": "text", "text": "no"}]]
    assert record_of(tensorzero_row(dispreferred_outputs=worse), task).alternatives[0].target == text_target("no")
    parsed: Json = {"raw": ANSWER, "parsed": json.loads(ANSWER)}
    inferred = record_of(tensorzero_row(output=parsed, output_schema={"type": "object"}), task)
    assert (inferred.output, inferred.schema) == (object_target(json.loads(ANSWER)), {"type": "object"})
    called: Json = [
        {
            "type": "tool_call",
            "id": "c",
            "name": "a",
            "arguments": {"b": 1},
            "raw_name": "a",
            "raw_arguments": '{"b":1}',
        }
    ]
    output = record_of(tensorzero_row(output=called), task).output
    assert output is not None
    assert output.tool_calls[0].arguments == '{"b":1}'


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "arguments": {"message": ASKED}}],
        [{"type": "text", "value": {"message": ASKED}}],
        [{"type": "template", "name": "user", "arguments": {"message": ASKED}}],
    ],
)
def test_tensorzero_arguments_of_templates_are_fields(task: Task, content: Json) -> None:
    record = record_of(tensorzero_row(input={"messages": [{"role": "user", "content": content}]}), task)
    assert (record.input, record.output) == ({"message": ASKED}, text_target(ANSWER))
    system: Json = {"system": {"tone": "kind"}, "messages": [{"role": "user", "content": content}]}
    assert "arguments of a template" in problem_of(tensorzero_row(input=system), task)


def test_openpipe(task: Task) -> None:
    entry = {
        "messages": [SYSTEM, USER, ASSISTANT],
        "split": "TRAIN",
        "rejected_message": {"role": "assistant", "content": "no"},
    }
    record = record_of(entry, task)
    check_said(record)
    assert [(item.target, item.verdict) for item in record.alternatives] == [(text_target("no"), "rejected")]
    assert not record.unused
    report = {
        "requestedAt": 1_700_000_000_000,
        "reqPayload": {"model": "gpt-2026", "messages": [SYSTEM, USER]},
        "respPayload": COMPLETION,
        "statusCode": 200,
    }
    record = record_of(report, task)
    check_said(record)
    assert record.time == "2023-11-14T22:13:20+00:00"
    assert problem_of(report | {"statusCode": 500}, task) == "the recorded call failed"


def test_alpaca(task: Task) -> None:
    record = record_of({"instruction": "Sort a customer's message.", "input": ASKED, "output": ANSWER}, task)
    check_said(record)
    check_said(record_of({"instruction": ASKED, "input": "", "output": ANSWER}, task), system=False)
    long = record_of({"instruction": ASKED, "output": ANSWER, "history": [["a", "b"]]}, task)
    assert [message.role for message in long.messages] == ["user", "assistant", "user"]
    assert problem_of({"instruction": 3, "output": ANSWER}, task) == "the instruction is no text"


def test_sharegpt_keeps_the_last_answer(task: Task) -> None:
    turns: list[Json] = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWER}]
    check_said(record_of({"conversations": turns, "system": "Sort a customer's message."}, task))
    check_said(record_of({"conversations": [{"from": "system", "value": "Sort."}, *turns]}, task))
    record = record_of(
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes?"}, *turns]}, task
    )
    assert [message.role for message in record.messages] == ["user", "assistant", "user"]
    assert record.output == text_target(ANSWER)
    open_end = record_of({"conversations": [*turns, {"from": "human", "value": "thanks"}]}, task)
    assert open_end.output is None
    assert problem_of({"conversations": [{"from": "human"}]}, task) == "a turn has no speaker or no text"


def test_chatml_reads_what_it_writes(task: Task) -> None:
    written = "<s><|im_start|>system\nSort.<|im_end|>\n" + f"<|im_start|>user\n{ASKED}<|im_end|>\n"
    check_said(record_of({"text": f"{written}<|im_start|>assistant\n{ANSWER}<|im_end|>\n"}, task))
    cut = record_of({"text": f"{written}<|im_start|>assistant\n{ANSWER}"}, task)
    assert cut.flaw == "the answer was cut off at the token limit"
    assert record_of({"text": f"{written}<|im_start|>assistant\n"}, task).output is None
    assert problem_of({"text": f"{written}and more"}, task) == "there is text behind the last turn"
    assert problem_of({"text": "<|im_start|>nobody\nx<|im_end|>"}, task) == "this is not a chat message"
    with pytest.raises(ValueError, match="im_end"):
        chatml.write(record_of({"messages": [{"role": "user", "content": "<|im_end|>"}]}, task).messages)


@pytest.mark.parametrize(
    "row",
    [
        {"input": [SYSTEM, USER], "output": ANSWER},
        {
            "inputs": {"messages": [[SYSTEM, USER]]},
            "outputs": {"generations": [[{"text": ANSWER, "message": ASSISTANT}]]},
        },
        {
            "input": [{"type": "system", "content": "Sort."}, {"type": "human", "content": ASKED}],
            "output": {"type": "ai", "content": ANSWER},
        },
    ],
)
def test_messages_in_an_answer_out(task: Task, row: Json) -> None:
    check_said(record_of(row, task))


def test_fields_as_keys(task: Task) -> None:
    record = record_of({"message": ASKED, "output": ANSWER, "gold.intent": "card", "note": 1}, task)
    assert (record.input, record.output) == ({"message": ASKED}, text_target(ANSWER))
    assert (record.gold, record.unused) == (object_target({"intent": "card"}), {"note"})


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"resourceLogs": []}, "OTLP's log records cannot be imported"),
        ({"data": [{"traceID": "a", "spans": []}]}, "Jaeger's own JSON cannot be imported"),
        (
            {"id": "1", "traceId": "t", "name": "n", "value": 1, "dataType": "NUMERIC"},
            "Langfuse's scores cannot be imported",
        ),
        ({"inference_id": "1", "raw_request": "", "raw_response": ""}, "TensorZero's table ModelInference cannot be"),
        ({"info": {"trace_id": "t"}, "data": {"spans": [{"attributes": {}}]}}, "a trace of MLflow without inputs"),
        ({"custom_id": "a", "result": {"type": "succeeded"}}, "results of a batch of Anthropic's"),
    ],
)
def test_forms_that_are_known_and_not_read(task: Task, row: Json, expected: str) -> None:
    with pytest.raises(DataError, match=rf"JM-313 FILE: {expected}") as caught:
        rows_of([row], task)
    assert caught.value.expected
    assert caught.value.hint


def test_every_log_becomes_traces(
    task: Task, store: Store, take: Callable[..., ImportReport], write: Callable[..., Path]
) -> None:
    """From the row to the store: the same call by each tool is the same input and the same verified answer."""
    span: Any = otlp(otlp_span(CONVENTIONS), otlp_span({"gen_ai.operation.name": "embeddings"}, spanId="b"))
    logs: dict[str, object] = {
        "langfuse": langfuse_row(),
        "otlp": span,
        "litellm": litellm_row(),
        "mlflow": {"info": {}, "data": {"spans": [mlflow_span(3, {"messages": [SYSTEM, USER]}, COMPLETION)]}},
        "tensorzero": tensorzero_row(),
        "anthropic": {"request": {"system": "Sort a customer's message.", "messages": [USER]}, "response": MESSAGE},
        "openpipe": {"messages": [SYSTEM, USER, ASSISTANT], "split": "TRAIN"},
        "alpaca": {"instruction": "Sort a customer's message.", "input": ASKED, "output": ANSWER},
        "sharegpt": {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWER}]},
        "chatml": {"text": f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"},
    }
    for name, row in logs.items():
        report = take(write(f"{name}.jsonl", [row]))
        assert (report.added, report.quarantined) == (1, 0), (name, report)
        assert report.files[0].others == (1 if name == "otlp" else 0)
        assert take(write(f"{name}.jsonl", [row])).repeated == 1
    found = list(store.traces("tickets"))
    assert len(found) == len(logs)
    assert {trace.input["message"] for trace in found} == {ASKED}
    assert all(trace.output == object_target(json.loads(ANSWER)) for trace in found)
    assert {trace.instruction_hash for trace in found} == {task.instruction_hash}


@pytest.mark.parametrize("place", ["asked", "expected"])
def test_json_within_json_holds_nothing_that_no_store_keeps(
    store: Store, write: Callable[..., Path], tmp_path: Path, place: str
) -> None:
    def trace(asked: str = "hello", expected: str = "fine") -> Json:
        attributes = {"mlflow.spanInputs": json.dumps(asked), "mlflow.spanOutputs": json.dumps("fine")}
        noted = [{"assessment_name": "expected_response", "expectation": {"value": expected}}]
        return {"info": {"assessments": noted}, "data": {"spans": [{"attributes": attributes}]}}

    task = Task("free", "Answer.", {"message": {"type": "string"}}, None)
    rows = [trace(), *(json.dumps(trace(**{place: f"bad {sign}"})) for sign in ("\ud800", "\x00"))]
    report = import_files(
        task, [write("rows.jsonl", rows)], store, quarantine_folder=tmp_path / "q", now=datetime.now(UTC)
    )
    assert (report.read, report.added, report.quarantined) == (3, 1, 2)
