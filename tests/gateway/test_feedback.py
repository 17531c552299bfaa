"""Feedback over HTTP, and what `prepare` makes of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from journeyman.core.canonical import Json
from journeyman.core.example import Example, object_target
from journeyman.core.trace import Trace
from journeyman.data.dataset import read_manifest, read_split, read_unlabelled
from journeyman.data.prepare import prepare
from journeyman.data.shares import make_shares
from journeyman.store.database import Store
from journeyman.task.task import Task
from tests.gateway.test_keys import SCHEMA, Door, door

NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
TICKETS = Task("tickets", "Sort it.", {"message": {"type": "string"}}, SCHEMA)
CONTACTS = Task(
    "contacts",
    "Find the mail address.",
    {"message": {"type": "string"}},
    {
        "type": "object",
        "properties": {"mail": {"type": "string"}},
        "required": ["mail"],
        "additionalProperties": False,
    },
)
TITLES = Task("titles", "Give it a title.", {"message": {"type": "string"}}, None)
TASKS = (TICKETS, CONTACTS, TITLES)


async def call(client: openai.AsyncOpenAI, message: str, model: str = "task:tickets") -> str:
    """The id in the reply's header."""
    messages: list[Any] = [{"role": "user", "content": message}]
    raw = await client.chat.completions.with_raw_response.create(model=model, messages=messages)
    if model.startswith("task:"):
        assert raw.parse().id == f"chatcmpl-{raw.headers['x-request-id']}"
    return str(raw.headers["x-journeyman-trace"])


async def say(made: Door, client: openai.AsyncOpenAI, **body: Any) -> tuple[int, Any]:
    return await say_raw(made, client, json.dumps(body))


async def say_raw(made: Door, client: openai.AsyncOpenAI, body: str) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {client.api_key}"}
    async with aiohttp.ClientSession() as http, http.post(f"{made.url}/v1/feedback", data=body, headers=headers) as reply:  # fmt: skip
        return reply.status, await reply.json()


def find(store: Store, id: str) -> Trace:
    trace = store.trace(id)
    assert trace is not None
    return trace


def words(draw: random.Random) -> str:
    return " ".join("".join(draw.choice("bcdfghklmnprstvz") for _ in range(6)) for _ in range(5))


def fill(store: Store, count: int = 60) -> list[str]:
    """Imported rows, and the inputs that they have."""
    draw = random.Random(5)
    inputs = [words(draw) for _ in range(count)]
    store.add_traces(
        Trace(f"import-{number}", "tickets", "2026-11-01T00:00:00+00:00", "import", {"message": text}, (), object_target({"intent": "parcel"}), instruction_hash=TICKETS.instruction_hash)
        for number, text in enumerate(inputs)
    )  # fmt: skip
    return inputs


def splits(store: Store) -> dict[str, dict[str, Example]]:
    """The rows of a new dataset, by split and input."""
    prepare(TICKETS, store, make_shares(test=0.3), now=NOW)
    _hash, manifest = read_manifest(store, "tickets")
    found: dict[str, Sequence[Example]] = {
        name: read_split(store, manifest, name, purpose="assess") for name in ("train", "dev", "calibration", "test")
    }
    found["unlabelled"] = read_unlabelled(store, manifest)
    return {name: {str(row.input["message"]): row for row in rows} for name, rows in found.items()}


