"""Calls passed on with a schema: what does not fit it never leaves with 200, whole or streamed, in each dialect."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.test_forward import ASK, CALL, TOOL, Passing, chunk, completion, passing, streamed, whole
from tests.gateway.test_upstreams import fronting
from tests.models.anthropic_provider import events_of, message, text_block, tool_block
from tests.models.anthropic_provider import streamed as message_stream
from tests.models.anthropic_provider import whole as message_whole

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"mail": {"type": "string", "format": "email"}},
    "required": ["mail"],
    "additionalProperties": False,
}
GOOD = '{"mail": "ada@example.org"}'
BAD = {
    "schema": '{"mail": "nobody"}',
    "missing": "{}",
    "fenced": f"```json\n{GOOD}\n```",
    "twice": '{"mail": "x", "mail": "ada@example.org"}',
    "more": GOOD + " Done.",
    "broken": GOOD[:-1],
    "constant": '{"mail": NaN}',
    "empty": "",
    "huge": json.dumps({"mail": "x" * 3_000_000}),
}


def form(schema: Any = SCHEMA, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True, **more}}


def response_of(text: str, status: str = "completed") -> dict[str, Any]:
    item = {"type": "message", "id": "m", "status": status, "role": "assistant"}
    item["content"] = [{"type": "output_text", "text": text, "annotations": []}]
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    return {"id": "r", "object": "response", "created_at": 1, "model": "big", "status": status, "output": [item], "usage": usage}  # fmt: skip


def response_events(pieces: list[str], closing: str | None = None) -> list[Any]:
    said: list[Any] = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece}
        for piece in pieces
    ]
    text = "".join(pieces) if closing is None else closing
    return [*said, {"type": "response.completed", "response": response_of(text)}]


async def ask(made: Passing, path: str, body: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
    async with made.http.post(f"{made.url}/v1/{path}", json={"model": "big"} | body) as reply:
        return reply.status, await reply.read(), dict(reply.headers)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_does_not_fit_is_refused_in_both_dialects_and_recorded(tmp_path: Path, text: str, is_streamed: bool) -> None:  # fmt: skip
    async def run() -> None:
        async with passing(tmp_path) as made:
            half = len(text) // 2
            parts = [chunk({"content": text[:half]}), chunk({"content": text[half:]}), chunk({}, "stop")]
            made.answers.append(streamed(*parts) if is_streamed else whole(completion(content=text)))
            chat = {"messages": ASK, "response_format": form(), "stream": is_streamed}
            status, body, _ = await ask(made, "chat/completions", chat)
            assert (status, json.loads(body)["error"]["code"]) == (422, "JM-720")
            events = response_events([text[:half], text[half:]])
            made.answers.append(streamed(*events) if is_streamed else whole(response_of(text)))
            asked = {"input": "x", "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}}  # fmt: skip
            status, body, _ = await ask(made, "responses", asked | {"stream": is_streamed})
            assert (status, json.loads(body)["error"]["code"]) == (422, "JM-720")
            traces = made.traces()
            assert [trace.status for trace in traces] == ["JM-720"] * 2
            assert traces[1].output_tokens == 2  # what was billed is known, also of a stream that did not leave

    asyncio.run(run())


def test_what_fits_goes_through_as_it_came_and_the_reply_says_what_was_verified(tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(whole(completion(content=GOOD, extra=1)))
            raw = await made.client().chat.completions.with_raw_response.create(
                model="big", messages=ASK, response_format=form()  # type: ignore[arg-type]
            )  # fmt: skip
            assert raw.headers["x-journeyman-verified"] == "response_format.json_schema"
            assert json.loads(raw.text)["choices"][0]["message"] == {"role": "assistant", "content": GOOD, "extra": 1}
            made.answers.append(streamed(chunk({"content": GOOD[:5]}), chunk({"content": GOOD[5:]}, "stop")))
            streaming = await made.client().chat.completions.with_raw_response.create(
                model="big", messages=ASK, response_format=form(), stream=True  # type: ignore[arg-type]
            )  # fmt: skip
            assert streaming.headers["x-journeyman-verified"] == "response_format.json_schema"
            pieces = [item.choices[0].delta.content async for item in streaming.parse() if item.choices]
            assert pieces == [GOOD[:5], GOOD[5:]]
            made.answers.append(streamed(*response_events([GOOD[:5], GOOD[5:]])))
            asked = {"input": "x", "text": {"format": {"type": "json_schema", "schema": SCHEMA, "strict": True}}}
            status, body, headers = await ask(made, "responses", asked | {"stream": True})
            assert (status, headers["x-journeyman-verified"]) == (200, "text.format")
            assert body.count(b"data: ") == 3
            assert [trace.status for trace in made.traces()] == ["ok"] * 3

    asyncio.run(run())


def test_every_choice_and_every_repetition_has_to_fit_and_a_cut_answer_does_not(tmp_path: Path) -> None:
    choices = completion(content=GOOD)
    choices["choices"].append({"index": 1, "finish_reason": "stop", "message": {"content": "{}"}})
    number = {"type": "integer"}
    cut = completion(content="12")
    cut["choices"][0]["finish_reason"] = "length"
    asked = {
        "input": "x",
        "stream": True,
        "text": {"format": {"type": "json_schema", "schema": SCHEMA, "strict": True}},
    }

    async def run() -> None:
        async with passing(tmp_path) as made:
            replies = ((choices, SCHEMA, 422), (cut, number, 422), ({"choices": []}, SCHEMA, 422), ([], SCHEMA, 502))
            for reply, schema, expected in replies:
                made.answers.append(whole(reply))
                status, _, _ = await ask(made, "chat/completions", {"messages": ASK, "response_format": form(schema)})
                assert status == expected
            for events in (response_events([GOOD], "{}"), response_events(["{}"], GOOD)):
                made.answers.append(streamed(*events))
                assert (await ask(made, "responses", asked))[0] == 422
            incomplete = response_events([GOOD])
            incomplete[-1] = {"type": "response.incomplete", "response": response_of(GOOD, "incomplete")}
            made.answers.append(streamed(*incomplete))
            assert (await ask(made, "responses", asked))[0] == 422

    asyncio.run(run())


def test_calls_of_tools_and_refusals_are_no_answers(tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            calling = completion(content="Let me see.", tool_calls=[CALL])
            body = {"messages": ASK, "response_format": form()}
            for reply, more, expected in (
                (calling, {"tools": [TOOL]}, 200),
                (calling, {}, 422),
                (completion(content=None, refusal="I may not."), {}, 200),
                (completion(content="{}", refusal="I may not."), {}, 422),
                (completion(content=None), {}, 422),
            ):
                made.answers.append(whole(reply))
                status, _, headers = await ask(made, "chat/completions", body | more)
                assert status == expected
                assert "x-journeyman-verified" not in headers

    asyncio.run(run())


def test_a_schema_that_no_answer_can_be_held_to_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"items": deep}
    wrong: dict[str, Any] = {
        "#/properties/a/$ref": {"properties": {"a": {"$ref": "https://example.org/other"}}},
        "#/properties/a/format": {"properties": {"a": {"format": "colour"}}},
        "#/pattern": {"pattern": "("},
        "#/type": {"type": "text"},
        "#/$schema": {"$schema": "https://example.org/own"},
        "nested too deep": deep,
        "no object/False": False,
    }

    async def run() -> None:
        async with passing(tmp_path) as made:
            for path, schema in wrong.items():
                status, body, _ = await ask(
                    made, "chat/completions", {"messages": ASK, "response_format": form(schema)}
                )
                error = json.loads(body)["error"]
                assert (status, error["code"]) == (400, "JM-703" if schema is deep else "JM-721")
                place, _, keyword = path.rpartition("/")
                assert (place in error["message"] and keyword in error["message"]) or schema is deep
            assert not made.seen

    asyncio.run(run())


def test_what_promises_nothing_goes_through_as_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            for given in (form(strict=False), {"type": "json_object"}, {"type": "text"}):
                made.answers.append(whole(completion(content="free text")))
                body = {"messages": ASK, "response_format": given}
                status, _, headers = await ask(made, "chat/completions", body)
                assert (status, headers.get("x-journeyman-verified")) == (200, None)

    asyncio.run(run())


def test_a_stream_that_breaks_off_is_an_error_and_a_client_that_leaves_ends_the_providers_work(tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            body = {"messages": ASK, "response_format": form(), "stream": True}
            made.answers.append(streamed(chunk({"content": GOOD}), end=False))
            status, said, _ = await ask(made, "chat/completions", body)
            assert (status, json.loads(said)["error"]["code"]) == (503, "JM-426")
            made.began.clear()
            made.answers.append(streamed(*[chunk({"content": "x"})] * 3000, wait_s=0.02))
            call = asyncio.ensure_future(ask(made, "chat/completions", body))
            await made.began.wait()
            await asyncio.sleep(0.1)
            call.cancel()
            for _ in range(500):
                if made.left and len(made.traces()) == 2:
                    break
                await asyncio.sleep(0.01)
            assert made.left == ["gone"]
            assert [trace.status for trace in made.traces()] == ["JM-426", "http-499"]
            made.answers.append(streamed(chunk({"content": "{}"})))
            create = made.client().chat.completions.create(model="big", messages=ASK, extra_body=body, stream=True)
            with pytest.raises(openai.UnprocessableEntityError, match="JM-720"):
                await create

    asyncio.run(run())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_messages_hold_to_the_schema_that_the_client_sent_also_between_dialects(tmp_path: Path, is_streamed: bool) -> None:  # fmt: skip
    short = {**SCHEMA, "properties": {"mail": {"type": "string", "maxLength": 5}}}  # which goes there as a description
    kinds = (text_block('{"mail": "a"}'), 200), (text_block('{"mail": "longer"}'), 422), (text_block("Sorry"), 422)
    said = {"model": "claude-x", "messages": ASK, "max_tokens": 9, "stream": is_streamed}
    as_message = said | {"output_config": {"format": {"type": "json_schema", "schema": short}}}
    as_chat = said | {"response_format": form(short)}

    async def run() -> None:
        replies = [message(block) for block, _ in kinds for _ in range(2)]
        answers = [message_stream(events_of(item)) if is_streamed else message_whole(item) for item in replies]
        async with fronting(tmp_path, *answers) as front:
            for _block, expected in kinds:
                for path, body in (("messages", as_message), ("chat/completions", as_chat)):
                    async with front.http.post(f"{front.url}/v1/{path}", json=body) as reply:
                        assert (reply.status, b"JM-720" in await reply.read()) == (expected, expected == 422)
                        assert ("x-journeyman-verified" in reply.headers) == (expected == 200)
        (tmp_path / "chat").mkdir()
        async with passing(tmp_path / "chat") as made:
            for block, expected in kinds:
                text = block["text"]
                made.answers.append(streamed(chunk({"content": text}, "stop")) if is_streamed else whole(completion(content=text)))  # fmt: skip
                assert (await ask(made, "messages", as_message | {"model": "big"}))[0] == expected

    asyncio.run(run())


def test_a_message_that_calls_a_tool_may_say_why(tmp_path: Path) -> None:
    calling = message(text_block("Let me see."), tool_block("t1", "send", {}), stop="tool_use")
    tool = {"name": "send", "input_schema": {"type": "object"}}
    form_of = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}

    async def run() -> None:
        async with fronting(tmp_path, message_whole(calling), message_whole(calling)) as front:
            for more, expected in (({"tools": [tool]}, 200), ({}, 422)):
                body = {"model": "claude-x", "messages": ASK, "max_tokens": 9, **form_of, **more}
                assert (await front.post("/v1/messages", body))[0] == expected

    asyncio.run(run())
