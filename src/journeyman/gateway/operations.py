"""What those who run the server ask it: whether it can take calls, and its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from journeyman.core.errors import JourneymanError
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.metrics import KIND, Metrics
from journeyman.gateway.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Operations:
    """``probe`` raises a StoreError where the store cannot be read."""

    metrics: Metrics
    recorder: Recorder
    probe: Callable[[], None]


def add_operations(operations: Operations, app: Starlette, keeper: Doorkeeper) -> None:
    """``/readyz`` for everybody, ``/metrics`` for who has a key where keys are wanted."""

    async def ready(_request: Request) -> Response:
        try:
            await asyncio.to_thread(operations.probe)
        except JourneymanError as error:
            return _json({"status": "not ready", "code": error.code}, 503)
        return _json({"status": "ok"})

    async def metrics(request: Request) -> Response:
        await keeper.admit(request.headers)
        text = await asyncio.to_thread(operations.metrics.write, operations.recorder.waiting)
        return Response(text, headers={"content-type": KIND})

    app.add_route("/readyz", ready, methods=["GET"])
    app.add_route("/metrics", metrics, methods=["GET"])


def _json(value: dict[str, str], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
