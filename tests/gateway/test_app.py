from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import Any, Literal

import jsonschema_rs
import openai
import pytest
from pydantic import BaseModel, ConfigDict

from journeyman.core.messages import make_message
from journeyman.models.protocol import Decoding, Reply, Request
from journeyman.models.remote import OpenAIModel
from tests.gateway.conftest import LIVE, OLD, SCHEMA, TICKETS, Gateway

ASK = [{"role": "user", "content": "They stole my card!"}]


class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    intent: Literal["refund", "card_lost", "other"]
    urgent: bool


def _traces(gateway: Gateway, task: str = "tickets") -> list[Any]:
    return list(gateway.store.traces(task))


def test_the_official_client_gets_a_valid_answer(runner: asyncio.Runner, gateway: Gateway) -> None:
    reply = runner.run(gateway.client.chat.completions.create(model="task:tickets", messages=ASK))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.choices[0].message.content))
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == f"tickets@{LIVE}"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 10
    trace = gateway.store.trace(reply.id.removeprefix("chatcmpl-"))
    assert (trace.task, trace.release, trace.origin, trace.status) == ("tickets", LIVE, "serve", "ok")
    assert trace.input == {"message": "They stole my card!"}
    assert trace.output.value == json.loads(reply.choices[0].message.content)
    assert trace.input_tokens == reply.usage.prompt_tokens
    assert trace.instruction_hash == TICKETS.instruction_hash


def test_the_tasks_own_instruction_is_welcome_and_not_sent_to_the_student(
    runner: asyncio.Runner, gateway: Gateway
) -> None:
    with_system = [{"role": "system", "content": "Sort a bank  customer's message.\n"}, *ASK]
    first = runner.run(gateway.client.chat.completions.create(model="task:tickets", messages=with_system))
    second = runner.run(gateway.client.chat.completions.create(model="task:tickets", messages=ASK))
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.usage.prompt_tokens == second.usage.prompt_tokens
    assert [message.role for message in _traces(gateway)[-1].messages] == ["user"]


def test_the_clients_own_parsing_works_against_the_tasks_schema(runner: asyncio.Runner, gateway: Gateway) -> None:
    reply = runner.run(
        gateway.client.chat.completions.parse(model="task:tickets", messages=ASK, response_format=Ticket)
    )
    assert isinstance(reply.choices[0].message.parsed, Ticket)


@pytest.mark.parametrize("model", ["task:tickets", "task:titles", "base:tiny"])
def test_streams_say_what_plain_calls_say(runner: asyncio.Runner, gateway: Gateway, model: str) -> None:
    create = gateway.client.chat.completions.create

    async def collect() -> list[Any]:
        stream = await create(
            model=model, messages=ASK, max_tokens=64, stream=True, stream_options={"include_usage": True}
        )
        return [chunk async for chunk in stream]

    whole = runner.run(create(model=model, messages=ASK, max_tokens=64))
    chunks = runner.run(collect())
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage.model_copy()
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1
    assert gateway.store.trace(chunks[0].id.removeprefix("chatcmpl-")).status == "ok"
    if model != "task:tickets":
        assert len(chunks) > 4


def test_a_schema_reply_is_held_until_it_is_verified(runner: asyncio.Runner, gateway: Gateway) -> None:
    body = {"model": "task:tickets", "messages": ASK, "stream": True}
    before = len(_traces(gateway))

    async def pieces() -> list[bytes]:
        async with gateway.http.post(f"{gateway.url}/v1/chat/completions", json=body) as reply:
            assert reply.headers["x-journeyman-trace"] == _traces(gateway)[-1].id
            return (await reply.read()).split(b"\n\n")

    events = runner.run(pieces())
    contents = [json.loads(event[6:])["choices"][0]["delta"].get("content") for event in events[:-2]]
    assert len([content for content in contents if content]) == 1
    assert events[-2:] == [b"data: [DONE]", b""]
    assert len(_traces(gateway)) == before + 1


def test_a_release_by_hash_and_prefix_and_a_moved_alias(runner: asyncio.Runner, gateway: Gateway) -> None:
    create = gateway.client.chat.completions.create
    assert runner.run(create(model="tickets@a1b2", messages=ASK)).model == f"tickets@{LIVE}"
    gateway.live["tickets"] = OLD
    try:
        status, body, _ = runner.run(gateway.post("/tasks/tickets", {"message": "hi"}))
    finally:
        gateway.live["tickets"] = LIVE
    assert (status, body["error"]["code"]) == (422, "JM-720")


