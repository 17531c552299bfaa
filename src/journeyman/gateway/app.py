"""The ASGI app: routes in, dialects out, every failure one clear error object.

`/v1/*` are plain routes that read bytes and write bytes; `/tasks/{name}` are typed and described at `/docs`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import cast

import orjson
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, JourneymanError, ModelError, ServeError, StoreError, TaskError
from journeyman.core.ids import make_trace_id
from journeyman.core.person import find_person
from journeyman.core.trace import Origin
from journeyman.gateway.answer import Answerer, Call
from journeyman.gateway.callers import Budgets, Caller, Doorkeeper
from journeyman.gateway.dialects import anthropic, openai
from journeyman.gateway.dialects.anthropic import MESSAGES
from journeyman.gateway.dialects.chat import CHAT
from journeyman.gateway.dialects.dialect import Dialect, Events
from journeyman.gateway.dialects.responses import RESPONSES
from journeyman.gateway.dialects.text import TEXT
from journeyman.gateway.dialects.vectors import EMBEDDINGS_WIRE, read_embedding
from journeyman.gateway.embedding import Embeddings, Openers
from journeyman.gateway.feedback import Calls, FeedbackDesk
from journeyman.gateway.forward import Forwarder, Passing
from journeyman.gateway.purse import Meter
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Passed, Registry, Routed
from journeyman.gateway.router import Audited, Router, Streamed
from journeyman.gateway.wire import Wire
from journeyman.task.task import Task

LOG = logging.getLogger("journeyman.gateway")
STATUS: Mapping[str, int] = {
    "JM-702": 413,
    "JM-703": 400,
    "JM-704": 404,
    "JM-705": 400,
    "JM-706": 404,
    "JM-707": 405,
    "JM-714": 404,
    "JM-715": 503,
    "JM-716": 503,
    "JM-731": 503,
    "JM-740": 401,
    "JM-741": 403,
    "JM-742": 429,
    "JM-743": 429,
    "JM-746": 429,
    "JM-744": 503,
    "JM-751": 404,
    "JM-760": 400,
    "JM-761": 404,
    "JM-762": 400,
    "JM-763": 400,
    "JM-764": 502,
    "JM-765": 400,
    "JM-767": 400,
    "JM-422": 400,
    "JM-423": 422,
    "JM-425": 422,
}


OTHER_SHAPE = ("JM-711", "JM-712", "JM-766", "JM-425")
"""A call that a task's student cannot answer as it is meant, and its teacher can."""


NO_EMBEDDERS: Openers = {}


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """``max_body_bytes``: a longer request is refused unread."""

    max_body_bytes: int = 1_000_000


