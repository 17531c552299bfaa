"""Responses by the official client: answered by tasks and bases, and passed on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
from aiohttp import web

from journeyman.gateway.dialects.responses_record import bound_response
from tests.gateway.conftest import LIVE, SCHEMA, Gateway
from tests.gateway.test_app import Ticket
from tests.gateway.test_forward import KEY, Answer, passing, whole
from tests.gateway.test_keys import door

ASK = "They stole my card!"
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "send", "arguments": '{"to": "ada@example.org"}', "status": "completed"}  # fmt: skip
TOOL: Any = {"type": "function", "name": "send", "parameters": {"type": "object", "properties": {}}, "strict": False}


def response(*output: Any, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": "Done.", "annotations": []}
    said = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "big-2026",
        "output": [*output, said],
        "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
    }


def events(*items: Any) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for number, item in enumerate(items):
            data = json.dumps(item | {"sequence_number": number})
            await reply.write(f"event: {item['type']}\ndata: {data}\n\n".encode())
        return reply

    return answer


def test_a_task_answers_with_its_schema(runner: asyncio.Runner, gateway: Gateway) -> None:
    create = gateway.client.responses.create
    talk: Any = [{"role": "user", "content": [{"type": "input_text", "text": ASK}]}]
    reply = runner.run(create(model="task:tickets", input=talk, instructions="Sort a bank customer's message."))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.output_text))
    assert (reply.status, reply.model) == ("completed", f"tickets@{LIVE}")
    trace = gateway.store.trace(reply.id.removeprefix("resp_"))
    assert (trace.input, trace.status) == ({"message": ASK}, "ok")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (trace.input_tokens, trace.output_tokens)
    parsed = runner.run(gateway.client.responses.parse(model="task:tickets", input=ASK, text_format=Ticket))
    assert isinstance(parsed.output_parsed, Ticket)
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
    held = runner.run(create(model="base:tiny", input=ASK, text=form, max_output_tokens=64))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(held.output_text))


@pytest.mark.parametrize("model", ["task:tickets", "task:titles", "base:tiny"])
def test_streams_say_what_plain_calls_say(runner: asyncio.Runner, gateway: Gateway, model: str) -> None:
    create = gateway.client.responses.create

    async def collect() -> list[Any]:
        return [item async for item in await create(model=model, input=ASK, max_output_tokens=64, stream=True)]

    async def follow() -> Any:
        """The client's own reading of the events, which checks their order."""
        async with gateway.client.responses.stream(model=model, input=ASK, max_output_tokens=64) as stream:
            return await stream.get_final_response()

    plain = runner.run(create(model=model, input=ASK, max_output_tokens=64))
    found = runner.run(collect())
    assert [item.sequence_number for item in found] == list(range(len(found)))
    kinds = [item.type for item in found]
    deltas = kinds.count("response.output_text.delta")
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        f"response.{plain.status}",
    ]
    assert "".join(item.delta for item in found if item.type == "response.output_text.delta") == plain.output_text
    last = found[-1].response
    assert (last.output_text, last.usage) == (plain.output_text, plain.usage)
    assert gateway.store.trace(last.id.removeprefix("resp_")).status == "ok"
    if plain.status == "completed":
        assert runner.run(follow()).output_text == plain.output_text


def test_an_answer_that_is_cut_says_so(runner: asyncio.Runner, gateway: Gateway) -> None:
    reply = runner.run(gateway.client.responses.create(model="task:titles", input=ASK, max_output_tokens=2))
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"input": []}, 400, "JM-765"),
        ({"input": 5}, 400, "JM-765"),
        ({"instructions": [1]}, 400, "JM-765"),
        ({"text": {"format": {"type": "xml"}}}, 400, "JM-765"),
        ({"text": {"format": {"type": "json_schema"}}}, 400, "JM-765"),
        ({"tools": [TOOL]}, 422, "JM-766"),
        ({"previous_response_id": "resp_1"}, 422, "JM-766"),
        ({"input": [CALL]}, 422, "JM-766"),
        ({"input": [{"role": "pirate", "content": "x"}]}, 400, "JM-310"),
        ({"model": "task:nobody"}, 404, "JM-704"),
    ],
)
def test_what_is_not_served_is_said(
    runner: asyncio.Runner, gateway: Gateway, given: dict[str, Any], status: int, code: str
) -> None:
    body = {"model": "task:tickets", "input": ASK, **given}
    got, reply, _ = runner.run(gateway.post("/v1/responses", body))
    assert (got, reply["error"]["code"]) == (status, code)


def test_a_call_goes_through_as_it_came(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(whole(response(CALL)))
            result: Any = {"type": "function_call_output", "call_id": "call_1", "output": "sent"}
            talk: Any = [{"role": "user", "content": "Write to ada@example.org"}, CALL, result]
            reply = await made.client().responses.create(
                model="other/big", input=talk, tools=[TOOL], previous_response_id="resp_0"
            )
            assert reply.output[0].type == "function_call"
            (seen,) = made.seen
            assert (seen["_path"], seen["_key"], seen["input"]) == ("/v1/responses", f"Bearer {KEY}", talk)
            assert (seen["model"], seen["previous_response_id"]) == ("big", "resp_0")
            assert "stream_options" not in seen
            (trace,) = made.traces("model:other/big")
            assert (trace.status, trace.input_tokens, trace.output_tokens) == ("ok", 9, 2)
            assert trace.cost_usd == pytest.approx((9 * 2 + 2 * 8) / 1e6)
            assert [message.role for message in trace.messages] == ["user", "assistant", "tool"]
            assert trace.messages[0].text == "Write to <EMAIL_1>"
            assert trace.output is not None
            assert json.loads(trace.output.tool_calls[0].arguments) == {"to": "<EMAIL_1>"}

    runner.run(run())


def test_a_stream_goes_through_and_one_that_breaks_off_says_so(runner: asyncio.Runner, tmp_path: Path) -> None:
    begun = {"type": "response.created", "response": response(status="in_progress") | {"output": []}}
    piece = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Do", "logprobs": []}  # fmt: skip
    ended = {"type": "response.completed", "response": response()}

    async def run() -> None:
        async with passing(tmp_path) as made:
            for answer, last in ((events(begun, piece, ended), "response.completed"), (events(begun, piece), "error")):
                made.answers.append(answer)
                stream = await made.client().responses.create(model="big", input=ASK, stream=True)
                assert [item.type async for item in stream] == [
                    "response.created",
                    "response.output_text.delta",
                    last,
                ]
            whole_, half = made.traces()
            assert whole_.output is not None
            assert half.output is not None
            assert (whole_.status, whole_.output.text, whole_.input_tokens) == ("ok", "Done.", 9)
            assert (half.status, half.output.text, half.input_tokens) == ("JM-426", "Do", None)

    runner.run(run())


@pytest.mark.parametrize(
    "given",
    [
        {"previous_response_id": "resp_of_somebody"},
        {"conversation": "conv_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
    ],
)
def test_with_keys_a_call_stands_for_itself(tmp_path: Path, given: dict[str, Any]) -> None:
    async def run() -> None:
        async with door(tmp_path) as made:
            for name in ("big-model", "task:tickets"):
                body = {"model": name, "input": ASK, **given}
                with pytest.raises(openai.BadRequestError, match="JM-767"):
                    await made.key().post("/responses", cast_to=object, body=body)
            assert made.seen == []

    asyncio.run(run())


def test_the_most_tokens_that_a_call_can_cost() -> None:
    assert bound_response({"input": ASK, "max_output_tokens": 50}) == (50, {})
    assert bound_response({"input": ASK}) == (4096, {"max_output_tokens": 4096})