def test_an_answer_that_stays_cut_is_refused_and_kept(runner: asyncio.Runner, gateway: Gateway) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="JM-720") as caught:
        runner.run(gateway.client.chat.completions.create(model=f"tickets@{OLD}", messages=ASK))
    assert "was cut after" in str(caught.value)
    assert caught.value.code == "JM-720"
    trace = _traces(gateway)[-1]
    assert (trace.status, trace.verdicts["valid"], trace.verdicts["attempts"]) == ("invalid", False, 2)
    with pytest.raises(openai.UnprocessableEntityError, match="JM-720"):
        runner.run(gateway.client.chat.completions.create(model=f"tickets@{OLD}", messages=ASK, stream=True))


def test_typed_route(runner: asyncio.Runner, gateway: Gateway) -> None:
    status, answer, headers = runner.run(gateway.post("/tasks/tickets", {"message": "Where is my money?"}))
    assert status == 200
    assert Ticket.model_validate(answer)
    assert list(answer) == ["intent", "urgent"]
    assert headers["x-journeyman-release"] == LIVE
    assert gateway.store.trace(headers["x-journeyman-trace"]).output.value == answer
    status, answer, _ = runner.run(gateway.post("/tasks/titles", {"message": "Hello"}))
    assert (status, list(answer)) == (200, ["text"])
    assert runner.run(gateway.post("/tasks/tickets@a1b2", {"message": "x"}))[0] == 200


def test_only_an_evaluation_may_name_its_origin(runner: asyncio.Runner, gateway: Gateway) -> None:
    for said, kept in (("assess", "assess"), ("import", "serve"), ("", "serve")):
        headers = {"x-journeyman-origin": said}
        _, _, reply = runner.run(gateway.post("/tasks/tickets", {"message": "hi"}, headers))
        assert gateway.store.trace(reply["x-journeyman-trace"]).origin == kept


def test_what_is_personal_reaches_neither_student_nor_store(runner: asyncio.Runner, gateway: Gateway) -> None:
    message = "Please refund me, write to ada.lovelace@example.org"
    for path, body in (
        ("/tasks/tickets", {"message": message}),
        ("/v1/chat/completions", {"model": "base:tiny", "messages": [{"role": "user", "content": message}]}),
    ):
        status, _, headers = runner.run(gateway.post(path, body))
        assert status == 200
        stored = json.dumps(gateway.store.trace(headers["x-journeyman-trace"]).to_json())
        assert "refund me" in stored
        assert "lovelace" not in stored


def test_surrogates_are_put_back_for_the_caller_only(runner: asyncio.Runner, gateway: Gateway) -> None:
    status, answer, headers = runner.run(gateway.post("/tasks/contacts", {"message": "I am ada@example.org, thanks"}))
    trace = gateway.store.trace(headers["x-journeyman-trace"])
    assert (status, answer) == (200, {"mail": "ada@example.org"})
    assert trace.input == {"message": "I am <EMAIL_1>, thanks"}
    assert trace.output.value == {"mail": "<EMAIL_1>"}
    assert trace.messages[0].text == "I am <EMAIL_1>, thanks"


def test_listings(runner: asyncio.Runner, gateway: Gateway) -> None:
    async def list_models() -> set[str]:
        return {model.id async for model in gateway.client.models.list()}

    assert runner.run(list_models()) >= {"task:tickets", f"tickets@{OLD}", "base:tiny"}
    assert runner.run(gateway.client.models.retrieve("base:tiny")).id == "base:tiny"
    status, health = runner.run(gateway.get("/healthz"))
    assert (status, health["status"]) == (200, "ok")
    tasks = runner.run(gateway.get("/tasks"))[1]["tasks"]
    assert [(task["name"], task["live"]) for task in tasks] == [("tickets", LIVE), ("titles", LIVE), ("contacts", LIVE)]


def test_the_openapi_page_describes_each_task(runner: asyncio.Runner, gateway: Gateway) -> None:
    document = runner.run(gateway.get("/openapi.json"))[1]
    operation = document["paths"]["/tasks/tickets"]["post"]
    fields = operation["requestBody"]["content"]["application/json"]["schema"]
    assert fields["required"] == ["message"]
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == SCHEMA
    assert {path for path in document["paths"] if path.startswith("/tasks/")} == {
        "/tasks/tickets",
        "/tasks/titles",
        "/tasks/contacts",
    }


