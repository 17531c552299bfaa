"""The large model that journeyman.toml names, whoever asks it."""

from __future__ import annotations

from dataclasses import dataclass, field

from journeyman.core.errors import ServeError
from journeyman.core.providers import Price, Provider, find_price
from journeyman.core.settings import Project, environment
from journeyman.flows.workspace import Workspace
from journeyman.models.anthropic import AnthropicModel
from journeyman.models.any_llm import AnyLlmModel
from journeyman.models.protocol import Model
from journeyman.models.remote import OpenAIModel
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Upstream:
    """``name`` is what its provider calls the model."""

    name: str
    provider: Provider
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        return self.provider.url

    @property
    def key_name(self) -> str:
        return self.provider.key_name

    @property
    def price(self) -> Price | None:
        return find_price(self.provider.prices, self.name) or self.provider.price

    @property
    def is_local(self) -> bool:
        """On this machine, where nobody asks for a key or money."""
        return "//127.0.0.1" in self.url or "//localhost" in self.url

    @property
    def is_ready(self) -> bool:
        has_own_key = self.provider.kind == "any-llm" and not self.key_name  # which variable holds it, any-llm knows
        return bool(self.name) and (bool(self.key) or self.is_local or has_own_key)

    def describe(self) -> str:
        key_name = self.key_name or "the key that any-llm looks for"
        return f"teacher {self.name or 'not set'}, {key_name} {'set' if self.key else 'not set'}"

    def open(self, name: str = "") -> Model:
        """A client, to be closed; ``name`` is what we call it.

        Raises:
            ModelError: JM-443 any-llm is not installed, JM-444 it cannot open this provider.
        """
        called = name or self.name
        if self.provider.kind == "anthropic":
            return AnthropicModel(called, self.url, self.key, model=self.name)
        if self.provider.kind == "any-llm":
            return AnyLlmModel(called, self.provider.service, self.url, self.key, model=self.name)
        return OpenAIModel(called, self.url, self.key, model=self.name)


def find_upstream(project: Project, task: Task | None = None) -> Upstream:
    """The task's teacher, or without a task the project's."""
    provider, name = project.find_provider((task.teacher if task else "") or project.text("teacher", "model"))
    return Upstream(name, provider, environment(provider.key_name) if provider.key_name else "")


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


def open_teacher(workspace: Workspace, task: Task) -> Model:
    """A client of the task's teacher, to be closed; raises as `require_teacher` does."""
    return require_teacher(workspace, task).open()
