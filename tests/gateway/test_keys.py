"""Keys and budgets of a running server: nobody asks what they may not, and nothing costs more than it may."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import aiohttp
import openai
import pytest
from aiohttp import web
from starlette.types import ASGIApp

from journeyman.core.errors import ServeError
from journeyman.core.keys import NANO, Key, hash_secret, make_secret
from journeyman.gateway.app import NO_EMBEDDERS, make_app
from journeyman.gateway.callers import Budgets, Caps, Doorkeeper
from journeyman.gateway.embedding import Openers
from journeyman.gateway.points import Point
from journeyman.gateway.purse import Purse
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served, Way
from journeyman.gateway.server import serve_in_background
from journeyman.models.remote import OpenAIModel
from journeyman.store.database import Store, open_store
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task

PRICES = (1.0, 10.0)
ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
INTENTS = ("refund", "parcel")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"intent": {"enum": list(INTENTS)}},
    "required": ["intent"],
    "additionalProperties": False,
}
TASKS = [
    Task(name, "Sort it.", {"message": {"type": "string"}}, SCHEMA, max_output_tokens=50)
    for name in ("tickets", "salaries")
]


@dataclass
class Door:
    """A server with keys in front of a provider that counts what it bills."""

    url: str
    store: Store
    stack: AsyncExitStack
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    billed: list[int] = field(default_factory=list)
    status: int = 200
    text: str = '{"intent": "parcel"}'
    tokens: tuple[int, int] = (40, 50)
    usage: Any = None
    """What it says that it bills, where that is not what it does."""
    fault: Literal["", "once", "always", "body"] = ""
    """When it hangs up: on the next call, on each, or in the middle of its answer."""
    purse: Purse = field(init=False)
    site: web.TCPSite = field(init=False)
    recorder: Recorder = field(init=False)
    app: ASGIApp = field(init=False)

    def key(self, **given: Any) -> openai.AsyncOpenAI:
        secret = make_secret()
        number = len(self.store.all_keys())
        made = Key(f"key-{number}", f"app {number}", hash_secret(secret), secret[:7], datetime.now(UTC).isoformat())
        self.store.add_key(replace(made, **given))
        return self.client(secret)

    def client(self, secret: str) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=secret, max_retries=0)
        self.stack.push_async_callback(client.close)
        return client


@asynccontextmanager
async def door(
    folder: Path,
    caps: Caps = Caps(),
    prices: tuple[float, float] | None = PRICES,
    tasks: Sequence[Task] = TASKS,
    *,
    own: str = "sk-the-projects-own",
    is_open: bool = False,
    embedders: Openers = NO_EMBEDDERS,
) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        made = Door("", store, stack)
        draw = random.Random(7)

        async def reply(request: web.Request) -> web.Response:
            made.seen.append((request.headers.get("authorization", ""), await request.json()))
            await asyncio.sleep(draw.random() / 50)
            if made.fault == "body":
                broken = web.StreamResponse(headers={"content-length": "1000"})
                await broken.prepare(request)
                await broken.write(b"{")
            if made.fault in ("body", "once", "always"):
                made.fault = made.fault.replace("once", "")
                cast(asyncio.Transport, request.transport).close()
            if made.status != 200:
                return web.json_response({"error": "no"}, status=made.status)
            read, written = draw.randint(1, made.tokens[0]), draw.randint(1, made.tokens[1])
            made.billed.append(round((read * PRICES[0] + written * PRICES[1]) * NANO / 1e6))
            message = {"role": "assistant", "content": made.text}
            usage = {"prompt_tokens": read, "completion_tokens": written} if made.usage is None else made.usage
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            said = {"id": "x", "choices": [choice], "usage": usage}
            if made.seen[-1][1].get("stream"):
                return web.Response(text=f"data: {json.dumps(said)}\n\n", content_type="text/event-stream")
            return web.json_response(said)

        async def embed(request: web.Request) -> web.Response:
            made.seen.append((request.headers.get("authorization", ""), await request.json()))
            made.billed.append(round(7 * PRICES[0] * NANO / 1e6))
            row = {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}
            usage = {"prompt_tokens": 7, "total_tokens": 7}
            return web.json_response({"object": "list", "data": [row], "model": "e", "usage": usage})

        provider = web.Application()
        provider.router.add_post("/v1/chat/completions", reply)
        provider.router.add_post("/v1/embeddings", embed)
        site = web.AppRunner(provider)
        await site.setup()
        stack.push_async_callback(site.cleanup)
        made.site = web.TCPSite(site, "127.0.0.1", 0)
        await made.site.start()
        upstream = f"http://127.0.0.1:{site.addresses[0][1]}/v1"
        model = OpenAIModel("big", upstream, own)
        stack.push_async_callback(model.close)
        point = Point("teacher", upstream, own, prices)
        ways = {
            task.name: Way(Served("big", model, task, write=teacher_messages, usd_per_million=prices, is_paid=True), None, 0.0, point, cache=task.route.cache)
            for task in tasks
        }  # fmt: skip
        registry = Registry([], lambda _task: None, ways, points=[point])
        purse = Purse(store)
        stack.push_async_callback(purse.close)
        made.purse = purse
        keeper = Doorkeeper(store.find_key, is_open=is_open)
        made.recorder = recorder
        made.app = make_app(
            registry, recorder, keeper=keeper, budgets=Budgets(purse, caps), calls=store, embedders=embedders
        )
        made.url = await stack.enter_async_context(serve_in_background(made.app))
        yield made


async def ask(client: openai.AsyncOpenAI, model: str = "task:tickets", **more: Any) -> Any:
    return await client.chat.completions.create(model=model, messages=ASK, **more)


async def ask_until_refused(client: openai.AsyncOpenAI, model: str) -> openai.RateLimitError:
    for _ in range(100):
        try:
            await ask(client, model)
        except openai.RateLimitError as error:
            return error
    raise AssertionError("a hundred calls were let through")


def test_who_has_no_key_is_not_let_in(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            for secret in ("jm-never", "sk-the-projects-own", "none"):
                with pytest.raises(openai.AuthenticationError, match="JM-740"):
                    await ask(made.client(secret))
            over = made.key(expires="2026-01-01T00:00:00+00:00")
            with pytest.raises(openai.AuthenticationError, match="JM-740"):
                await ask(over)
            async with aiohttp.ClientSession() as http:
                for path, status in (
                    ("/v1/models", 401),
                    ("/v1/models/task:tickets", 401),
                    ("/tasks", 401),
                    ("/docs", 404),
                    ("/openapi.json", 404),
                    ("/healthz", 200),
                ):
                    async with http.get(made.url + path) as reply:
                        assert (path, reply.status) == (path, status)
                        assert "tickets" not in (await reply.text()).replace(path, "")
                async with http.post(f"{made.url}/tasks/tickets", json={"message": "Hi"}) as reply:
                    assert reply.status == 401
            assert made.seen == []
            assert made.store.count_traces("tickets") == 0

    asyncio.run(work())


def test_a_key_asks_what_it_may_and_hears_of_nothing_else(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(tasks=("tickets",), models=("gpt-*",))
            assert (await ask(client)).choices[0].message.content == made.text
            assert [model.id for model in (await client.models.list()).data] == ["task:tickets"]
            made.text = "Hello."
            assert (await ask(client, "gpt-5")).choices[0].message.content == "Hello."
            for name in ("task:salaries", "salaries@abcd", "other-model", "task:unknown", "base:x"):
                with pytest.raises(openai.PermissionDeniedError, match="JM-741") as caught:
                    await ask(client, name)
                assert "salaries" not in str(caught.value).replace(name, "")
            with pytest.raises(openai.NotFoundError, match="JM-704") as unknown:
                await ask(client, "tickets@abcdef")
            assert "salaries" not in str(unknown.value)
            assert {key for key, _ in made.seen} == {"Bearer sk-the-projects-own"}, "no key of ours goes to a provider"
            keys = [trace.meta["key"] for trace in made.store.traces("tickets")]
            assert keys == ["key-0"]

    asyncio.run(work())


def test_a_revoked_key_is_refused_within_a_second(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key()
            await ask(client)
            made.store.revoke_key("key-0", datetime.now(UTC).isoformat())
            for _ in range(200):
                try:
                    await ask(client)
                except openai.AuthenticationError:
                    return
                await asyncio.sleep(0.02)
            pytest.fail("it is still let in")

    asyncio.run(work())


def test_a_minutes_calls_and_when_the_next_may_come() -> None:
    now = [100.0]
    secret = make_secret()
    key = Key("key-1", "app", hash_secret(secret), "", "t", calls_per_minute=3)
    keeper = Doorkeeper({key.hash: key}.get, is_open=False, clock=lambda: now[0])

    async def count(tries: int) -> int:
        passed = 0
        for _ in range(tries):
            try:
                await keeper.admit({"authorization": f"Bearer {secret}"})
                passed += 1
            except ServeError as error:
                assert (error.code, error.retryable) == ("JM-743", True)  # noqa: PT017
                assert 0 < error.retry_after_s <= 20.0  # noqa: PT017
        return passed

    async def work() -> None:
        assert await count(10) == 3
        now[0] += 19.9
        assert await count(5) == 0
        now[0] += 0.2
        assert await count(5) == 1
        now[0] += 600
        assert await count(10) == 3, "what was not used is not kept"
        assert (await Doorkeeper(is_open=True).admit({})).key is None

    asyncio.run(work())


@pytest.mark.parametrize("model", ["task:tickets", "big-model"])
def test_hundreds_in_flight_cost_no_more_than_the_key_may(tmp_path: Path, model: str) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            most = 0.02
            client = made.key(usd=most)
            results = await asyncio.gather(*(ask(client, model, max_tokens=50) for _ in range(300)), return_exceptions=True)  # fmt: skip
            answered = [item for item in results if not isinstance(item, BaseException)]
            refused = [item for item in results if isinstance(item, BaseException)]
            assert answered
            assert refused
            assert all(
                isinstance(item, openai.RateLimitError) and re.search("JM-74[26]", str(item)) for item in refused
            )
            assert len(answered) == len(made.billed)
            assert sum(made.billed) <= most * NANO
            assert made.store.spent("key/key-0", "") == pytest.approx(sum(made.billed), abs=len(made.billed))
            name = "tickets" if model.startswith("task:") else f"model:{model}"
            cost = sum(trace.cost_usd or 0.0 for trace in made.store.traces(name))
            assert cost == pytest.approx(sum(made.billed) / NANO)
            bound = (1000 * PRICES[0] + 50 * PRICES[1]) / 1e6
            assert sum(made.billed) / NANO > most - 2 * bound, "what is there can be spent"
            assert made.store.costs() == {"key-0": pytest.approx(cost)}

    asyncio.run(work())


def test_budgets_of_a_task_and_of_the_project(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, Caps(0.01, {"tickets": 0.002})) as made:
            client = made.key()
            assert "JM-742 the budget of the task tickets for 20" in str(
                await ask_until_refused(client, "task:tickets")
            )
            error = await ask_until_refused(client, "task:salaries")
            assert "JM-742 the budget of the project for 20" in str(error)
            assert error.response.headers["x-should-retry"] == "false"
            assert error.body["type"] == "insufficient_quota"  # type: ignore[index]
            assert sum(made.billed) <= 0.01 * NANO
            assert [trace.status for trace in made.store.traces("tickets")][-1] == "JM-742", (
                "a refused call is recorded too"
            )

    asyncio.run(work())


def test_what_was_not_answered_costs_nothing_and_what_cannot_be_told_its_bound(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=1.0)
            made.status = 500
            for model in ("task:tickets", "big-model"):
                with pytest.raises(openai.APIStatusError):
                    await ask(client, model, max_tokens=50)
            assert made.store.spent("key/key-0", "") == 0
            made.status, made.text = 200, "not what was asked for"
            with pytest.raises(openai.UnprocessableEntityError, match="JM-720"):
                await ask(client)
            assert len(made.billed) == 2, "it was asked once more"
            assert made.store.spent("key/key-0", "") == pytest.approx(sum(made.billed), abs=2)

    asyncio.run(work())


def test_without_a_price_a_budget_lets_nothing_through(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, prices=None) as made:
            for model in ("task:tickets", "big-model"):
                with pytest.raises(openai.InternalServerError, match="JM-744"):
                    await ask(made.key(usd=1.0), model)
            assert made.seen == []
            await ask(made.key())

    asyncio.run(work())


def test_an_answer_without_an_end_gets_one_where_a_budget_pays(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            await ask(made.key(usd=1.0), "big-model")
            await ask(made.key(), "big-model")
            assert [body.get("max_completion_tokens") for _, body in made.seen] == [4096, None]

    asyncio.run(work())


@pytest.mark.parametrize(
    "given",
    [
        {"n": 100},
        {"n": "100", "max_tokens": 50},
        {"n": 100.0, "max_tokens": 50},
        {"best_of": 100, "max_tokens": 50},
        {"max_completion_tokens": 1, "max_tokens": 100_000},
        {"max_tokens": "100000"},
        {"max_tokens": 1e5},
    ],
)
def test_all_that_a_call_may_write_is_reserved(tmp_path: Path, given: dict[str, Any]) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            with pytest.raises(openai.RateLimitError, match="JM-742"):
                await ask(made.key(usd=0.045), "big-model", extra_body=given)
            assert made.seen == []

    asyncio.run(work())


def test_no_limit_is_a_limit_where_a_budget_pays(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=1.0)
            await ask(client, "big-model", extra_body={"max_tokens": -1})
            await ask(client, "big-model", extra_body={"max_tokens": -1, "max_completion_tokens": 5})
            await ask(client, "big-model", extra_body={"max_tokens": 7})
            limits = [{name: value for name, value in body.items() if name.startswith("max")} for _, body in made.seen]
            assert limits == [{"max_completion_tokens": 4096}, {"max_completion_tokens": 5}, {"max_tokens": 7}]

    asyncio.run(work())


async def settled(made: Door) -> int:
    """Billionths that the first key has spent, once nothing is held any more."""
    for _ in range(3):
        await made.purse.renew()
    assert made.store.leased("key/key-0", "") == 0, "nothing is held for ever"
    return made.store.spent("key/key-0", "")


@pytest.mark.parametrize("model", ["task:tickets", "big-model"])
def test_an_answer_that_did_not_arrive_may_be_billed_all_the_same(tmp_path: Path, model: str) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=1.0)
            made.fault = "once"
            if model == "task:tickets":
                await ask(client)
                assert len(made.billed) == 2
            else:
                with pytest.raises(openai.InternalServerError, match="JM-430"):
                    await ask(client, model, max_tokens=50)
            assert await settled(made) > sum(made.billed)
            made.fault = "body"
            with pytest.raises(openai.InternalServerError, match="JM-430"):
                await ask(client, model, max_tokens=50)
            assert await settled(made) > sum(made.billed)

    asyncio.run(work())


def test_what_was_never_sent_costs_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=1.0)
            await made.site.stop()
            for model in ("task:tickets", "big-model"):
                with pytest.raises(openai.InternalServerError, match="JM-430"):
                    await ask(client, model)
            assert await settled(made) == 0

    asyncio.run(work())


def test_who_does_not_say_what_it_bills_bills_the_bound_of_each_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client, made.usage, made.text = made.key(usd=1.0), {}, "not what was asked for"
            with pytest.raises(openai.UnprocessableEntityError, match="JM-720"):
                await ask(client)
            assert len(made.billed) == 2
            assert await settled(made) > sum(made.billed)

    asyncio.run(work())


def test_what_fails_half_way_holds_nothing_for_ever(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client, made.usage = made.key(usd=1.0), {"prompt_tokens": "many", "completion_tokens": 1}
            await ask(client)
            assert await settled(made) > sum(made.billed)
            spent, deep = made.store.spent("key/key-0", ""), '{"a":' * 500 + "1" + "}" * 500
            body = '{"model": "big-model", "messages": [{"role": "user", "content": "Hi"}], "tools": [' + deep + "]}"
            headers = {"authorization": f"Bearer {client.api_key}"}
            async with (
                aiohttp.ClientSession(headers=headers) as http,
                http.post(f"{made.url}/v1/chat/completions", data=body) as reply,
            ):
                assert (reply.status, (await reply.json())["error"]["code"]) == (400, "JM-703")
            assert await settled(made) == spent

    asyncio.run(work())


def test_a_key_of_ours_goes_to_no_provider_also_while_none_is_wanted(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path, own="", is_open=True) as made:
            await ask(made.key(), "big-model")
            await ask(made.client("sk-the-clients-own"), "big-model")
            assert [key for key, _ in made.seen] == ["", "Bearer sk-the-clients-own"]

    asyncio.run(work())


@pytest.mark.parametrize("model", ["task:tickets", "big-model"])
def test_what_cannot_be_recorded_is_spent_all_the_same(tmp_path: Path, model: str) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=1.0)
            made.recorder.close()
            with pytest.raises(openai.APIStatusError, match="JM-716"):
                await ask(client, model)
            assert await settled(made) == sum(made.billed) > 0

    asyncio.run(work())


def test_a_client_that_leaves_as_its_stream_begins_leaves_nothing_behind(tmp_path: Path) -> None:
    """The call's own messages, in the order in which a connection gives them that takes nothing and is then closed."""

    async def work() -> None:
        async with door(tmp_path) as made:
            client, body = made.key(usd=1.0), {"model": "big-model", "stream": True, "messages": ASK}
            headers = [(b"authorization", f"Bearer {client.api_key}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers,
                     "query_string": b"", "asgi": {"version": "3.0", "spec_version": "2.3"}}  # fmt: skip
            asked = 0

            async def receive() -> dict[str, Any]:
                nonlocal asked
                asked += 1
                if asked == 1:
                    return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}
                return {"type": "http.disconnect"}

            async def send(_message: Any) -> None:
                await asyncio.sleep(60)

            await made.app(scope, receive, send)
            await asyncio.sleep(0.5)
            assert asked == 2
            assert len(made.billed) == 1
            assert await settled(made) > sum(made.billed)
            assert [trace.status for trace in made.store.traces("model:big-model")] == ["http-499"]

    asyncio.run(work())


def test_embeddings_come_out_of_the_same_budgets(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            client = made.key(usd=0.0001, models=("vectors",))
            with pytest.raises(openai.PermissionDeniedError, match="JM-741"):
                await client.embeddings.create(model="others", input="Hello")
            with pytest.raises(openai.PermissionDeniedError, match="JM-741"):
                await client.embeddings.create(model="embed:all-minilm-l6-v2", input="Hello")
            results = await asyncio.gather(
                *(client.embeddings.create(model="vectors", input="Where is my parcel?") for _ in range(40)),
                return_exceptions=True,
            )
            refused = [item for item in results if isinstance(item, BaseException)]
            assert 0 < len(refused) < 40
            assert all(
                isinstance(item, openai.RateLimitError) and re.search("JM-74[26]", str(item)) for item in refused
            )
            assert len(made.billed) == 40 - len(refused)
            assert made.store.spent("key/key-0", "") == sum(made.billed) <= 0.0001 * NANO
            assert "max_completion_tokens" not in made.seen[0][1]

    asyncio.run(work())
