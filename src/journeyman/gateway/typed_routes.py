"""A route for each task, `/tasks/{name}`, with its fields and its answer in the page at `/docs`; made anew when the tasks change."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from journeyman.core.canonical import Json
from journeyman.gateway.registry import Registry
from journeyman.gateway.routes import Routes
from journeyman.task.task import Task

PREFIX = "/tasks/"


def describe_tasks(app: FastAPI, routes: Routes, registry: Registry) -> None:
    """Before all other routes, of which one takes every name. Nothing else runs in between: a call finds the old ones or the new ones."""
    others = [
        route for route in app.router.routes if not (isinstance(route, APIRoute) and route.path.startswith(PREFIX))
    ]
    app.router.routes.clear()
    for task in registry.tasks():
        _add_task_route(app, routes, task)
    app.router.routes.extend(others)
    app.openapi_schema = None


def _add_task_route(app: FastAPI, routes: Routes, task: Task) -> None:
    async def answer(request: Request) -> Response:
        return await routes.answer_task(task.name, request)

    fields: dict[str, Json] = {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in task.input.items()},
        "required": list(task.asked),
        "additionalProperties": False,
    }
    app.add_api_route(
        f"{PREFIX}{task.name}",
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
