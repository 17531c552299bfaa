"""A student asked rows, through the server that would serve it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from journeyman.evaluation.run import Predictions, Row, evaluate
from journeyman.flows.serving import serve_student
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.task.task import Task


def ask_student(
    workspace: Workspace,
    task: Task,
    student: Student,
    *asked: tuple[Sequence[Row], Path],
    with_confidence: bool = True,
) -> list[Predictions]:
    """The answers to each set of rows, one call at a time; each set has a file of answers, and what lies there is not asked again.

    Raises:
        GateError: JM-602 none of a set's rows has an answer. ModelError: the student does not load.
    """

    async def ask() -> list[Predictions]:
        async with serve_student(workspace, task, student) as served, served.asking(served.student_name) as client:
            return [
                await evaluate(
                    client,
                    task,
                    rows,
                    requests_in_flight=1,
                    cache_path=path,
                    progress=workspace.progress,
                    with_confidence=with_confidence,
                )
                for rows, path in asked
            ]

    return asyncio.run(ask())
