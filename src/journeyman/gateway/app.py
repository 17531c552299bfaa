"""The ASGI app: routes in, dialects out, every failure one clear error object.

`/v1/*` are plain routes that read bytes and write bytes; `/tasks/{name}` are typed and described at `/docs`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from journeyman.core.errors import JourneymanError
from journeyman.gateway.answer import Answerer
from journeyman.gateway.callers import Budgets, Doorkeeper
from journeyman.gateway.described import describe_dialects
from journeyman.gateway.embedding import Embeddings, Openers
from journeyman.gateway.failures import on_defect, on_error, on_http_error
from journeyman.gateway.feedback import Calls, FeedbackDesk
from journeyman.gateway.forward import Forwarder
from journeyman.gateway.knowing import Knower
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.response_cache import ResponseCache
from journeyman.gateway.router import Audited, Router
from journeyman.gateway.routes import GatewaySettings, Routes
from journeyman.gateway.typed_routes import describe_tasks

LOG = logging.getLogger("journeyman.gateway")
NO_EMBEDDERS: Openers = {}


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
    knower: Knower | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ASGIApp:
    """The app over what ``registry`` holds. The recorder, the models and the budgets' purse stay the caller's to close; ``audited`` is told of each audit. Without a
    ``keeper`` everybody is let in, without ``budgets`` nothing is reserved, without ``calls`` feedback finds none, without a ``knower`` callers bring their passages. ``extend`` adds routes of its own."""
    answerer = Answerer(recorder, now)
    embeddings = Embeddings(recorder, embedders, now)
    cache = ResponseCache(answerer, calls.trace if calls is not None else None, embeddings.read)
    router = Router(answerer, audited, cache=cache, find=registry.find_task, knower=knower)
    forwarder = Forwarder(recorder, now, settings.silence_s)
    keeper = keeper or Doorkeeper()
    with_pages: Callable[..., FastAPI] = FastAPIOffline
    without = partial(FastAPI, docs_url=None, openapi_url=None)  # they would tell everybody of every task
    app = (with_pages if keeper.is_open else without)(
        title="Journeyman",
        description="Typed routes of this server's tasks; `/v1` speaks OpenAI's dialects and Anthropic's.",
        redoc_url=None,
        lifespan=_closing(router, forwarder),
    )
    desk = FeedbackDesk(registry, calls, now, cache.forget, knower)
    routes = Routes(registry, router, forwarder, embeddings, settings, keeper, budgets, desk)
    app.add_route("/v1/chat/completions", routes.chat, methods=["POST"])
    app.add_route("/v1/completions", routes.completions, methods=["POST"])
    app.add_route("/v1/messages", routes.messages, methods=["POST"])
    app.add_route("/v1/messages/count_tokens", routes.count_tokens, methods=["POST"])
    app.add_route("/v1/responses", routes.responses, methods=["POST"])
    app.add_route("/v1/embeddings", routes.embeddings, methods=["POST"])
    app.add_route("/v1/feedback", routes.feedback, methods=["POST"])
    app.add_route("/v1/models", routes.models, methods=["GET"])
    app.add_route("/v1/models/{name:path}", routes.model, methods=["GET"])
    app.add_route("/tasks", routes.tasks, methods=["GET"])
    app.add_route("/healthz", routes.health, methods=["GET"])
    if extend is not None:
        extend(app, keeper)
    app.add_route("/tasks/{name}", routes.task, methods=["POST"])
    describe_dialects(app)
    describing = partial(describe_tasks, app, routes, registry)
    describing()
    registry.on_change(describing)
    app.add_exception_handler(JourneymanError, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_defect)
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
            response = await on_error(request, error)
        except Exception as error:
            LOG.exception("a call failed")
            response = await on_defect(request, error)
        await response(scope, receive, send)


def _closing(router: Router, forwarder: Forwarder) -> Callable[[object], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def live(_app: object) -> AsyncIterator[None]:
        yield
        await router.close()
        await forwarder.close()

    return live
