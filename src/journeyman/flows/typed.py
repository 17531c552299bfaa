"""``@jm.task``: a typed function is a task. Until a student is live the teacher answers; every call is a trace.

One background event loop serves plain functions; ``async def`` works too.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import json
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.files import write_atomic
from journeyman.core.nodes import rebuild
from journeyman.flows.answers import Desk, open_desk
from journeyman.flows.workspace import open_workspace
from journeyman.task.file import load_task, task_from_mapping, write_task
from journeyman.task.schema import close
from journeyman.task.task import Task

P = ParamSpec("P")
R = TypeVar("R")
UNSUPPORTED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def task(
    *,
    teacher: str = "",
    name: str = "",
    gate: Mapping[str, Json] | None = None,
    project: Path | str | None = None,
    max_output_tokens: int | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn a typed function into a task: docstring = instruction, arguments = input fields, return type = output.

    The function's own body never runs. The first call writes ``tasks/NAME.yaml``, so that the commands know the task; a file
    that is there already must agree with the function, and its gate counts.

    Raises:
        TaskError: JM-250 no docstring, JM-251 an argument or result that cannot be typed; at the first call JM-252 the task
            file says something else.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        mapping = describe_task(function, teacher, name, gate, max_output_tokens)
        made = task_from_mapping(mapping, _where(function))
        adapter: TypeAdapter[Any] = TypeAdapter(get_type_hints(function)["return"])
        signature = inspect.signature(function)
        desk = _Desk(made, mapping, Path(project) if project else None)

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            text = await desk.ask(cast(Mapping[str, Json], dict(bound.arguments)))
            return cast(R, adapter.validate_json(text) if made.is_structured else text)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def answer_async(*args: P.args, **kwargs: P.kwargs) -> R:
                return await asyncio.wrap_future(_submit(call(*args, **kwargs)))

            wrapped = cast(Callable[P, R], answer_async)
        else:

            @wraps(function)
            def answer(*args: P.args, **kwargs: P.kwargs) -> R:
                return cast(R, _submit(call(*args, **kwargs)).result())

            wrapped = answer
        wrapped.task = made  # type: ignore[attr-defined]  # for `journeyman` and for people: triage.task
        return wrapped

    return decorate


def describe_task(
    function: Callable[..., object],
    teacher: str = "",
    name: str = "",
    gate: Mapping[str, Json] | None = None,
    max_output_tokens: int | None = None,
) -> dict[str, Json]:
    """The content of the task file that a function's signature describes."""
    instruction, where = inspect.getdoc(function), _where(function)
    if not instruction:
        raise TaskError(
            "JM-250", "this task has no instruction", where=where, hint="write a docstring that says what to do"
        )
    mapping: dict[str, Json] = {
        "edition": 1,
        "name": name or function.__name__,
        "instruction": instruction,
        "input": _inputs(function, where),
        "output": _output(function, where),
    }
    if teacher:
        mapping["teacher"] = teacher
    if gate is not None:
        mapping["gate"] = dict(gate)
    if max_output_tokens is not None:
        mapping["max_output_tokens"] = max_output_tokens
    return mapping


def settle_file(folder: Path, made: Task, mapping: Mapping[str, Json]) -> Task:
    """Write ``NAME.yaml`` into ``folder`` where there is none; the task as the file says it.

    Raises:
        TaskError: JM-252 the file has another instruction, other inputs or other output fields.
    """
    path = folder / f"{made.name}.yaml"
    if not path.exists():
        write_atomic(path, write_task(mapping))
    filed = load_task(path)
    for what, wanted, got in (
        ("instruction", made.instruction, filed.instruction),
        ("inputs", ", ".join(made.input), ", ".join(filed.input)),
        ("output", _field_names(made), _field_names(filed)),
    ):
        if wanted != got:
            raise TaskError(
                "JM-252",
                f"the task file has another {what} than the typed function",
                where=str(path),
                expected=wanted,
                got=got,
                hint="change one of them, or delete the file to have it written again",
            )
    return filed


def _field_names(task: Task) -> str:
    """What can be compared between two ways to write the same schema."""
    if task.schema is None:
        return "text"
    fields = task.schema.get("properties")
    return ", ".join(sorted(fields)) if isinstance(fields, dict) else "JSON"


def _where(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _inputs(function: Callable[..., object], where: str) -> dict[str, Json]:
    hints = get_type_hints(function)
    fields: dict[str, Json] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints or parameter.kind in UNSUPPORTED:
            raise TaskError(
                "JM-251",
                f"the argument {parameter.name} has no type",
                where=where,
                hint="annotate it, e.g. message: str",
            )
        fields[parameter.name] = _closed(TypeAdapter(hints[parameter.name]).json_schema())
    return fields


def _output(function: Callable[..., object], where: str) -> Json:
    hints = get_type_hints(function)
    if "return" not in hints:
        raise TaskError("JM-251", "the function has no return type", where=where, hint="annotate it, e.g. -> Ticket")
    result = hints["return"]
    return "text" if result is str else _closed(TypeAdapter(result).json_schema())


def _closed(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Objects made from pydantic models are closed, and their titles are noise."""
    untitled = rebuild(close(schema), lambda node: {key: value for key, value in node.items() if key != "title"})
    return cast(dict[str, Json], untitled)


class _Desk:
    """Opens project and model at the first call, on the background loop, and keeps them."""

    def __init__(self, made: Task, mapping: Mapping[str, Json], project: Path | None) -> None:
        self.made, self.mapping, self.project = made, mapping, project
        self.desk: Desk | None = None
        self.opening: asyncio.Lock | None = None
        self.stack = AsyncExitStack()

    async def ask(self, fields: Mapping[str, Json]) -> str:
        self.opening = self.opening or asyncio.Lock()
        async with self.opening:
            if self.desk is None:
                workspace = self.stack.enter_context(open_workspace(self.project))
                filed = settle_file(workspace.project.tasks, self.made, self.mapping)
                self.desk = await open_desk(self.stack, workspace, filed)
                _CLOSING.append(self.stack)
        answer = await self.desk.ask(_plain(fields), "task")
        return answer.text


def _plain(fields: Mapping[str, object]) -> dict[str, Json]:
    return {
        name: cast(
            Json, value.model_dump(mode="json") if isinstance(value, BaseModel) else json.loads(json.dumps(value))
        )
        for name, value in fields.items()
    }


_CLOSING: list[AsyncExitStack] = []
_LOOP: list[asyncio.AbstractEventLoop] = []
_STARTING = threading.Lock()


def _submit(work: Coroutine[Any, Any, R]) -> Any:
    """Run on the background loop, which starts at the first call; the concurrent future of the result."""
    with _STARTING:
        if not _LOOP:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="journeyman", daemon=True).start()
            _LOOP.append(loop)
            atexit.register(_close)
    return asyncio.run_coroutine_threadsafe(work, _LOOP[0])


def _close() -> None:
    async def close_all() -> None:
        for stack in _CLOSING:
            await stack.aclose()

    asyncio.run_coroutine_threadsafe(close_all(), _LOOP[0]).result(timeout=30)
    _LOOP[0].call_soon_threadsafe(_LOOP[0].stop)
