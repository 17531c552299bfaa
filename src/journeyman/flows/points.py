"""The providers that a project's settings name, as the gateway passes calls on to them: one connection, one breaker and one list of prices each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from journeyman.core.providers import DEFAULT, Price, Provider
from journeyman.core.settings import environment
from journeyman.flows.upstream import Upstream, find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.gateway.points import Point
from journeyman.models.any_llm import AnyLlmModel
from journeyman.models.breaker import Breaker
from journeyman.task.task import Task


class Providers:
    """Clients close with ``stack``. A price without a model's name is of the models that the project names, as its teacher or a task's: a budget pays for no other one
    that has no price of its own, since a caller may name a dearer one."""

    def __init__(self, stack: AsyncExitStack, workspace: Workspace) -> None:
        self._stack = stack
        self._project = workspace.project
        self._named = [find_upstream(self._project)]
        self._breakers: dict[str, Breaker] = {}
        self._points: dict[str, Point] = {}
        self._prices: dict[str, dict[str, Price]] = {}

    def name(self, tasks: Sequence[Task]) -> None:
        """The teachers of these tasks are models that the project names, beside those that it named before."""
        self._named += [found for task in tasks if (found := find_upstream(self._project, task)) not in self._named]
        for provider in self._prices:
            self._note_prices(provider)

    def breaker(self, name: str) -> Breaker:
        called = "the teacher's provider" if name == DEFAULT else f"the provider {name}"
        return self._breakers.setdefault(name, Breaker(called))

    def point(self, upstream: Upstream) -> Point:
        provider = upstream.provider
        if provider.name not in self._points:
            self._points[provider.name] = self._open(provider, upstream.key)
        return self._points[provider.name]

    def all_points(self) -> list[Point]:
        """The default one first, under the name teacher; none while no teacher is set."""
        first = self._named[0]
        default = [replace(self.point(first), name=DEFAULT)] if first.name else []
        known = [upstream.provider for upstream in self._named if upstream.name and upstream.provider.name != DEFAULT]
        others = {provider.name: provider for provider in (*known, *self._project.providers.values())}
        return default + [
            self.point(Upstream("", provider, environment(provider.key_name) if provider.key_name else ""))
            for provider in others.values()
        ]

    def _open(self, provider: Provider, key: str) -> Point:
        self._prices[provider.name] = dict(provider.prices)
        self._note_prices(provider.name)
        ask = None
        if provider.kind == "any-llm":
            model = AnyLlmModel(provider.name, provider.service, provider.url, key)
            self._stack.push_async_callback(model.close)
            ask = model.ask
        return Point(
            provider.name,
            provider.url,
            key,
            provider.price,
            self.breaker(provider.name),
            provider.kind,
            self._prices[provider.name],
            ask,
        )

    def _note_prices(self, provider: str) -> None:
        for upstream in self._named:
            if upstream.provider.name == provider and upstream.price is not None:
                self._prices[provider][upstream.name] = upstream.price
