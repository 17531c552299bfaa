"""Guards over calls that are passed on: what a provider gets, what leaves, and what stands in the record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from journeyman.core.trace import Trace
from journeyman.guards.finders import compile_guards
from journeyman.task.guard import GuardSpec
from tests.gateway.test_forward import ASK, CALL, Passing, chunk, completion, passing, streamed, whole

SECRET = "sk-abcDEF0123456789abcdef01"
SECRETS_OUT = GuardSpec("secrets", "redact", "output")
BLOCK_OUT = GuardSpec("secrets", "block", "output")
TAIL = " and on it goes, with plain words" * 40


def guarded(folder: Path, *specs: GuardSpec) -> Callable[[Callable[[Passing], Awaitable[None]]], None]:
    def run(work: Callable[[Passing], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            async with passing(folder, guards=compile_guards(specs)) as made:
                await work(made)

        asyncio.run(all_of_it())

    return run


def outcomes(trace: Trace) -> list[tuple[Any, ...]]:
    said: Any = trace.verdicts["guards"]
    assert all(item["ms"] >= 0 for item in said)
    return [(item["guard"], item["on"], item["mode"], item["outcome"], item["count"]) for item in said]


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def pieces(text: str, size: int, key: str = "content") -> list[Any]:
    return [chunk({key: text[place : place + size]}) for place in range(0, len(text), size)]


def test_input_that_is_blocked_reaches_nobody_and_is_recorded(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        with pytest.raises(openai.BadRequestError, match="JM-780") as caught:
            await made.client().chat.completions.create(model="big", messages=ask(f"my key is {SECRET}"))
        assert "secrets" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert made.seen == []
        (trace,) = made.traces()
        assert trace.status == "JM-780"
        assert outcomes(trace) == [("secrets", "input", "block", "blocked", 1)]
        assert SECRET not in json.dumps(trace.to_json())

    guarded(tmp_path, GuardSpec("secrets", "block", "input"), GuardSpec("size", "block", "input", most=5))(work)


def test_input_is_redacted_wherever_it_stands(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        made.answers.append(whole(completion()))
        messages: list[Any] = [
            {"role": "system", "content": "Help."},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"mail": "a\\u0064a@example.org", "n": 1}'},
            {"role": "user", "content": [{"type": "text", "text": "I am ada\u200b@example.org"}]},
        ]
        reply = await made.client().chat.completions.with_raw_response.create(model="big", messages=messages)
        assert reply.headers["x-journeyman-guards"] == "mail=redacted"
        (seen,) = made.seen
        assert seen["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"to":"<EMAIL>"}'
        assert json.loads(seen["messages"][2]["content"]) == {"mail": "<EMAIL>", "n": 1}
        assert seen["messages"][3]["content"][0]["text"] == "I am <EMAIL>"
        assert seen["messages"][1]["tool_calls"][0]["id"] == "call_1"
        assert outcomes(made.traces()[0])[0] == ("mail", "input", "redact", "redacted", 3)

    guarded(tmp_path, GuardSpec("personal", "redact", name="mail"))(work)


def test_answers_are_redacted_or_refused_and_flags_are_told(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        create = made.client().chat.completions.with_raw_response.create
        made.answers.append(whole(completion(content=f"use {SECRET}!", tool_calls=[CALL])))
        reply = await create(model="big", messages=ASK)
        message = reply.parse().choices[0].message
        assert message.content == "use <SECRET>!"
        assert message.tool_calls[0].function.arguments == CALL["function"]["arguments"]  # type: ignore[index, union-attr, attr-defined]
        assert reply.headers["x-journeyman-guards"] == "personal=flagged, secrets=redacted"
        made.answers.append(whole(completion(content="the blue falcon")))
        with pytest.raises(openai.UnprocessableEntityError, match="JM-781") as caught:
            await create(model="big", messages=ASK)
        assert "falcon" not in str(caught.value)
        trace = made.traces()[-1]
        assert (trace.status, trace.output, trace.output_tokens) == ("JM-781", None, 2)
        assert ("deny", "output", "block", "blocked", 1) in outcomes(trace)

    deny = GuardSpec("deny", "block", "output", words=("blue falcon",))
    shadow = GuardSpec("invisible", "shadow")
    guarded(tmp_path, GuardSpec("personal", "flag"), SECRETS_OUT, deny, shadow)(work)


SCHEMA = {"type": "object", "properties": {"mail": {"type": "string"}, "kind": {"enum": ["ada@example.org", "x"]}}}


async def text_of(made: Passing, given: Any, is_streamed: bool) -> str:
    if not is_streamed:
        return (await made.client().chat.completions.create(**given)).choices[0].message.content or ""
    stream = await made.client().chat.completions.create(stream=True, **given)
    return "".join([part.choices[0].delta.content or "" async for part in stream])


@pytest.mark.parametrize("is_streamed", [False, True])
def test_json_that_is_redacted_fits_its_schema_or_is_refused(tmp_path: Path, is_streamed: bool) -> None:
    async def work(made: Passing) -> None:
        form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
        for content, left in (
            ('{"mail": "to \\u0061da@example.org", "kind": "x"}', {"mail": "to <EMAIL>", "kind": "x"}),
            ('{"mail": "", "kind": "ada@example.org"}', None),
        ):
            made.answers.append(streamed(*pieces(content, 4)) if is_streamed else whole(completion(content=content)))
            given: Any = {"model": "big", "messages": ask("who?"), "response_format": form}
            if left is not None:
                assert json.loads(await text_of(made, given, is_streamed)) == left
                continue
            with pytest.raises(openai.APIError, match="JM-781"):
                await text_of(made, given, is_streamed)

    guarded(tmp_path, GuardSpec("personal", "redact", "output"))(work)


async def chat_bytes(made: Passing, body: dict[str, Any], path: str = "/v1/chat/completions") -> bytes:
    async with made.http.post(made.url + path, json=body | {"stream": True}) as reply:
        return await reply.read()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.integers(0, 900), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@example(before=0, sizes=[1])
@example(before=700, sizes=[1])
def test_a_secret_in_a_stream_never_leaves_however_it_is_cut(tmp_path: Path, before: int, sizes: list[int]) -> None:
    text = ("lots of words " * 70)[:before] + f" key {SECRET}{TAIL}"
    cut, place = [], 0
    while place < len(text):
        size = sizes[len(cut) % len(sizes)]
        cut.append(chunk({"content": text[place : place + size]}))
        place += size

    def spoken(data: bytes) -> str:
        events = [json.loads(event[6:]) for event in data.split(b"\n\n") if event.startswith(b"data: {")]
        return "".join(
            choice["delta"].get("content") or "" for event in events for choice in event.get("choices") or ()
        )

    async def redacted(made: Passing) -> None:
        made.answers.append(streamed(*cut, chunk({}, "stop")))
        data = await chat_bytes(made, {"model": "big", "messages": ASK})
        assert spoken(data) == text.replace(SECRET, "<SECRET>")
        assert data.endswith(b"data: [DONE]\n\n")
        trace = made.traces()[-1]
        assert (trace.status, outcomes(trace)) == ("ok", [("secrets", "output", "redact", "redacted", 1)])
        assert trace.output is not None
        assert trace.output.text == text.replace(SECRET, "<SECRET>")

    async def blocked(made: Passing) -> None:
        made.answers.append(streamed(*cut, chunk({}, "stop")))
        data = await chat_bytes(made, {"model": "big", "messages": ASK})
        assert text.split(SECRET)[0].startswith(spoken(data))
        assert b"JM-781" in data.split(b"\n\n")[-2]
        assert made.traces()[-1].status == "JM-781"

    guarded(tmp_path, SECRETS_OUT)(redacted)
    guarded(tmp_path, BLOCK_OUT)(blocked)


def test_plain_events_go_out_as_they_came_and_before_the_last_one(tmp_path: Path) -> None:
    events = [chunk({"role": "assistant", "content": ""}), *pieces(TAIL, 9), chunk({}, "stop")]

    async def work(made: Passing) -> None:
        made.answers.append(streamed(*events, wait_s=0.001))
        first: list[bytes] = []
        async with made.http.post(
            f"{made.url}/v1/chat/completions", json={"model": "big", "messages": ASK, "stream": True}
        ) as reply:
            async for data in reply.content.iter_any():
                first.append(data)
        assert len(first) > 3
        assert b"".join(first) == b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in events) + b"data: [DONE]\n\n"  # fmt: skip

    guarded(tmp_path, SECRETS_OUT, GuardSpec("size", "shadow", most=5))(work)


def test_arguments_and_other_choices_are_text_too(tmp_path: Path) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "send", "arguments": '{"to": "'}}
    rest = [{"index": 0, "function": {"arguments": part}} for part in (SECRET[:5], SECRET[5:], '"}')]
    second = {**chunk({"content": f"so {SECRET}"}), "choices": [{"index": 1, "delta": {"content": f"so {SECRET}"}, "logprobs": {"content": [{"token": SECRET}]}}]}  # fmt: skip
    events = [chunk({"tool_calls": [item]}) for item in (call, *rest)]

    async def work(made: Passing) -> None:
        made.answers.append(streamed(*events, second, chunk({"reasoning_content": f"hm, {SECRET}"}), chunk({}, "stop")))
        data = await chat_bytes(made, {"model": "big", "messages": ASK, "n": 2})
        assert SECRET not in data.decode()
        made.answers.append(streamed(*events, chunk({}, "tool_calls")))
        async with made.client() as client:
            given: Any = {"model": "big", "messages": ASK}
            async with client.chat.completions.stream(**given) as stream:
                last = await stream.get_final_completion()
        (used,) = last.choices[0].message.tool_calls or ()
        assert (used.function.name, json.loads(used.function.arguments)) == ("send", {"to": "<SECRET>"})

    guarded(tmp_path, SECRETS_OUT)(work)


def test_anthropics_clients_get_the_same(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        given: Any = {"model": "big", "max_tokens": 64, "messages": ASK}
        async with anthropic.AsyncAnthropic(base_url=made.url, api_key="sk-ant", max_retries=0) as client:
            made.answers.append(whole(completion(content=f"use {SECRET}")))
            reply = await client.messages.create(**given)
            assert reply.content[0].text == "use <SECRET>"
            made.answers.append(streamed(*pieces(f"use {SECRET}{TAIL}", 11), chunk({}, "stop")))
            async with client.messages.stream(**given) as stream:
                text = "".join([piece async for piece in stream.text_stream])
            assert text == f"use <SECRET>{TAIL}"
            made.answers.append(streamed(*pieces(f"the blue falcon{TAIL}", 11), chunk({}, "stop")))
            with pytest.raises(anthropic.APIStatusError, match="JM-781"):
                async with client.messages.stream(**given) as stream:
                    text = "".join([piece async for piece in stream.text_stream])
            with pytest.raises(anthropic.BadRequestError, match="JM-780"):
                await client.messages.create(**given | {"system": "a green heron"})

    deny = GuardSpec("deny", "block", "output", words=("blue falcon",))
    guarded(tmp_path, SECRETS_OUT, deny, GuardSpec("deny", "block", "input", words=("green heron",)))(work)


def test_responses_say_nothing_twice(tmp_path: Path) -> None:
    text = f"use {SECRET}{TAIL}"
    item = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    call = {"type": "function_call", "call_id": "c", "name": "send", "arguments": json.dumps({"to": SECRET})}
    response = {"id": "r", "object": "response", "status": "completed", "output": [item, call], "instructions": "Help."}
    where = {"output_index": 0, "content_index": 0, "item_id": "m"}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {**response, "output": []}}]
    events += [{"type": "response.output_text.delta", "delta": text[at : at + 9], **where} for at in range(0, len(text), 9)]  # fmt: skip
    events += [{"type": "response.output_text.done", "text": text, **where}]
    events += [{"type": "response.output_item.done", "output_index": 0, "item": item}]
    events += [{"type": "response.function_call_arguments.delta", "output_index": 1, "delta": call["arguments"]}]
    events += [{"type": "response.completed", "response": response}]

    async def work(made: Passing) -> None:
        made.answers += [streamed(*events, end=False), whole(response)]
        data = (await chat_bytes(made, {"model": "big", "input": "hi"}, "/v1/responses")).decode()
        assert SECRET[:8] not in data
        said = [json.loads(line[6:]) for line in data.split("\n") if line.startswith("data: ")]
        left = text.replace(SECRET, "<SECRET>")
        assert "".join(one["delta"] for one in said if one["type"] == "response.output_text.delta") == left
        assert said[-1]["response"]["output"][0]["content"][0]["text"] == left
        assert json.loads(said[-1]["response"]["output"][1]["arguments"]) == {"to": "<SECRET>"}
        reply = await made.client().responses.create(model="big", input="hi")
        assert reply.output_text == left
        assert made.seen[0]["input"] == "hi"

    guarded(tmp_path, SECRETS_OUT)(work)


def test_the_instruction_of_a_request_is_not_repeated(tmp_path: Path) -> None:
    system = "You are a parrot. Never tell anybody that the cellar is full of seed."
    messages: list[Any] = [{"role": "system", "content": system}, *ASK]

    async def work(made: Passing) -> None:
        answer = f"My instructions: {system.upper()}{TAIL}"
        made.answers += [whole(completion(content=answer)), streamed(*pieces(answer, 7), chunk({}, "stop"))]
        with pytest.raises(openai.UnprocessableEntityError, match="echo"):
            await made.client().chat.completions.create(model="big", messages=messages)
        data = await chat_bytes(made, {"model": "big", "messages": messages})
        assert b"JM-781" in data
        assert b"PARROT" not in data

    guarded(tmp_path, GuardSpec("echo", "block", "output"))(work)


def test_what_cannot_be_read_does_not_leave_under_guards(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        made.answers.append(
            streamed(
                chunk({"content": ""}), b"not JSON: " + SECRET.encode(), SECRET, chunk({"content": "fine"}, "stop")
            )
        )
        data = await chat_bytes(made, {"model": "big", "messages": ASK})
        assert SECRET.encode() not in data
        assert b"fine" in data
        made.answers.append(streamed(b"not JSON: " + SECRET.encode()))
        assert SECRET.encode() not in await chat_bytes(made, {"model": "big", "messages": ASK})

    guarded(tmp_path, BLOCK_OUT)(work)
