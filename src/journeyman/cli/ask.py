"""`journeyman ask`."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.plain import show_plainly
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
        answer, sources = asyncio.run(_ask(workspace, loaded, read_fields(loaded, text), release))
    if is_json:
        value = json.loads(answer.text) if loaded.is_structured else answer.text
        known: dict[str, Json] = {"sources": sources} if loaded.knowledge is not None else {}
        print_json({"answer": value, "model": answer.model, "release": answer.release, "trace": answer.trace} | known)
        return
    print_lines(answer.text, *(line for source in sources for line in _show_cited(cast(dict[str, Json], source))))


async def _ask(workspace: Workspace, task: Task, fields: dict[str, Json], release: str) -> tuple[Answer, list[Json]]:
    from journeyman.flows.answers import open_desk

    async with AsyncExitStack() as stack:
        desk = await open_desk(stack, workspace, task, release)
        answer = await desk.ask(fields, "ask")
        return answer, answer.sources()


def _show_cited(source: dict[str, Json]) -> list[str]:
    """A line for each place that the answer cites."""
    page = f", page {source['page']}" if "page" in source else ""
    place = f"[{source['passage']}] {source['document']}{page}"
    return [
        show_plainly(f'  {place}: "{cited["quote"]}"') + ("" if cited["status"] == "exact" else f" ({cited['status']})")
        for cited in cast(list[dict[str, str]], source["cited"])
    ]


def read_fields(task: Task, text: str) -> dict[str, Json]:
    """One text field takes the text as it is; several want a JSON object."""
    if len(task.asked) == 1:
        return {next(iter(task.asked)): text}
    try:
        return cast(dict[str, Json], json.loads(text))
    except json.JSONDecodeError as error:
        raise TaskError(
            "JM-263",
            f"{task.name} has several input fields, and this is not a JSON object of them",
            expected=json.dumps(dict.fromkeys(task.asked, "...")),
            got=f"{text:.80}",
        ) from error
