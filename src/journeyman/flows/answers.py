"""`ask` and typed functions: one question to the live release, or to the teacher while there is none; recorded either way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.settings import environment
from journeyman.core.trace import Origin
from journeyman.flows.serving import load_students, loadable
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


def find_teacher(workspace: Workspace, task: Task) -> tuple[str, str, str]:
    """The configured teacher's name, address and key, empty where not set."""
    project = workspace.project
    name = (task.teacher or project.text("teacher", "model")).removeprefix("openai/")
    return name, project.text("teacher", "url"), environment(project.text("teacher", "api_key_env"))


def is_askable(name: str, url: str, key: str) -> bool:
    """A provider on this machine needs no key."""
    return bool(name) and bool(key or "//127.0.0.1" in url or "//localhost" in url)


def _teacher(stack: AsyncExitStack, workspace: Workspace, task: Task) -> Served:
    name, url, key = find_teacher(workspace, task)
    if not is_askable(name, url, key):
        key_name = workspace.project.text("teacher", "api_key_env")
        raise ServeError(
            "JM-730",
            f"{task.name} has no release yet, and no teacher to ask",
            expected="a release, or teacher.model in journeyman.toml and its key in the environment",
            got=f"teacher {name or 'not set'}, {key_name} {'set' if key else 'not set'}",
            hint=f"journeyman run {task.name}, or set the teacher",
        )
    model = OpenAIModel(name, url, key)
    stack.push_async_callback(model.close)
    return Served(name, model, task, decoding=Decoding(max_tokens=task.max_output_tokens), write=teacher_messages)
