"""Every failure as one clear error object, in the dialect of who asked."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from journeyman.core.canonical import Json
from journeyman.core.errors import (
    DataError,
    JourneymanError,
    KnowledgeError,
    ModelError,
    ServeError,
    StoreError,
    TaskError,
)
from journeyman.gateway.dialects import anthropic, openai
from journeyman.gateway.replies import Reply

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
    "JM-721": 400,
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
    "JM-768": 400,
    "JM-769": 400,
    "JM-434": 502,
    "JM-445": 502,
    "JM-770": 404,
    "JM-771": 400,
    "JM-772": 400,
    "JM-773": 400,
    "JM-774": 404,
    "JM-775": 413,
    "JM-776": 403,
    "JM-777": 410,
    "JM-779": 400,
    "JM-780": 400,
    "JM-782": 503,
    "JM-427": 503,
    "JM-428": 503,
    "JM-429": 503,
    "JM-422": 400,
    "JM-423": 422,
    "JM-425": 422,
}


def status_of(error: JourneymanError) -> int:
    """The HTTP status of an error: 4xx when the caller can mend it, 503 when it may pass."""
    if error.code in STATUS:
        return STATUS[error.code]
    if isinstance(error, TaskError | ServeError):
        return 422
    if isinstance(error, DataError):
        return 400
    return 503 if isinstance(error, ModelError | StoreError | KnowledgeError) else 500


def _write_error(request: Request, error: JourneymanError, status: int) -> dict[str, Json]:
    """In the dialect of the route."""
    write = anthropic.write_error if request.url.path.startswith("/v1/messages") else openai.write_error
    return write(error, status)


async def on_error(request: Request, error: Exception) -> Response:
    known = cast(JourneymanError, error)
    status = status_of(known)
    wait = {"retry-after": str(ceil(known.retry_after_s))} if known.retryable else {}
    # OpenAI's client tries a 429 again by itself; a budget that is spent stays spent.
    given_up = {"x-should-retry": "false"} if known.code == "JM-742" else {}
    return json_response(_write_error(request, known, status), status, wait | given_up)


async def on_http_error(request: Request, error: Exception) -> Response:
    status = cast(HTTPException, error).status_code
    known = ServeError(
        "JM-707" if status == 405 else "JM-706",
        f"there is no {request.method} {request.url.path} here",
        hint="POST /v1/chat/completions, GET /v1/models, POST /tasks/NAME; see /docs",
    )
    return json_response(_write_error(request, known, status), status)


async def on_defect(request: Request, error: Exception) -> Response:
    """The outermost boundary: the server logs the traceback, the caller learns that the defect is ours."""
    known = JourneymanError("JM-799", "the server failed on this call", hint="this is a defect: report it with the log")
    return json_response(_write_error(request, known, 500), 500)


def json_response(value: Mapping[str, Json], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Reply(orjson.dumps(value), status, {**(headers or {}), "content-type": "application/json"})
