"""The routes: who calls, what they ask and what answers it, whatever the dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, JourneymanError, ModelError, ServeError, TaskError
from journeyman.core.ids import make_trace_id
from journeyman.core.person import find_conversation, find_person
from journeyman.core.trace import Origin
from journeyman.gateway.answer import Answer, Call
from journeyman.gateway.body import read_body
from journeyman.gateway.callers import Budgets, Caller, Doorkeeper
from journeyman.gateway.dialects import openai
from journeyman.gateway.dialects.anthropic import MESSAGES
from journeyman.gateway.dialects.anthropic_record import COUNTED
from journeyman.gateway.dialects.chat import CHAT
from journeyman.gateway.dialects.dialect import Dialect, Events
from journeyman.gateway.dialects.responses import RESPONSES
from journeyman.gateway.dialects.speaking import pass_to, refuse_count, refuse_route
from journeyman.gateway.dialects.text import TEXT
from journeyman.gateway.dialects.vectors import EMBEDDINGS_WIRE, read_embedding
from journeyman.gateway.embedding import Embeddings
from journeyman.gateway.failures import json_response, status_of
from journeyman.gateway.feedback import FeedbackDesk
from journeyman.gateway.forward import Forwarder, Passing
from journeyman.gateway.guard_asking import About
from journeyman.gateway.guarding import Watch
from journeyman.gateway.purse import Meter
from journeyman.gateway.registry import Passed, Registry, Routed
from journeyman.gateway.router import Router, Streamed
from journeyman.gateway.wire import Wire
from journeyman.models.protocol import Start
from journeyman.task.task import Task

OTHER_SHAPE = ("JM-711", "JM-712", "JM-766", "JM-425")
"""A call that a task's student cannot answer as it is meant, and its teacher can."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """``max_body_bytes``: a longer request is refused unread. ``silence_s``: how long a provider that calls are passed on to may say nothing."""

    max_body_bytes: int = 1_000_000
    silence_s: float = 600.0


