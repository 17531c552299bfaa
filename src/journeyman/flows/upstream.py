"""The large model that journeyman.toml names, whoever asks it."""

from __future__ import annotations

from dataclasses import dataclass, field

from journeyman.core.errors import ServeError
from journeyman.core.settings import Project, environment
from journeyman.flows.workspace import Workspace
from journeyman.models.remote import OpenAIModel
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Upstream:
    name: str
    url: str
    key_name: str
    key: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """On this machine, where nobody asks for a key or money."""
        return "//127.0.0.1" in self.url or "//localhost" in self.url

    @property
    def is_ready(self) -> bool:
        return bool(self.name) and (bool(self.key) or self.is_local)

    def describe(self) -> str:
        return f"teacher {self.name or 'not set'}, {self.key_name} {'set' if self.key else 'not set'}"

    def open(self, name: str = "") -> OpenAIModel:
        """A client, to be closed; ``name`` is what we call it."""
        return OpenAIModel(name or self.name, self.url, self.key, model=self.name)


def find_upstream(project: Project, task: Task | None = None) -> Upstream:
    """The task's teacher, or without a task the project's."""
    key_name = project.text("teacher", "api_key_env")
    return Upstream(
        ((task.teacher if task else "") or project.text("teacher", "model")).removeprefix("openai/"),
        project.text("teacher", "url"),
        key_name,
        environment(key_name),
    )


def require_teacher(workspace: Workspace, task: Task) -> Upstream:
    """The task's teacher, which can be asked.

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
    """A client of the task's teacher, to be closed; raises as `require_teacher` does."""
    return require_teacher(workspace, task).open()