def make_app(
    registry: Registry,
    recorder: Recorder,
    *,
    settings: GatewaySettings = GatewaySettings(),
    audited: Audited | None = None,
    keeper: Doorkeeper | None = None,
    budgets: Budgets | None = None,
    calls: Calls | None = None,
    embedders: Openers = NO_EMBEDDERS,
    extend: Callable[[FastAPI, Doorkeeper], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ASGIApp:
    """The app over what ``registry`` holds. The recorder, the models and the budgets' purse stay the caller's to close; ``audited`` is told of each audit. Without a
    ``keeper`` everybody is let in, without ``budgets`` nothing is reserved, without ``calls`` feedback finds none. ``extend`` adds routes of its own."""
    router = Router(Answerer(recorder, now), audited)
    forwarder = Forwarder(recorder, now)
    keeper = keeper or Doorkeeper()
    with_pages: Callable[..., FastAPI] = FastAPIOffline
    without = partial(FastAPI, docs_url=None, openapi_url=None)  # they would tell everybody of every task
    app = (with_pages if keeper.is_open else without)(
        title="Journeyman",
        description="Typed routes of this server's tasks; `/v1` speaks OpenAI's dialects and Anthropic's.",
        redoc_url=None,
        lifespan=_closing(router, forwarder),
    )
    embeddings = Embeddings(recorder, embedders, now)
    desk = FeedbackDesk(registry, calls, now)
    routes = _Routes(registry, router, forwarder, embeddings, settings, keeper, budgets, desk)
    app.add_route("/v1/chat/completions", routes.chat, methods=["POST"])
    app.add_route("/v1/completions", routes.completions, methods=["POST"])
    app.add_route("/v1/messages", routes.messages, methods=["POST"])
    app.add_route("/v1/responses", routes.responses, methods=["POST"])
    app.add_route("/v1/embeddings", routes.embeddings, methods=["POST"])
    app.add_route("/v1/feedback", routes.feedback, methods=["POST"])
    app.add_route("/v1/models", routes.models, methods=["GET"])
    app.add_route("/v1/models/{name:path}", routes.model, methods=["GET"])
    app.add_route("/tasks", routes.tasks, methods=["GET"])
    app.add_route("/healthz", routes.health, methods=["GET"])
    if extend is not None:
        extend(app, keeper)
    for task in registry.tasks():
        _add_task_route(app, routes, task)
    app.add_route("/tasks/{name}", routes.task, methods=["POST"])
    app.add_exception_handler(JourneymanError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_defect)
    hot = {
        "/v1/chat/completions": routes.chat,
        "/v1/messages": routes.messages,
        "/v1/responses": routes.responses,
        "/v1/embeddings": routes.embeddings,
    }
    return _Front(app, hot)


class _Front:
    """Routes that are asked all the time, without the framework's layers around them, which take as long as the rest of a call that is passed on."""

    def __init__(self, app: ASGIApp, posts: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self._app = app
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._posts.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if answer is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await answer(request)
        except JourneymanError as error:
            response = await _on_error(request, error)
        except Exception as error:
            LOG.exception("a call failed")
            response = await _on_defect(request, error)
        await response(scope, receive, send)


class _Routes:
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
        return _json(await self._desk.take(await self._read(request), caller))

    async def chat(self, request: Request) -> Response:
        return await self._converse(request, CHAT)

    async def completions(self, request: Request) -> Response:
        return await self._converse(request, TEXT)

    async def messages(self, request: Request) -> Response:
        return await self._converse(request, MESSAGES)

    async def responses(self, request: Request) -> Response:
        return await self._converse(request, RESPONSES)

    async def embeddings(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        raw = await self._read(request)
        caller = replace(caller, person=find_person(raw)) if isinstance(raw, dict) else caller
        name = raw.get("model") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and isinstance(name, str) and (passed := self._find_passed(name, caller)):
            return await self._pass_on(request, (raw, EMBEDDINGS_WIRE), passed, f"model:{name}", "policy", caller)
        asked = read_embedding(raw)
        if not _may_know(caller, asked.model):
            raise caller.refuse(asked.model)
        trace = make_trace_id()
        reply = await self._embeddings.answer(asked, trace, _origin(request), _meta(caller))
        return _json(reply, headers=_headers("", trace, "embedder"))

    async def _converse(self, request: Request, dialect: Dialect) -> Response:
        caller = await self._keeper.admit(request.headers)
        raw = await self._read(request)
        caller = replace(caller, person=find_person(raw)) if isinstance(raw, dict) else caller
        name = raw.get("model") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(name, str):
            return await self._answer_chat(dialect, raw, request, caller)
        if passed := self._find_passed(name, caller):
            return await self._pass_on(request, dialect.pass_on(raw), passed, f"model:{name}", "policy", caller)
        try:
            return await self._answer_chat(dialect, raw, request, caller)
        except (TaskError, DataError, ServeError, ModelError) as error:
            is_other_shape = isinstance(error, TaskError | DataError) or error.code in OTHER_SHAPE
            routed = self._find(name, caller) if is_other_shape else None
            if routed is None or routed.passed is None:
                raise
            found = routed.passed, routed.task, "shape", caller, routed.model.task
            return await self._pass_on(request, dialect.pass_on(raw), *found)

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
        passing = Passing(
            passed.point,
            passed.model,
            raw,
            name,
            trace,
            _origin(request),
            {"route": route},
            is_personal=task is None or task.redact,
            meta=_meta(caller),
            meter=self._meter(caller, task.name if task else ""),
            is_own_key=not self._keeper.is_open,
            wire=wire,
        )
        return await self._forwarder.pass_on(passing, request, _headers("", trace, f"teacher: {why}"))

    def _meter(self, caller: Caller, task: str) -> Meter | None:
        return self._budgets.meter(task, caller.key) if self._budgets is not None else None

    def _find(self, name: str, caller: Caller) -> Routed:
        """A model by its name, as far as the caller may know of it."""
        if not _may_know(caller, name):
            raise caller.refuse(name)
        try:
            return self._registry.find(name)
        except ServeError as error:
            if not caller.is_limited:
                raise
            hint = "GET /v1/models lists what this key may ask"
            raise ServeError(error.code, error.what, got=error.got, hint=hint, retryable=error.retryable) from error

    async def _answer_chat(self, dialect: Dialect, raw: Json, request: Request, caller: Caller) -> Response:
        chat = dialect.read(raw)
        routed = dialect.adapt(self._find(chat.model, caller))
        schema = openai.resolve_schema(routed.model, chat.response_format)
        wishes = replace(chat.wishes, schema=schema)
        call = Call(
            routed.model,
            messages=chat.messages,
            wishes=wishes,
            origin=_origin(request),
            trace=make_trace_id(),
            meta=_meta(caller),
            meter=self._meter(caller, routed.task),
        )
        if not chat.is_streamed:
            answer = await self._router.answer(routed, call)
            return _json(dialect.write(answer), headers=_headers(answer.release, answer.trace, answer.by))
        return await self._stream(routed, call, dialect, chat)

    async def task(self, request: Request) -> Response:
        return await self.answer_task(request.path_params["name"], request)

    async def answer_task(self, name: str, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        routed = self._find(f"task:{name}", caller)
        served = routed.model
        fields = await self._read(request)
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
        return Response(body, media_type="application/json", headers=_headers(answer.release, answer.trace, answer.by))

    async def models(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        names = [*self._registry.names(), *self._embeddings.names]
        return _json(openai.write_models([name for name in names if _may_know(caller, name)]))

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        caller = await self._keeper.admit(request.headers)
        if name in self._embeddings.names and _may_know(caller, name):
            return _json(openai.write_model(name))
        routed = self._find(name, caller)
        return _json(openai.write_model(name if name.startswith("task:") else routed.model.name))

    async def tasks(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        known = [task for task in self._registry.tasks() if caller.may_ask(task.name)]
        tasks = [_describe(task, self._registry.live(task.name)) for task in known]
        return _json({"tasks": cast(Json, tasks)})

    async def health(self, request: Request) -> Response:
        known: dict[str, Json] = {"models": cast(Json, self._registry.names())} if self._keeper.is_open else {}
        return _json({"status": "ok", **known})

    async def _stream(self, routed: Routed, call: Call, dialect: Dialect, chat: openai.ChatRequest) -> Response:
        """Wait for the first piece, so that a refused call is an HTTP error and not a broken stream."""
        streamed = await self._router.stream(routed, call)
        headers = _headers(streamed.release, call.trace, streamed.by) | {"cache-control": "no-cache"}
        events = _write_events(streamed, dialect.events(streamed.model, call.trace, chat))
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _read(self, request: Request) -> Json:
        """Raises: ServeError JM-702 too long, JM-703 not JSON."""
        limit, size, chunks = self._settings.max_body_bytes, 0, []
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > 16 * limit:  # read on for a while, so that the client hears the answer
                break
        if size > limit:
            raise ServeError(
                "JM-702",
                "the request body is too long",
                expected=f"at most {limit} bytes",
                got=f"{size} bytes or more",
                hint="shorten the input",
            )
        try:
            return cast(Json, orjson.loads(b"".join(chunks)))
        except orjson.JSONDecodeError as error:
            raise ServeError(
                "JM-703", "the request body is not JSON", got=str(error), hint="send one JSON object in UTF-8"
            ) from error


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


def status_of(error: JourneymanError) -> int:
    """The HTTP status of an error: 4xx when the caller can mend it, 503 when it may pass."""
    if error.code in STATUS:
        return STATUS[error.code]
    if isinstance(error, TaskError | ServeError):
        return 422
    if isinstance(error, DataError):
        return 400
    return 503 if isinstance(error, ModelError | StoreError) else 500


def _add_task_route(app: FastAPI, routes: _Routes, task: Task) -> None:
    async def answer(request: Request) -> Response:
        return await routes.answer_task(task.name, request)

    fields: dict[str, Json] = {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in task.input.items()},
        "required": list(task.input),
        "additionalProperties": False,
    }
    app.add_api_route(
        f"/tasks/{task.name}",
        answer,
        methods=["POST"],
        name=task.name,
        operation_id=f"task_{task.name}",
        description=task.instruction,
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": fields}}}},
        responses={
            200: {"description": "The answer", "content": {"application/json": {"schema": _answer_schema(task)}}},
            422: {"description": "Not this task's shape, or no valid answer"},
        },
    )


def _answer_schema(task: Task) -> dict[str, Json]:
    if task.schema is None:
        return {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    # An $id makes the schema's own #/$defs resolve inside it and not in the OpenAPI document.
    own = {"$id": f"urn:journeyman:task:{task.name}"} if "$defs" in task.schema or "definitions" in task.schema else {}
    return {**own, **task.schema}


def _describe(task: Task, live: str | None) -> dict[str, Json]:
    return {
        "name": task.name,
        "live": live,
        "instruction": task.instruction,
        "input": {name: dict(schema) for name, schema in task.input.items()},
        "output": dict(task.schema) if task.schema is not None else None,
    }


def _origin(request: Request) -> Origin:
    """Only an evaluation may say who it is: such a trace can never become an example."""
    return "assess" if request.headers.get("x-journeyman-origin") == "assess" else "serve"


def _meta(caller: Caller) -> dict[str, Json]:
    return {key: value for key, value in (("key", caller.id), ("person", caller.person)) if value}


def _may_know(caller: Caller, name: str) -> bool:
    if name.startswith(("base:", "embed:")):
        return caller.may_pass(name)
    return caller.may_ask(name.removeprefix("task:").partition("@")[0])


def _headers(release: str, trace: str, by: str) -> dict[str, str]:
    return {
        "x-journeyman-release": release,
        "x-journeyman-trace": trace,
        "x-request-id": trace,
        "request-id": trace,
        "x-journeyman-route": by,
    }


def _closing(router: Router, forwarder: Forwarder) -> Callable[[object], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def live(_app: object) -> AsyncIterator[None]:
        yield
        await router.close()
        await forwarder.close()

    return live


def _json(value: Mapping[str, Json], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def _write_error(request: Request, error: JourneymanError, status: int) -> dict[str, Json]:
    """In the dialect of the route."""
    write = anthropic.write_error if request.url.path.startswith("/v1/messages") else openai.write_error
    return write(error, status)


async def _on_error(request: Request, error: Exception) -> Response:
    known = cast(JourneymanError, error)
    status = status_of(known)
    wait = {"retry-after": str(ceil(known.retry_after_s))} if known.retryable else {}
    # OpenAI's client tries a 429 again by itself; a budget that is spent stays spent.
    given_up = {"x-should-retry": "false"} if known.code == "JM-742" else {}
    return _json(_write_error(request, known, status), status, wait | given_up)


async def _on_http_error(request: Request, error: Exception) -> Response:
    status = cast(HTTPException, error).status_code
    known = ServeError(
        "JM-707" if status == 405 else "JM-706",
        f"there is no {request.method} {request.url.path} here",
        hint="POST /v1/chat/completions, GET /v1/models, POST /tasks/NAME; see /docs",
    )
    return _json(_write_error(request, known, status), status)


async def _on_defect(request: Request, error: Exception) -> Response:
    """The outermost boundary: the server logs the traceback, the caller learns that the defect is ours."""
    known = JourneymanError("JM-799", "the server failed on this call", hint="this is a defect: report it with the log")
    return _json(_write_error(request, known, 500), 500)