def test_what_is_said_stands_in_the_trace_and_later_words_win(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            client = made.key()
            id = await call(client, "Where is my parcel?")
            status, told = await say(made, client, trace=id, verdict="up", outcome={"refunded": True, "to": "ada@example.org"})  # fmt: skip
            assert (status, told) == (200, {"trace": id, "stored": ["verdict", "outcome"]})
            status, _ = await say(made, client, trace=f"chatcmpl-{id}", verdict="down", note="It was Bob, +49 30 901820, with sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789")  # fmt: skip
            assert status == 200
            said = dict(find(made.store, id).feedback)
            assert said.pop("time")
            assert said.pop("outcome") == {"refunded": True, "to": "<EMAIL_1>"}
            assert said.pop("verdict") == "down"
            assert "901820" not in str(said["note"])
            assert "sk-ant" not in str(said["note"])
            for outcome in (0, False, 12.5, "sent back"):
                assert (await say(made, client, trace=id, outcome=outcome))[0] == 200
                assert find(made.store, id).feedback["outcome"] == outcome
            other = await call(client, "Hello", "other-model")
            assert (await say(made, client, trace=other, verdict="up"))[0] == 200
            assert (await say(made, client, trace=other, answer="Hi"))[1]["error"]["code"] == "JM-755"

    asyncio.run(work())


def test_only_the_key_that_asked_may_say_something_of_a_call(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            mine, other = made.key(), made.key()
            id = await call(mine, "Where is my parcel?")
            unknown = "trace-20270131T101500-4k2m9x4k2m9x"
            for body in ({"verdict": "up"}, {"answer": {"intent": "none of them"}}, {"answer": "a@b.de"}):
                status, told = await say(made, other, trace=id, **body)
                assert (status, told) == (404, await said_of(made, other, unknown, body, id))
            assert find(made.store, id).feedback == {}
            nobody = made.client("jm-never")
            assert (await say(made, nobody, trace=id, verdict="up"))[0] == 401
            assert (await say(made, mine, trace=id, verdict="up"))[0] == 200

    async def said_of(made: Door, client: openai.AsyncOpenAI, unknown: str, body: Any, id: str) -> Any:
        status, told = await say(made, client, trace=unknown, **body)
        assert status == 404
        return json.loads(json.dumps(told).replace(unknown, id))

    asyncio.run(work())


def test_bad_feedback_gets_one_message_and_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            client = made.key()
            id = await call(client, "Where is my parcel?")
            deep: Json = "x"
            for _ in range(120):
                deep = {"a": deep}
            bodies: list[tuple[dict[str, Any], str]] = [
                ({}, "JM-750"),
                ({"verdict": None}, "JM-750"),
                ({"verdict": "sideways"}, "JM-750"),
                ({"verdict": True}, "JM-750"),
                ({"note": 7}, "JM-750"),
                ({"outcome": ["a"]}, "JM-750"),
                ({"outcome": deep}, "JM-750"),
                ({"thumb": "up"}, "JM-750"),
                ({"verdict": "up", "trace": 7}, "JM-750"),
                ({"answer": {"intent": "another"}}, "JM-752"),
                ({"answer": "parcel"}, "JM-752"),
                ({"answer": {"intent": "parcel"}, "input": {"message": "Another?"}}, "JM-754"),
                ({"answer": {"intent": "parcel"}, "input": {"text": "Where is my parcel?"}}, "JM-230"),
                ({"answer": {"intent": "parcel"}, "input": 7}, "JM-750"),
                ({"answer": {"intent": "parcel"}, "input": [{"no": "message"}]}, "JM-750"),
            ]
            for body, code in bodies:
                status, told = await say(made, client, **({"trace": id} | body))
                assert (status, told["error"]["code"]) == (422, code), body
            for text in ("", "[]", "7", "null", '"text"'):
                assert (await say_raw(made, client, text))[0] in (400, 422)
            assert find(made.store, id).feedback == {}

    asyncio.run(work())


def test_a_right_answer_has_the_surrogates_of_its_input(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            client, message = made.key(), "Ask bob@example.org or ada@example.org."
            made.text = '{"mail": "bob@example.org"}'
            id = await call(client, message, "task:contacts")
            assert find(made.store, id).input == {"message": "Ask <EMAIL_1> or <EMAIL_2>."}
            right = {"mail": "ada@example.org"}
            status, told = await say(made, client, trace=id, answer=right)
            assert (status, told["error"]["code"]) == (422, "JM-753")
            assert "ada" not in json.dumps(told)
            for given in ({"message": message}, [{"role": "user", "content": message}]):
                assert (await say(made, client, trace=id, answer=right, input=given))[0] == 200
                assert find(made.store, id).correction == object_target({"mail": "<EMAIL_2>"})
            new = {"mail": "eve@example.org"}
            assert (await say(made, client, trace=id, answer=new, input={"message": message}))[0] == 200
            assert find(made.store, id).correction == object_target({"mail": "<EMAIL_3>"})
            assert (await say(made, client, trace=id, answer={"mail": "<EMAIL_2>"}))[0] == 200
            assert find(made.store, id).correction == object_target({"mail": "<EMAIL_2>"})
            assert (await say(made, client, trace=id, answer={"mail": "<EMAIL_7>"}))[0] == 422
            assert (await say(made, client, trace=id, answer={"mail": "none"}))[0] == 200
            secret = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"
            assert (await say(made, client, trace=id, answer={"mail": secret}))[0] == 200
            assert find(made.store, id).correction == object_target({"mail": "<SECRET>"})
            made.text = "A title"
            title = await call(client, "Where is it?", "task:titles")
            assert (await say(made, client, trace=title, answer={"a": "b"}))[0] == 422
            assert (await say(made, client, trace=title, answer=" "))[0] == 422
            assert (await say(made, client, trace=title, answer="The parcel"))[0] == 200
            stored = find(made.store, title).correction
            assert stored is not None
            assert stored.text == "The parcel"

    asyncio.run(work())


def test_corrections_are_learned_and_unwanted_answers_are_not(tmp_path: Path) -> None:
    draw = random.Random(9)
    asked = {name: words(draw) for name in ("plain", "corrected", "unwanted", "invalid")}

    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            fill(made.store)
            client = made.key()
            ids = {name: await call(client, text) for name, text in asked.items() if name != "invalid"}
            made.text = "not what was asked for"
            with pytest.raises(openai.UnprocessableEntityError) as caught:
                await call(client, asked["invalid"])
            ids["invalid"] = str(caught.value).split("kept as ")[1].split("'")[0].split("\\")[0].split('"')[0]
            for name in ("corrected", "invalid"):
                status, told = await say(made, client, trace=ids[name], verdict="down", answer={"intent": "refund"})
                assert status == 200, told
            assert (await say(made, client, trace=ids["unwanted"], verdict="down"))[0] == 200
            by_split = splits(made.store)
            rows = {text: row for split in by_split.values() for text, row in split.items()}
            assert rows[asked["plain"]].answer == object_target({"intent": "parcel"})
            for name in ("corrected", "invalid"):
                row = rows[asked[name]]
                assert row.gold == row.answer == object_target({"intent": "refund"})
                assert row.target is None
                assert [item.verdict for item in row.alternatives] == ["rejected"]
            assert list(by_split["unlabelled"]) == [asked["unwanted"]]

    asyncio.run(work())


def test_a_correction_of_a_sealed_input_stays_sealed(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            fill(made.store)
            sealed = list(splits(made.store)["test"])
            client = made.key()
            for text in sealed:
                id = await call(client, text)
                assert (await say(made, client, trace=id, answer={"intent": "refund"}))[0] == 200
                id = await call(client, f"{text} again")  # a near copy
                assert (await say(made, client, trace=id, answer={"intent": "refund"}))[0] == 200
            after = splits(made.store)
            assert set(sealed) <= set(after["test"])
            assert all(after["test"][text].gold == object_target({"intent": "refund"}) for text in sealed)
            for name in ("train", "dev", "calibration", "unlabelled"):
                assert not {text.removesuffix(" again") for text in after[name]} & set(sealed)
                assert all(row.gold is None for row in after[name].values())

    asyncio.run(work())


def test_an_audit_and_a_correction_of_one_call_are_one_row(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, tasks=TASKS) as made:
            fill(made.store)
            said: dict[str, dict[str, Json]] = {
                "corrected": {"answer": object_target({"intent": "refund"}).to_json()},
                "unwanted": {"verdict": "down"},
            }
            for name, feedback in said.items():
                text = words(random.Random(len(name)))
                wrong = object_target({"intent": "parcel"})
                call_ = Trace(f"trace-{name}", "tickets", NOW.isoformat(), "serve", {"message": text}, (), wrong, release="r1", instruction_hash=TICKETS.instruction_hash)  # fmt: skip
                audit = Trace(f"trace-{name}-audit", "tickets", NOW.isoformat(), "audit", {"message": text}, (), wrong, instruction_hash=TICKETS.instruction_hash, meta={"of": call_.id})  # fmt: skip
                made.store.add_traces([call_, audit])
                made.store.add_feedback(call_.id, feedback)
            rows = {text: row for split in splits(made.store).values() for text, row in split.items()}
            corrected = rows[words(random.Random(len("corrected")))]
            assert (corrected.gold, corrected.target) == (object_target({"intent": "refund"}), wrong)
            unwanted = rows[words(random.Random(len("unwanted")))]
            assert unwanted.answer is None
            assert [item.verdict for item in unwanted.alternatives] == ["rejected"]

    asyncio.run(work())