def test_the_openapi_page_describes_the_dialects(runner: asyncio.Runner, gateway: Gateway) -> None:
    """What is really answered fits it, and so does an error; what the official client cannot send without is required."""
    document = runner.run(gateway.get("/openapi.json"))[1]
    asked = {"model": "task:tickets", "messages": ASK, "input": "My card was stolen", "max_tokens": 64}
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        operation = document["paths"][path]["post"]
        for body, status in ((asked, 200), ({"model": "task:tickets"}, None)):
            got, said, _ = runner.run(gateway.post(path, body))
            assert got == status or (status is None and got in (400, 422)), said
            content = operation["responses"]["200" if got == 200 else "default"]["content"]
            schema = content["application/json"]["schema"] | {"components": document["components"]}
            assert jsonschema_rs.validator_for(schema).is_valid(said), said
            needs = operation["requestBody"]["content"]["application/json"]["schema"]
            is_allowed = jsonschema_rs.validator_for(needs | {"components": document["components"]}).is_valid(body)
            assert is_allowed == (status == 200)


def test_the_openapi_page_loads_nothing_from_elsewhere(runner: asyncio.Runner, gateway: Gateway) -> None:
    async def load() -> dict[str, int]:
        async with gateway.http.get(f"{gateway.url}/docs") as page:
            links = re.findall(r'(?:src|href)="([^"]+)"', await page.text())
        statuses = {}
        for link in links:
            async with gateway.http.get(gateway.url + link) as reply:
                statuses[link] = reply.status
        return statuses

    statuses = runner.run(load())
    assert {link.rsplit(".", 1)[1] for link in statuses} >= {"js", "css"}
    assert all(link.startswith("/") and status == 200 for link, status in statuses.items()), statuses


CHAT = {"model": "task:tickets", "messages": ASK}
OTHER = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
EARLIER = [*ASK, {"role": "assistant", "content": "{}"}, *ASK]


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b"{", 400, "JM-703", "not JSON"),
        (b'{"model": "\xff"}', 400, "JM-703", "not JSON"),
        (b'{"model": "' + b"x" * 1_000_001 + b'"}', 413, "JM-702", "at most 1000000 bytes"),
        (b'{"model": "' + b"x" * 20_000_000 + b'"}', 413, "JM-702", "at most 1000000 bytes"),
        ([], 400, "JM-705", "a JSON object"),
        ({}, 400, "JM-705", "model is missing"),
        (CHAT | {"messages": []}, 400, "JM-705", "one or more messages"),
        (CHAT | {"messages": "hi"}, 400, "JM-705", "messages"),
        (CHAT | {"messages": [{"role": "boss"}]}, 400, "JM-310", "messages[0].role"),
        (CHAT | {"temperature": "hot"}, 400, "JM-705", "a number from 0 to 2"),
        (CHAT | {"temperature": True}, 400, "JM-705", "a number from 0 to 2"),
        (CHAT | {"max_tokens": 0}, 400, "JM-705", "a whole number from 1 on"),
        (CHAT | {"stream": "yes"}, 400, "JM-705", "true or false"),
        (CHAT | {"stop": [""]}, 400, "JM-705", "stop"),
        (CHAT | {"response_format": {"type": "xml"}}, 400, "JM-705", "json_schema"),
        (CHAT | {"n": 2}, 422, "JM-711", "n is not served"),
        (CHAT | {"tools": [{"type": "function", "function": {"name": "f"}}]}, 422, "JM-711", "leave tools out"),
        (CHAT | {"model": "task:ticket"}, 404, "JM-704", "did you mean task:tickets?"),
        (CHAT | {"model": "gpt-5"}, 404, "JM-704", "one of task:tickets"),
        (CHAT | {"model": "tickets@a1"}, 404, "JM-714", "not unique"),
        (CHAT | {"model": "tickets@a1b"}, 404, "JM-714", "too short"),
        (CHAT | {"model": "tickets@ffff"}, 404, "JM-704", "tickets@ffff"),
        (CHAT | {"messages": [{"role": "system", "content": "Be a pirate."}, *ASK]}, 422, "JM-240", "teacher"),
        (CHAT | {"messages": EARLIER}, 422, "JM-241", "earlier assistant turn"),
        (CHAT | {"messages": [{"role": "system", "content": "x"}]}, 422, "JM-240", "teacher"),
        (CHAT | {"response_format": OTHER}, 422, "JM-712", "contradicts the task"),
        (CHAT | {"model": "task:titles", "response_format": OTHER}, 422, "JM-712", "contradicts the task"),
        (CHAT | {"model": "task:titles", "response_format": {"type": "json_object"}}, 422, "JM-712", "free text"),
        (CHAT | {"messages": [{"role": "user", "content": "long " * 600}]}, 400, "JM-422", "does not fit"),
    ],
)
def test_bad_calls_get_one_clear_error(
    runner: asyncio.Runner, gateway: Gateway, body: Any, status: int, code: str, says: str
) -> None:
    got, raw, _ = runner.run(gateway.post("/v1/chat/completions", body, {"content-type": "application/json"}))
    assert (got, raw["error"]["code"]) == (status, code)
    assert says in raw["error"]["message"] + raw["error"]["hint"]
    assert set(raw["error"]) == {"message", "type", "param", "code", "hint"}
    assert raw["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/tasks/tickets", {}, 422, "JM-231"),
        ("/tasks/tickets", {"message": "x", "mesage": "y"}, 422, "JM-230"),
        ("/tasks/tickets", {"message": 7}, 422, "JM-232"),
        ("/tasks/tickets", ["x"], 400, "JM-705"),
        ("/tasks/nothing", {"message": "x"}, 404, "JM-704"),
        ("/v1/audio/speech", {}, 404, "JM-706"),
        ("/v1/models", {}, 405, "JM-707"),
    ],
)
def test_bad_typed_calls_and_routes(
    runner: asyncio.Runner, gateway: Gateway, path: str, body: Any, status: int, code: str
) -> None:
    got, raw, _ = runner.run(gateway.post(path, body))
    assert (got, raw["error"]["code"]) == (status, code)


