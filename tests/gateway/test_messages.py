"""Anthropic's Messages over HTTP, with the headers and bodies that its clients send."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest

from tests.gateway.conftest import LIVE, SCHEMA, Gateway
from tests.gateway.test_forward import CALL, KEY, chunk, completion, passing, streamed, whole
from tests.gateway.test_keys import door

ASK: list[Any] = [{"role": "user", "content": "They stole my card!"}]
HEADERS = {"x-api-key": "sk-ant-the-clients-own", "anthropic-version": "2023-06-01"}
TOOL = {"name": "send", "description": "Send it.", "input_schema": {"type": "object", "properties": {}}}
USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "sent"}]}
TALK: list[Any] = [
    {"role": "user", "content": [{"type": "text", "text": "See:"}, PICTURE]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "text", "text": "I send it."},
            {"type": "tool_use", "id": "call_1", "name": "send", "input": {"to": "ada@example.org"}},
        ],
    },
    {"role": "user", "content": [RESULT, {"type": "text", "text": "And now?"}]},
]


async def post(http: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{url}/v1/messages", json=body, headers=HEADERS) as reply:
        return reply.status, await reply.json(), reply.headers


async def stream(http: aiohttp.ClientSession, url: str, body: Any) -> list[dict[str, Any]]:
    """The events' data; each event is named by the type in it, as clients rely on."""
    async with http.post(f"{url}/v1/messages", json={**body, "stream": True}, headers=HEADERS) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = []
        for event in (await reply.read()).decode().strip().split("\n\n"):
            name, data = event.split("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
        return events


def collect(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the events."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for event in events:
        if event["type"] == "message_start":
            assert message == {}
            message = event["message"]
        elif event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            message["content"][event["index"]]["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta":
            inputs[event["index"]] = inputs.get(event["index"], "") + event["delta"]["partial_json"]
        elif event["type"] == "content_block_stop" and event["index"] in inputs:
            message["content"][event["index"]]["input"] = json.loads(inputs[event["index"]])
        elif event["type"] == "message_delta":
            message |= event["delta"] | {"usage": event["usage"]}
    assert events[-1] == {"type": "message_stop"}
    return message


def test_a_task_answers_with_a_block_of_text(runner: asyncio.Runner, gateway: Gateway) -> None:
    body = {"model": "task:tickets", "max_tokens": 64, "system": "Sort a bank customer's message.", "messages": ASK}
    status, reply, headers = runner.run(post(gateway.http, gateway.url, body))
    assert status == 200
    (block,) = reply["content"]
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(block["text"]))
    assert (reply["type"], reply["role"], reply["model"]) == ("message", "assistant", f"tickets@{LIVE}")
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("end_turn", None)
    trace = gateway.store.trace(reply["id"].removeprefix("msg_"))
    assert headers["request-id"] == trace.id
    assert (trace.input, trace.status) == ({"message": "They stole my card!"}, "ok")
    assert reply["usage"] == {"input_tokens": trace.input_tokens, "output_tokens": trace.output_tokens}


@pytest.mark.parametrize("model", ["task:tickets", "task:titles", "base:tiny"])
def test_streams_say_what_plain_calls_say(runner: asyncio.Runner, gateway: Gateway, model: str) -> None:
    body = {"model": model, "max_tokens": 64, "messages": ASK}
    _, plain, _ = runner.run(post(gateway.http, gateway.url, body))
    events = runner.run(stream(gateway.http, gateway.url, body))
    message = collect(events)
    assert gateway.store.trace(message.pop("id").removeprefix("msg_")).status == "ok"
    assert message == {name: value for name, value in plain.items() if name != "id"}
    assert [event["type"] for event in events[:3]] == ["message_start", "ping", "content_block_start"]
    if model != "task:tickets":
        assert len(events) > 8


def test_an_answer_that_is_cut_says_so_and_a_schema_is_kept(runner: asyncio.Runner, gateway: Gateway) -> None:
    status, reply, _ = runner.run(
        post(gateway.http, gateway.url, {"model": "task:titles", "max_tokens": 2, "messages": ASK})
    )
    assert (status, reply["stop_reason"], reply["usage"]["output_tokens"]) == (200, "max_tokens", 2)
    form = {"type": "json_schema", "schema": SCHEMA}
    body = {"model": "base:tiny", "max_tokens": 64, "messages": ASK, "output_config": {"format": form}}
    _, reply, _ = runner.run(post(gateway.http, gateway.url, body))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply["content"][0]["text"]))


