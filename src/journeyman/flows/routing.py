"""What answers the calls of a project's tasks, as their files and the project's teacher say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from journeyman.core.errors import ServeError
from journeyman.flows.guarding import open_guards, open_project_guards
from journeyman.flows.points import Providers
from journeyman.flows.upstream import Upstream, find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.gateway.registry import Registry, Routed, Served, Way
from journeyman.models.breaker import Sheltered
from journeyman.models.protocol import Decoding
from journeyman.store.canaries import Canary
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task

FRESH_S = 0.5


def open_registry(
    stack: AsyncExitStack,
    workspace: Workspace,
    served: Iterable[Served],
    tasks: Sequence[Task],
    *,
    is_passing: bool = False,
    wanted: Callable[[str, str], None] = lambda _task, _release: None,
    ways: Ways | None = None,
) -> Registry:
    """The releases in ``served`` and the teachers of ``tasks``, whose clients close with ``stack``. ``is_passing``: calls to
    other models of the providers that the project names are passed on, at the project's expense. ``wanted`` is told of live releases that are not among them. ``ways``
    are kept by who takes over other tasks later."""
    ways = ways or Ways(stack, workspace)
    made = ways.make(tasks)
    points = ways.providers.all_points() if is_passing else []
    aliases = Aliases(workspace)
    guards = open_project_guards(workspace)
    return Registry(served, aliases.live, made, aliases.held, points, wanted, aliases.canary, guards)


class Aliases:
    """Which release of a task is live, why it may not answer, and which candidate answers beside it. What this process moves shows at once, what another one does within ``FRESH_S``: two queries
    a call would cost more than the rest of it."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def live(self, task: str) -> str | None:
        return self._read(task).live

    def held(self, task: str) -> str:
        return self._read(task).held

    def canary(self, task: str) -> Canary | None:
        return self._read(task).canary

    def _read(self, task: str) -> _Known:
        store = self._workspace.store
        known = self._known.get(task)
        if known is None or known.moves != store.alias_moves or self._clock() >= known.until:
            moves, until = store.alias_moves, self._clock() + FRESH_S
            held, canary = find_hold(self._workspace, task), store.canary(task)
            known = self._known[task] = _Known(store.alias(task), held, canary, moves, until)
        return known


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, at which number of moves, and until when it is taken for true."""

    live: str | None
    held: str
    canary: Canary | None
    moves: int
    until: float


def find_hold(workspace: Workspace, task_name: str) -> str:
    """Why the task's live release may not answer; empty where it may."""
    held = workspace.store.held(task_name)
    return held.reason if held is not None else ""


class Ways:
    """How tasks are answered, as their files say; again when these have changed. A teacher's client is made once for each task and model, and closes with ``stack``: calls
    under way may need it."""

    def __init__(self, stack: AsyncExitStack, workspace: Workspace) -> None:
        self._stack = stack
        self._workspace = workspace
        self._teachers: dict[tuple[str, str, str], Sheltered] = {}
        self._said: set[str] = set()
        self.providers = Providers(stack, workspace)

    def make(self, tasks: Sequence[Task]) -> dict[str, Way]:
        self.providers.name(tasks)
        return {task.name: self._make(task) for task in tasks}

    def _make(self, task: Task) -> Way:
        upstream = find_upstream(self._workspace.project, task)
        stated = None if task.route.policy == "auto" else task.route.policy
        is_asked = upstream.is_ready and stated != "student"
        teacher = self._serve_teacher(task, upstream) if is_asked else None
        if upstream.name and not upstream.is_ready and stated != "student" and task.name not in self._said:
            self._said.add(task.name)
            self._workspace.progress.note(f"{task.name} has no teacher to ask: {upstream.describe()}")
        point = self.providers.point(upstream) if teacher else None
        route = task.route
        return Way(
            teacher,
            stated,
            route.audit,
            point,
            task.records.sample,
            fallback=task.route.fallback == "student",
            shadow=route.shadow,
            cache=route.cache,
            patience_s=route.patience_s,
            guards=open_guards(self._workspace, task.guards, f"task {task.name}"),
        )

    def _serve_teacher(self, task: Task, upstream: Upstream) -> Served:
        called = task.name, upstream.provider.name, upstream.name
        model = self._teachers.get(called)
        if model is None:
            model = self._teachers[called] = Sheltered(upstream.open(), self.providers.breaker(upstream.provider.name))
            self._stack.push_async_callback(model.close)
        return Served(
            model.name,
            model,
            task,
            decoding=Decoding(max_tokens=task.max_output_tokens),
            write=teacher_messages,
            usd_per_million=upstream.price,
            is_paid=True,
        )


def describe_routes(registry: Registry) -> list[str]:
    """Who answers each task now, a line each."""
    lines = []
    for task in registry.tasks():
        try:
            routed = registry.find_task(task.name)
        except ServeError as error:
            lines.append(f"{task.name}: {error.what}")
            continue
        beside = f"; {describe_canary(routed.canary[0])}" if routed.canary else ""
        lines.append(f"{task.name}: {_describe(routed)}{beside}")
    return lines


def describe_canary(canary: Canary) -> str:
    return f"the candidate {canary.release[:12]} answers {100 * canary.share:g} % of the calls"


def _describe(routed: Routed) -> str:
    teacher = f"the teacher, {routed.teacher.name}" if routed.teacher else "no teacher is set, so those are refused"
    if routed.student is None or routed.policy == "teacher":
        return teacher
    if routed.policy == "shadow":
        return f"{teacher}; unseen, the student {routed.student.release[:12]} is asked about {100 * routed.shadow.share:g} % of them too"
    if routed.held:
        return f"held ({routed.held}); {teacher}"
    if routed.policy == "student":
        return f"the student {routed.student.release[:12]}" + (f"; where it fails, {teacher}" if routed.teacher else "")
    if routed.student.threshold is None:
        return f"the release has no threshold from which on it may answer; {teacher}"
    return (
        f"the student {routed.student.release[:12]} where it is {100 * routed.student.threshold:.0f} % sure; the rest: {teacher}; "
        f"{100 * routed.audit:g} % of its own answers are audited"
    )
