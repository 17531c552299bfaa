"""What those who run the server ask it: whether it can take calls, and its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.metrics import KIND, Metrics
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.server import Ending
from journeyman.models.standby import EngineState


@dataclass(frozen=True, slots=True)
class Operations:
    """``probe`` raises a StoreError where the store cannot be read. ``problems``: what is wrong with the project's files, by their names, while the server answers
    as they were before."""

    metrics: Metrics
    recorder: Recorder
    probe: Callable[[], None]
    ending: Ending = field(default_factory=Ending)
    problems: Mapping[str, str] = field(default_factory=dict)
    engines: Callable[[], list[EngineState]] = list


def add_operations(operations: Operations, app: Starlette, keeper: Doorkeeper) -> None:
    """``/readyz`` for everybody, ``/metrics`` for who has a key where keys are wanted."""

    async def ready(request: Request) -> Response:
        if operations.ending.has_begun:
            return _json({"status": "stopping"}, 503)
        try:
            await asyncio.to_thread(operations.probe)
        except JourneymanError as error:
            return _json({"status": "not ready", "code": error.code}, 503)
        if operations.problems and await _may_know_all(keeper, request):
            return _json({"status": "ok", "problems": cast(Json, dict(operations.problems))})
        return _json({"status": "ok"})

    async def metrics(request: Request) -> Response:
        await keeper.admit(request.headers)
        text = await asyncio.to_thread(operations.metrics.write, operations.recorder.waiting, operations.engines())
        return Response(text, headers={"content-type": KIND})

    app.add_route("/readyz", ready, methods=["GET"])
    app.add_route("/metrics", metrics, methods=["GET"])


async def _may_know_all(keeper: Doorkeeper, request: Request) -> bool:
    """Whether the caller may ask every task and model: others learn of no task that is not theirs."""
    try:
        return not (await keeper.admit(request.headers)).is_limited
    except ServeError:
        return False


def _json(value: Mapping[str, Json], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