@pytest.mark.parametrize(
    ("given", "status", "kind", "code"),
    [
        ({"model": "task:nobody"}, 404, "not_found_error", "JM-704"),
        ({"max_tokens": None}, 400, "invalid_request_error", "JM-763 max_tokens"),
        ({"messages": []}, 400, "invalid_request_error", "JM-763 messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error", r"JM-763 messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, 400, "invalid_request_error", "JM-763"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "invalid_request_error", "JM-763"),
        ({"top_k": 5}, 400, "invalid_request_error", "JM-763 top_k"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 400, "invalid_request_error", "JM-763 thinking"),
        ({"tools": [{"type": "web_search_20250305", "name": "x"}]}, 400, "invalid_request_error", "JM-763 tools[0]"),
        ({"tools": [TOOL]}, 422, "invalid_request_error", "JM-711 tools"),
        ({"system": "You are a pirate."}, 422, "invalid_request_error", "JM-240"),
        ({"temperature": "hot"}, 400, "invalid_request_error", "JM-705 temperature"),
    ],
)
def test_errors_are_anthropics(
    runner: asyncio.Runner, gateway: Gateway, given: dict[str, Any], status: int, kind: str, code: str
) -> None:
    body = {"model": "task:tickets", "max_tokens": 64, "messages": ASK, **given}
    for more in ({}, {"stream": True}):
        got, reply, _ = runner.run(post(gateway.http, gateway.url, body | more))
        assert (got, reply["type"], reply["error"]["type"]) == (status, "error", kind)
        assert reply["error"]["message"].startswith(code)


def test_the_routes_own_errors_too(runner: asyncio.Runner, gateway: Gateway, tmp_path: Path) -> None:
    status, reply, _ = runner.run(gateway.post("/v1/messages", b"{no json"))
    assert (status, reply["error"]["type"]) == (400, "invalid_request_error")
    status, reply = runner.run(gateway.get("/v1/messages"))
    assert (status, reply["type"]) == (405, "error")

    async def run() -> None:
        async with door(tmp_path) as made, aiohttp.ClientSession() as http:
            body = {"model": "task:tickets", "max_tokens": 9, "messages": ASK}
            status, reply, _ = await post(http, made.url, body)
            assert (status, reply["error"]["type"]) == (401, "authentication_error")
            secret = {"x-api-key": made.key(tasks=("tickets",)).api_key}
            for model, expected in (("task:tickets", 200), ("task:salaries", 403)):
                call = http.post(f"{made.url}/v1/messages", json=body | {"model": model}, headers=secret)
                async with call as answer:
                    assert answer.status == expected
                    reply = await answer.json()
            assert reply["error"]["type"] == "permission_error"

    runner.run(run())


def test_a_talk_with_tools_and_pictures_goes_to_the_provider_and_back(runner: asyncio.Runner, tmp_path: Path) -> None:
    body = {
        "model": "big",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "kind."}],
        "messages": TALK,
        "tools": [TOOL],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
    }  # fmt: skip

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(whole(completion(content="Once more.", tool_calls=[CALL])))
            status, reply, headers = await post(made.http, made.url, body)
            assert (status, headers["content-type"]) == (200, "application/json")
            assert reply["content"] == [
                {"type": "text", "text": "Once more."},
                {"type": "tool_use", "id": "call_1", "name": "send", "input": {"to": "ada@example.org"}},
            ]
            assert (reply["stop_reason"], reply["model"]) == ("tool_use", "big-2026")
            assert reply["usage"] == {"input_tokens": 9, "output_tokens": 2}
            (seen,) = made.seen
            assert (seen.pop("_key"), seen.pop("_path")) == (f"Bearer {KEY}", "/v1/chat/completions")
            call = {"id": "call_1", "type": "function"}
            function = {"name": "send", "arguments": '{"to":"ada@example.org"}'}
            picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
            assert seen == {
                "model": "big",
                "messages": [
                    {"role": "system", "content": "Be\nkind."},
                    {"role": "user", "content": [{"type": "text", "text": "See:"}, picture]},
                    {"role": "assistant", "content": "I send it.", "tool_calls": [call | {"function": function}]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "sent"},
                    {"role": "user", "content": "And now?"},
                ],
                "max_completion_tokens": 50,
                "stop": ["END"],
                "user": "u-1",
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "send",
                            "description": "Send it.",
                            "parameters": TOOL["input_schema"],
                        },
                    }
                ],
                "tool_choice": "required",
                "parallel_tool_calls": False,
            }
            (trace,) = made.traces()
            assert trace.id == headers["x-journeyman-trace"]
            assert trace.output is not None
            assert json.loads(trace.output.tool_calls[0].arguments) == {"to": "<EMAIL_1>"}

    runner.run(run())