class Routes:
    def __init__(
        self,
        registry: Registry,
        router: Router,
        forwarder: Forwarder,
        embeddings: Embeddings,
        settings: GatewaySettings,
        keeper: Doorkeeper,
        budgets: Budgets | None,
        desk: FeedbackDesk,
    ) -> None:
        self._registry = registry
        self._router = router
        self._forwarder = forwarder
        self._embeddings = embeddings
        self._settings = settings
        self._keeper = keeper
        self._budgets = budgets
        self._desk = desk

    async def feedback(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        return json_response(await self._desk.take(await read_body(request, self._settings.max_body_bytes), caller))

    async def chat(self, request: Request) -> Response:
        return await self._converse(request, CHAT)

    async def completions(self, request: Request) -> Response:
        return await self._converse(request, TEXT)

    async def messages(self, request: Request) -> Response:
        return await self._converse(request, MESSAGES)

    async def count_tokens(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        raw = await read_body(request, self._settings.max_body_bytes)
        name = raw.get("model") if isinstance(raw, dict) else None
        passed = self._find_passed(name, caller) if isinstance(name, str) else None
        if not isinstance(raw, dict) or passed is None or passed.point.kind != "anthropic":
            raise refuse_count(name)
        return await self._pass_on(request, (raw, COUNTED), passed, f"model:{name}", "policy", caller)

    async def responses(self, request: Request) -> Response:
        return await self._converse(request, RESPONSES)

    async def embeddings(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        raw = await read_body(request, self._settings.max_body_bytes)
        caller = _for_person(caller, raw)
        name = raw.get("model") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and isinstance(name, str) and (passed := self._find_passed(name, caller)):
            if passed.point.kind != "openai":
                raise refuse_route(passed.point)
            return await self._pass_on(request, (raw, EMBEDDINGS_WIRE), passed, f"model:{name}", "policy", caller)
        asked = read_embedding(raw)
        if not _may_know(caller, asked.model):
            raise caller.refuse(asked.model)
        trace = make_trace_id()
        reply = await self._embeddings.answer(asked, trace, _origin(request), _meta(caller))
        return json_response(reply, headers=_headers("", trace, "embedder"))

    async def _converse(self, request: Request, dialect: Dialect) -> Response:
        caller = await self._keeper.admit(request.headers)
        raw = await read_body(request, self._settings.max_body_bytes)
        caller = _for_person(caller, raw)
        name = raw.get("model") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(name, str):
            return await self._answer_chat(dialect, raw, request, caller)
        if passed := self._find_passed(name, caller):
            return await self._pass_on(
                request, pass_to(passed.point, dialect, raw), passed, f"model:{name}", "policy", caller
            )
        try:
            return await self._answer_chat(dialect, raw, request, caller)
        except (TaskError, DataError, ServeError, ModelError) as error:
            is_other_shape = isinstance(error, TaskError | DataError) or error.code in OTHER_SHAPE
            routed = self._find(name, caller) if is_other_shape else None
            if routed is None or routed.passed is None:
                raise
            found = routed.passed, routed.task, "shape", caller, routed.model.task
            return await self._pass_on(request, pass_to(routed.passed.point, dialect, raw), *found)

    def _find_passed(self, name: str, caller: Caller) -> Passed | None:
        passed = self._registry.find_passed(name)
        if passed and not caller.may_pass(name):
            raise caller.refuse(name)
        return passed

    async def _pass_on(
        self,
        request: Request,
        asked: tuple[dict[str, Json], Wire],
        passed: Passed,
        name: str,
        why: str,
        caller: Caller,
        task: Task | None = None,
    ) -> Response:
        trace, (raw, wire) = make_trace_id(), asked
        if not self._keeper.is_open:
            wire.check(raw)
        route: dict[str, Json] = {"by": "teacher", "why": why}
        meta, meter, origin = _meta(caller), self._meter(caller, task.name if task else ""), _origin(request)
        passing = Passing(
            passed.point,
            passed.model,
            raw,
            name,
            trace,
            origin,
            {"route": route},
            is_personal=task is None or task.redact,
            redact_also=task.redact_also if task else (),
            meta=meta | ({"operation": "embeddings"} if wire is EMBEDDINGS_WIRE else {}),
            meter=None if wire.is_free else meter,
            is_own_key=not self._keeper.is_open,
            wire=wire,
            watch=Watch(passed.guards, self._router.asking, About(name, trace, meta, meter, origin))
            if passed.guards
            else None,
        )
        return await self._forwarder.pass_on(passing, request, _headers("", trace, f"teacher: {why}"))

    def _meter(self, caller: Caller, task: str) -> Meter | None:
        return self._budgets.meter(task, caller.key) if self._budgets is not None else None

    def _find(self, name: str, caller: Caller) -> Routed:
        """A model by its name, as far as the caller may know of it."""
        if not self._may_know(caller, name):
            raise caller.refuse(name)
        try:
            return self._registry.find(name)
        except ServeError as error:
            if not caller.is_limited and all(self._may_know(caller, other) for other in self._registry.names()):
                raise
            hint = "GET /v1/models lists what this key may ask"
            raise ServeError(error.code, error.what, got=error.got, hint=hint, retryable=error.retryable) from error

    def _may_know(self, caller: Caller, name: str) -> bool:
        owner = self._registry.owner(name)
        return owner == caller.id if owner else _may_know(caller, name)

    async def _answer_chat(self, dialect: Dialect, raw: Json, request: Request, caller: Caller) -> Response:
        chat = dialect.read(raw)
        routed = dialect.adapt(self._find(chat.model, caller))
        schema = openai.resolve_schema(routed.model, chat.response_format)
        wishes = chat.wishes if schema is chat.wishes.schema else replace(chat.wishes, schema=schema)
        call = Call(
            routed.model,
            messages=chat.messages,
            wishes=wishes,
            origin=_origin(request),
            trace=make_trace_id(),
            meta=_meta(caller),
            meter=self._meter(caller, routed.task),
            conversation=find_conversation(raw) if routed.canary and isinstance(raw, dict) else "",
        )
        if not chat.is_streamed:
            answer = await self._router.answer(routed, call)
            return json_response(dialect.write(answer), headers=_answered(answer))
        return await self._stream(routed, call, dialect, chat)

    async def task(self, request: Request) -> Response:
        return await self.answer_task(request.path_params["name"], request)

    async def answer_task(self, name: str, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        fields = await read_body(request, self._settings.max_body_bytes)
        routed = self._find(f"task:{name}", caller)
        served = routed.model
        if not isinstance(fields, dict):
            raise ServeError(
                "JM-705",
                "the body is not an object of input fields",
                where="body",
                expected=", ".join(served.task.input) if served.task else "",
                got=f"{fields!r:.80}",
                hint=f"see /docs for the fields of {name}",
            )
        meter = self._meter(caller, routed.task)
        call = Call(served, input=fields, origin=_origin(request), meta=_meta(caller), meter=meter)
        answer = await self._router.answer(routed, call)
        is_structured = served.task is not None and served.task.is_structured
        body = answer.text.encode() if is_structured else orjson.dumps({"text": answer.text})
        if request.query_params.get("sources") in ("1", "true"):
            said = orjson.loads(body) if is_structured else answer.text
            body = orjson.dumps({"answer": said, "sources": await asyncio.to_thread(answer.sources)})
        return Response(body, media_type="application/json", headers=_answered(answer))

    async def models(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        names = [*self._registry.names(), *self._embeddings.names]
        return json_response(openai.write_models([name for name in names if self._may_know(caller, name)]))

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        caller = await self._keeper.admit(request.headers)
        if name in self._embeddings.names and _may_know(caller, name):
            return json_response(openai.write_model(name))
        routed = self._find(name, caller)
        return json_response(openai.write_model(name if name.startswith("task:") else routed.model.name))

    async def tasks(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        known = [task for task in self._registry.tasks() if self._may_list(caller, task.name)]
        tasks = [_describe(task, self._registry.live(task.name)) for task in known]
        return json_response({"tasks": cast(Json, tasks)})

    def _may_list(self, caller: Caller, task: str) -> bool:
        return caller.may_ask(task) and not self._registry.is_private(task, caller.id)

    async def health(self, request: Request) -> Response:
        known: dict[str, Json] = {"models": cast(Json, self._registry.names())} if self._keeper.is_open else {}
        return json_response({"status": "ok", **known})

    async def _stream(self, routed: Routed, call: Call, dialect: Dialect, chat: openai.ChatRequest) -> Response:
        """Wait for the first piece, so that a refused call is an HTTP error and not a broken stream."""
        streamed = await self._router.stream(routed, call)
        headers = _headers(streamed.release, call.trace, streamed.by, streamed.cache, streamed.guards, streamed.start)
        headers |= {"cache-control": "no-cache"}
        events = _write_events(streamed, dialect.events(streamed.model, call.trace, chat))
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _write_events(streamed: Streamed, events: Events) -> AsyncGenerator[bytes, None]:
    """Server-sent events; the closing ones come after the trace is stored."""
    yield events.open()
    try:
        async with aclosing(streamed.pieces) as pieces:
            async for item in pieces:
                yield events.write(item)
    except JourneymanError as error:
        yield events.fail(error, status_of(error))
        return
    yield events.end()


def _describe(task: Task, live: str | None) -> dict[str, Json]:
    return {
        "name": task.name,
        "live": live,
        "instruction": task.instruction,
        "input": {name: dict(schema) for name, schema in task.input.items()},
        "output": dict(task.schema) if task.schema is not None else None,
    }


def _for_person(caller: Caller, raw: Json) -> Caller:
    person = find_person(raw) if isinstance(raw, dict) else ""
    return replace(caller, person=person) if person else caller


def _origin(request: Request) -> Origin:
    """Only an evaluation may say who it is: such a trace can never become an example."""
    return "assess" if request.headers.get("x-journeyman-origin") == "assess" else "serve"


def _meta(caller: Caller) -> dict[str, Json]:
    known = ("key", caller.id), ("person", caller.person), ("traceparent", caller.parent)
    return {key: value for key, value in known if value}


def _may_know(caller: Caller, name: str) -> bool:
    if name.startswith(("base:", "embed:")):
        return caller.may_pass(name)
    return caller.may_ask(name.removeprefix("task:").partition("@")[0])


def _answered(answer: Answer) -> dict[str, str]:
    return _headers(answer.release, answer.trace, answer.by, answer.cache, answer.guards, answer.start)


def _headers(
    release: str, trace: str, by: str, cache: str = "", guards: str = "", start: Start | None = None
) -> dict[str, str]:
    told = {"x-journeyman-guards": guards} if guards else {}
    if start is not None:
        told["x-journeyman-start"] = start
    return (
        told
        | {
            "x-journeyman-release": release,
            "x-journeyman-trace": trace,
            "x-request-id": trace,
            "request-id": trace,
            "x-journeyman-route": by,
        }
        | ({"x-journeyman-cache": cache} if cache else {})
    )
