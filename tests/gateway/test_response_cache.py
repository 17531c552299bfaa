"""Answers from memory over HTTP: who gets them, what is recorded, and when they are forgotten."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace
from journeyman.data.candidates import read_trace
from journeyman.flows.embedding import find_embedders
from journeyman.gateway.response_cache import LONGEST
from journeyman.task.task import Cache, Route, Task
from tests.gateway.test_feedback import CONTACTS, TICKETS, TITLES, fill, say, splits
from tests.gateway.test_keys import Door, door

CACHE = Cache(60.0, entries=3)
TASKS = (TICKETS, CONTACTS, TITLES)


def with_cache(cache: Cache) -> tuple[Task, ...]:
    return tuple(replace(task, route=Route(cache=cache)) for task in TASKS)


async def ask(client: openai.AsyncOpenAI, message: str = "Where is it?", model: str = "task:tickets", **more: Any) -> tuple[str, str, str]:  # fmt: skip
    """Whether it came from memory, the answer, and the id of its trace."""
    raw = await client.chat.completions.with_raw_response.create(model=model, messages=[{"role": "user", "content": message}], **more)  # fmt: skip
    return raw.headers.get("x-journeyman-cache", ""), str(raw.parse().choices[0].message.content), raw.headers["x-journeyman-trace"]  # fmt: skip


def find(made: Door, id: str) -> Trace:
    trace = made.store.trace(id)
    assert trace is not None
    return trace


def play(folder: Path, work: Any, cache: Cache = CACHE, **more: Any) -> None:
    async def run() -> None:
        async with door(folder, tasks=with_cache(cache), **more) as made:
            await work(made)

    asyncio.run(run())


def test_the_same_call_is_answered_from_memory_and_costs_nothing(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key(usd=1.0)
        first, second = await ask(client), await ask(client)
        assert (first[0], second[0]) == ("miss", "hit")
        assert first[1] == second[1] == made.text
        assert first[2] != second[2]
        assert len(made.seen) == 1
        again = find(made, second[2])
        assert (again.meta["cached_of"], again.cost_usd, again.input_tokens) == (first[2], 0.0, 0)
        assert again.verdicts["route"] == {"policy": "student", "by": "teacher", "why": "cached"}
        assert again.output == find(made, first[2]).output
        assert again.meta["key"] == "key-0"
        assert made.store.spent("key/key-0", "") == made.billed[0]
        assert (await ask(client, "Another?"))[0] == "miss"
        stream = await client.chat.completions.create(model="task:tickets", messages=[{"role": "user", "content": "Where is it?"}], stream=True)  # fmt: skip
        assert stream.response.headers["x-journeyman-cache"] == "hit"
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == made.text
        async with aiohttp.ClientSession() as http:
            headers = {"authorization": f"Bearer {client.api_key}"}
            async with http.post(f"{made.url}/tasks/tickets", json={"message": "Where is it?"}, headers=headers) as reply:  # fmt: skip
                assert (reply.headers["x-journeyman-cache"], await reply.text()) == ("hit", made.text)

    play(tmp_path, work)


def test_what_a_key_asked_is_not_anothers_unless_it_is_shared(tmp_path: Path) -> None:
    async def apart(made: Door) -> None:
        one, two = made.key(), made.key()
        assert [(await ask(client))[0] for client in (one, two, one, two)] == ["miss", "miss", "hit", "hit"]

    async def together(made: Door) -> None:
        assert [(await ask(made.key()))[0] for _ in range(2)] == ["miss", "hit"]

    for name, work, cache in (("apart", apart, CACHE), ("together", together, Cache(60.0, shared=True))):
        (tmp_path / name).mkdir()
        play(tmp_path / name, work, cache)


def test_random_decoding_other_wishes_and_evaluations_are_asked_anew(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        assert [(await ask(client, temperature=0.7))[0] for _ in range(2)] == ["", ""]
        assert [(await ask(client, temperature=0))[0] for _ in range(2)] == ["miss", "hit"]
        assert (await ask(client, temperature=0, max_tokens=40))[0] == "miss"
        headers = {"x-journeyman-origin": "assess"}
        assert [(await ask(client, temperature=0, extra_headers=headers))[0] for _ in range(2)] == ["", ""]

    play(tmp_path, work)


def test_no_more_is_kept_than_was_said_and_what_was_asked_last_stays(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        for message in ("one", "two", "three", "one", "four"):
            await ask(client, message)
        assert [(await ask(client, message))[0] for message in ("one", "three", "four")] == ["hit"] * 3
        assert (await ask(client, "two"))[0] == "miss"
        made.text = "x" * (LONGEST + 1)
        assert [(await ask(client, "long", "task:titles"))[0] for _ in range(2)] == ["miss", "miss"]

    play(tmp_path, work)


def test_an_answer_is_kept_for_so_long(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        assert (await ask(client))[0] == "miss"
        await asyncio.sleep(0.3)
        assert (await ask(client))[0] == "miss"

    play(tmp_path, work, Cache(0.25))


def test_invalid_answers_and_failures_are_never_kept(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        made.text = '{"intent": "nonsense"}'
        for _ in range(2):
            with pytest.raises(openai.APIStatusError, match="JM-720"):
                await ask(client)
        asked = len(made.seen)
        assert asked == 4
        made.text = '{"intent": "refund"}'
        assert (await ask(client))[:2] == ("miss", made.text)

    play(tmp_path, work)


@pytest.mark.parametrize("said", [{"verdict": "down"}, {"answer": {"intent": "refund"}}], ids=["down", "corrected"])
@pytest.mark.parametrize("of", ["first", "again"])
def test_an_answer_that_somebody_did_not_want_is_forgotten(tmp_path: Path, said: dict[str, Any], of: str) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        ids = {"first": (await ask(client))[2], "again": (await ask(client))[2]}
        assert (await say(made, client, trace=ids["first"], verdict="up"))[0] == 200
        assert (await ask(client))[0] == "hit"
        assert (await say(made, client, trace=ids[of], **said))[0] == 200
        assert [(await ask(client))[0] for _ in range(2)] == ["miss", "hit"]

    play(tmp_path, work)


def test_what_was_erased_or_corrected_elsewhere_is_forgotten(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        _, _, id = await ask(client)
        made.store.delete_calls([id])
        _, _, id = missed = await ask(client)
        assert missed[0] == "miss"
        made.store.add_feedback(id, {"verdict": "down"})
        assert (await ask(client))[0] == "miss"

    play(tmp_path, work)


def test_personal_data_comes_back_to_who_sent_it_and_nobody_else(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        made.text = '{"mail": "<EMAIL_1>"}'
        asked = [await ask(client, f"write to {name}@example.org", "task:contacts") for name in ("ada", "bob", "ada")]
        assert [kept for kept, _, _ in asked] == ["miss", "miss", "hit"]
        assert [json.loads(text)["mail"] for _, text, _ in asked] == ["ada@example.org", "bob@example.org", "ada@example.org"]  # fmt: skip
        again = find(made, asked[-1][2])
        assert again.output is not None
        assert again.output.value == {"mail": "<EMAIL_1>"}
        assert "ada@" not in json.dumps(again.to_json())

    play(tmp_path, work)


def test_a_repeat_is_no_row_of_its_own_unless_somebody_corrects_it(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        fill(made.store)
        message = "vrtkpl mndsbz krtvlp znmbdr plkvtr"
        first, second, third = [(await ask(client, message))[2] for _ in range(3)]
        found = [row for rows in splits(made.store).values() for text, row in rows.items() if text == message]
        assert [row.count for row in found] == [1]
        assert [read_trace(TICKETS, find(made, id))[1] for id in (first, second)] == ["", "repeats of a call, answered from memory"]  # fmt: skip
        assert (await say(made, client, trace=third, answer={"intent": "refund"}))[0] == 200
        (row,) = [row for rows in splits(made.store).values() for text, row in rows.items() if text == message]
        assert row.gold is not None
        assert row.gold.value == {"intent": "refund"}

    play(tmp_path, work)


NEAR = Cache(60.0, semantic=0.9)
WORDINGS = ("I still have not got my new card", "I still have not received my new card")


def test_a_call_of_nearly_the_same_meaning_is_given_the_answer_where_the_task_says_so(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        first, again, other = [await ask(client, text) for text in (*WORDINGS, "What does a transfer cost?")]
        assert [item[0] for item in (first, again, other)] == ["miss", "similar", "miss"]
        assert again[1] == first[1]
        assert len(made.seen) == 2
        trace = find(made, again[2])
        route = trace.verdicts["route"]
        assert isinstance(route, dict)
        assert (trace.meta["cached_of"], trace.cost_usd, route["why"]) == (first[2], 0.0, "similar")
        assert isinstance(route["likeness"], float)
        assert 0.9 <= route["likeness"] < 1
        assert (await ask(client, WORDINGS[0]))[0] == "hit"
        assert (await say(made, client, trace=again[2], verdict="down"))[0] == 200
        assert (await ask(client, WORDINGS[1]))[0] == "miss"

    play(tmp_path, work, NEAR, embedders=find_embedders(1))


def test_other_numbers_other_keys_and_other_wishes_are_not_the_same_meaning(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        texts = ("Where is my order A4711?", "Where is my order B4711?", "Where is my order A4711 now?")
        assert [(await ask(client, text))[0] for text in texts] == ["miss", "miss", "similar"]
        assert (await ask(client, "So where is my order A4711?", max_tokens=40))[0] == "miss"
        assert (await ask(made.key(), texts[2]))[0] == "miss"

    play(tmp_path, work, NEAR, embedders=find_embedders(1))


def test_what_the_model_cannot_read_is_not_the_same_meaning(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        texts = (
            "How was the parcel? 👍",
            "How was the parcel? 👎",
            "So how was the parcel? 👎",
            "ሰላም ለዓለም",
            "ጦርነት ለዘላለም",
        )
        assert [(await ask(client, text))[0] for text in texts] == ["miss", "miss", "similar", "miss", "miss"]

    play(tmp_path, work, NEAR, embedders=find_embedders(1))


def test_fields_are_compared_one_by_one_whatever_their_order(tmp_path: Path) -> None:
    texts: dict[str, Json] = {"source": {"type": "string"}, "target": {"type": "string"}}
    fare = Task("fare", "Say the fare.", texts, None, route=Route(cache=Cache(60.0, semantic=0.9)))

    async def run() -> None:
        async with door(tmp_path, tasks=(fare,), embedders=find_embedders(1)) as made, aiohttp.ClientSession() as http:
            made.text = "ninety"
            headers = {"authorization": f"Bearer {made.key().api_key}"}
            asked = (("source", "Paris", "London"), ("target", "Paris", "London"), ("source", "London", "Paris"), ("source", "paris", "london"))  # fmt: skip
            found = []
            for first, one, other in asked:
                second = "target" if first == "source" else "source"
                body = {first: one, second: other}
                async with http.post(f"{made.url}/tasks/fare", json=body, headers=headers) as reply:
                    found.append(reply.headers["x-journeyman-cache"])
            assert found == ["miss", "miss", "hit", "similar"]

    asyncio.run(run())


def test_without_an_embedding_model_only_the_very_same_call_is_known(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client = made.key()
        assert [(await ask(client, text))[0] for text in (*WORDINGS, WORDINGS[0])] == ["miss", "miss", "hit"]

    play(tmp_path, work, NEAR)


def test_a_text_that_is_longer_than_the_model_reads_is_like_no_other(tmp_path: Path) -> None:
    async def work(made: Door) -> None:
        client, long = made.key(), "Where is my parcel? " * 200
        assert [(await ask(client, text))[0] for text in (long, long + "Please.")] == ["miss", "miss"]

    play(tmp_path, work, NEAR, embedders=find_embedders(1))