def test_a_streamed_talk_with_two_tools(runner: asyncio.Runner, tmp_path: Path) -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments, **more}} | ({"id": f"call_{index}"} if more else {})]})  # fmt: skip

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(
                streamed(
                    chunk({"role": "assistant", "content": "Two "}),
                    chunk({"content": "calls."}),
                    call(0, '{"to": ', name="send"),
                    call(1, '{"a"', name="look"),
                    call(0, '"x"}'),
                    call(1, ": 1}"),
                    chunk({}, "tool_calls"),
                    USAGE,
                )
            )
            message = collect(await stream(made.http, made.url, {"model": "big", "max_tokens": 9, "messages": ASK}))
            assert message["content"] == [
                {"type": "text", "text": "Two calls."},
                {"type": "tool_use", "id": "call_0", "name": "send", "input": {"to": "x"}},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}},
            ]
            assert (message["stop_reason"], message["usage"]) == ("tool_use", {"input_tokens": 9, "output_tokens": 2})
            (trace,) = made.traces()
            assert (trace.status, trace.input_tokens) == ("ok", 9)

    runner.run(run())


def test_what_goes_wrong_at_the_provider(runner: asyncio.Runner, tmp_path: Path) -> None:
    body = {"model": "big", "max_tokens": 9, "messages": ASK}

    async def run() -> None:
        async with passing(tmp_path, key="") as made:
            made.answers += [
                whole({"error": {"message": "slow down"}}, 429, {"retry-after": "7"}),
                whole("what?"),
                streamed(chunk({"content": "Half"}), end=False),
                streamed(chunk({"content": "Half"}), {"error": {"message": "out of memory"}}),
            ]
            status, reply, headers = await post(made.http, made.url, body)
            assert (status, headers["retry-after"]) == (429, "7")
            assert reply == {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
            status, reply, _ = await post(made.http, made.url, body)
            assert (status, reply["error"]["type"]) == (502, "api_error")
            assert reply["error"]["message"].startswith("JM-764")
            events = await stream(made.http, made.url, body)
            assert events[-1]["error"]["type"] == "api_error"
            assert "JM-426" in events[-1]["error"]["message"]
            events = await stream(made.http, made.url, body)
            assert events[-1] == {"type": "error", "error": {"type": "api_error", "message": "out of memory"}}
            assert {seen["_key"] for seen in made.seen} == {f"Bearer {HEADERS['x-api-key']}"}
            assert [trace.status for trace in made.traces()] == ["http-429", "JM-764", "JM-426", "ok"]

    runner.run(run())


def test_a_call_of_another_shape_goes_to_the_tasks_teacher(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with door(tmp_path) as made, aiohttp.ClientSession() as http:
            made.text = "Ahoy."
            body = {"model": "task:tickets", "max_tokens": 9, "messages": ASK, "system": "You are a pirate."}
            secret = {"x-api-key": made.key().api_key}
            async with http.post(f"{made.url}/v1/messages", json=body, headers=secret) as answer:
                assert (answer.status, answer.headers["x-journeyman-route"]) == (200, "teacher: shape")
                assert (await answer.json())["content"] == [{"type": "text", "text": "Ahoy."}]
            ((key, seen),) = made.seen
            assert (key, seen["model"], seen["messages"][0]["content"]) == (
                "Bearer sk-the-projects-own",
                "big",
                "You are a pirate.",
            )

    runner.run(run())
