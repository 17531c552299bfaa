"""`journeyman ask`."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError

if TYPE_CHECKING:
    from journeyman.flows.workspace import Workspace
    from journeyman.gateway.answer import Answer
    from journeyman.task.task import Task


def ask(
    task: TaskName,
    text: Annotated[str, typer.Argument(metavar="INPUT", help="Text, or a JSON object of the input fields.")],
    release: Annotated[str, typer.Option(help="Hash of a release; default: the live one.")] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Ask one question: the live release answers, or the teacher while there is none.

    Example: journeyman ask tickets "They stole my card!"
    """
    with working(project, is_json) as workspace:
        loaded = workspace.task(task)
        answer = asyncio.run(_ask(workspace, loaded, read_fields(loaded, text), release))
    if is_json:
        value = json.loads(answer.text) if loaded.is_structured else answer.text
        print_json({"answer": value, "model": answer.model, "release": answer.release, "trace": answer.trace})
    else:
        print_lines(answer.text)


async def _ask(workspace: Workspace, task: Task, fields: dict[str, Json], release: str) -> Answer:
    from journeyman.flows.answers import open_desk

    async with AsyncExitStack() as stack:
        desk = await open_desk(stack, workspace, task, release)
        return await desk.ask(fields, "ask")


def read_fields(task: Task, text: str) -> dict[str, Json]:
    """One text field takes the text as it is; several want a JSON object."""
    if len(task.input) == 1:
        return {next(iter(task.input)): text}
    try:
        return cast(dict[str, Json], json.loads(text))
    except json.JSONDecodeError as error:
        raise TaskError(
            "JM-263",
            f"{task.name} has several input fields, and this is not a JSON object of them",
            expected=json.dumps(dict.fromkeys(task.input, "...")),
            got=f"{text:.80}",
        ) from error