def test_the_base_is_held_to_a_requests_own_schema(runner: asyncio.Runner, gateway: Gateway) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "ticket", "strict": True, "schema": SCHEMA}}
    create = gateway.client.chat.completions.create
    reply = runner.run(create(model="base:tiny", messages=ASK, response_format=form, max_tokens=64))
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.choices[0].message.content))
    refused = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {"type": "string"}}}}
    with pytest.raises(openai.UnprocessableEntityError, match="JM-211"):
        runner.run(create(model="base:tiny", messages=ASK, response_format=refused))


def test_a_killed_worker_costs_the_caller_nothing(runner: asyncio.Runner, gateway: Gateway) -> None:
    create = gateway.client.chat.completions.create

    async def kill_while_answering() -> Any:
        pid = gateway.engine.worker_pid
        os.kill(pid, signal.SIGSTOP)
        call = asyncio.create_task(create(model="task:tickets", messages=ASK))
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        return await call

    before = runner.run(create(model="task:tickets", messages=ASK)).choices[0].message.content
    assert runner.run(kill_while_answering()).choices[0].message.content == before


def test_our_own_remote_client_speaks_to_our_gateway(runner: asyncio.Runner, gateway: Gateway) -> None:
    model = OpenAIModel("student", f"{gateway.url}/v1", model="task:tickets")
    request = Request(
        (make_message("user", "They stole my card!"),),
        Decoding(schema=SCHEMA, max_tokens=64),
        headers={"x-journeyman-origin": "assess"},
    )

    async def both() -> tuple[Reply, str]:
        try:
            return await model.complete(request), "".join([piece async for piece in model.stream(request)])
        finally:
            await model.close()

    reply, streamed = runner.run(both())
    assert reply.text == streamed
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(reply.text))
    assert reply.input_tokens is not None
    assert [trace.origin for trace in _traces(gateway)[-2:]] == ["assess", "assess"]


def test_many_at_once_are_all_recorded(runner: asyncio.Runner, gateway: Gateway) -> None:
    before = len(_traces(gateway))

    async def burst() -> list[Any]:
        return await asyncio.gather(*(gateway.post("/tasks/tickets", {"message": f"call {n}"}) for n in range(24)))

    replies = runner.run(burst())
    assert {status for status, _, _ in replies} == {200}
    ids = {headers["x-journeyman-trace"] for _, _, headers in replies}
    assert ids == {trace.id for trace in _traces(gateway)[before:]}
