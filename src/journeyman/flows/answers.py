"""`ask` and typed functions: one question to the live release, or to the teacher while there is none; recorded either way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.trace import Origin
from journeyman.flows.serving import load_students, loadable
from journeyman.flows.upstream import Upstream, find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.gateway.answer import Answer, Answerer, Call
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.models.protocol import Decoding
from journeyman.models.remote import OpenAIModel
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task


@dataclass(frozen=True)
class Desk:
    """Answers one task's questions; made by ``open_desk``."""

    served: Served
    answerer: Answerer

    async def ask(self, fields: Mapping[str, Json], origin: Origin) -> Answer:
        """Raises: TaskError wrong fields, ServeError JM-720 no valid answer, ModelError."""
        return await self.answerer.answer(Call(self.served, input=fields, origin=origin))


async def open_desk(stack: AsyncExitStack, workspace: Workspace, task: Task, release: str = "") -> Desk:
    """The task's live release (or ``release``) on the local engine, else its teacher.

    Raises:
        ServeError: JM-730 neither a release nor a teacher. ModelError: what loading says.
    """
    recorder = Recorder(workspace.store)
    stack.callback(recorder.close)
    answerer = Answerer(recorder)
    students = loadable(workspace, task.name)
    if students:
        served = await load_students(stack, students)
        registry = Registry(served, workspace.store.alias)
        return Desk(registry.find_task(f"{task.name}@{release}" if release else task.name), answerer)
    return Desk(_teacher(stack, workspace, task), answerer)


def find_teacher(workspace: Workspace, task: Task) -> Upstream:
    """The task's teacher; nothing is opened.

    Raises:
        ServeError: JM-730 it is not set, or has no key.
    """
    upstream = find_upstream(workspace.project, task)
    if not upstream.is_ready:
        raise ServeError(
            "JM-730",
            f"{task.name} has no release yet, and no teacher to ask",
            expected="a release, or teacher.model in journeyman.toml and its key in the environment",
            got=upstream.describe(),
            hint=f"journeyman run {task.name}, or set the teacher",
        )
    return upstream


def open_teacher(workspace: Workspace, task: Task) -> OpenAIModel:
    """The same, to be closed."""
    return find_teacher(workspace, task).open()


def _teacher(stack: AsyncExitStack, workspace: Workspace, task: Task) -> Served:
    model = open_teacher(workspace, task)
    stack.push_async_callback(model.close)
    return Served(model.name, model, task, decoding=Decoding(max_tokens=task.max_output_tokens), write=teacher_messages)
