"""What answers the calls of a project's tasks, as their files and the project's teacher say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

from journeyman.core.errors import ServeError
from journeyman.flows.upstream import Upstream, find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.gateway.points import Point
from journeyman.gateway.registry import Registry, Routed, Served, Way
from journeyman.models.breaker import Breaker, Sheltered
from journeyman.models.protocol import Decoding
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
) -> Registry:
    """The releases in ``served`` and the teachers of ``tasks``, whose clients close with ``stack``. ``is_passing``: calls to
    other models of the teacher's provider are passed on, at the project's expense. ``wanted`` is told of live releases that are not among them."""
    upstream, breaker = find_upstream(workspace.project), Breaker("the teacher's provider")
    ways = {task.name: _way(stack, workspace, task, breaker) for task in tasks}
    points = [_open_point(workspace, upstream, breaker)] if is_passing and upstream.name else []
    aliases = Aliases(workspace)
    return Registry(served, aliases.live, ways, aliases.held, points, wanted)


class Aliases:
    """Which release of a task is live, and why it may not answer. What this process moves shows at once, what another one does within ``FRESH_S``: two queries
    a call would cost more than the rest of it."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock
        self._known: dict[str, tuple[str | None, str, int, float]] = {}

    def live(self, task: str) -> str | None:
        return self._read(task)[0]

    def held(self, task: str) -> str:
        return self._read(task)[1]

    def _read(self, task: str) -> tuple[str | None, str, int, float]:
        store = self._workspace.store
        known = self._known.get(task)
        if known is None or known[2] != store.alias_moves or self._clock() >= known[3]:
            moves, until = store.alias_moves, self._clock() + FRESH_S
            known = self._known[task] = store.alias(task), find_hold(self._workspace, task), moves, until
        return known


def _open_point(workspace: Workspace, upstream: Upstream, breaker: Breaker) -> Point:
    return Point("teacher", upstream.url, upstream.key, _prices(workspace), breaker)


def _prices(workspace: Workspace) -> tuple[float, float] | None:
    to_read, to_write = (workspace.project.number("teacher", f"{side}_usd_per_million") for side in ("input", "output"))
    return None if to_read is None or to_write is None else (to_read, to_write)


def find_hold(workspace: Workspace, task_name: str) -> str:
    """Why the task's live release may not answer; empty where it may."""
    held = workspace.store.held(task_name)
    return held.reason if held is not None else ""


def _way(stack: AsyncExitStack, workspace: Workspace, task: Task, breaker: Breaker) -> Way:
    upstream = find_upstream(workspace.project, task)
    stated = None if task.route.policy == "auto" else task.route.policy
    is_asked = upstream.is_ready and stated != "student"
    teacher = _serve_teacher(stack, workspace, task, upstream, breaker) if is_asked else None
    if upstream.name and not upstream.is_ready and stated != "student":
        workspace.progress.note(f"{task.name} has no teacher to ask: {upstream.describe()}")
    point = _open_point(workspace, upstream, breaker) if teacher else None
    is_kept = task.route.fallback == "student"
    return Way(teacher, stated, task.route.audit, point, task.records.sample, is_kept)


def _serve_teacher(
    stack: AsyncExitStack, workspace: Workspace, task: Task, upstream: Upstream, breaker: Breaker
) -> Served:
    model = Sheltered(upstream.open(), breaker)
    stack.push_async_callback(model.close)
    return Served(
        model.name,
        model,
        task,
        decoding=Decoding(max_tokens=task.max_output_tokens),
        write=teacher_messages,
        usd_per_million=_prices(workspace),
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
        lines.append(f"{task.name}: {_describe(routed)}")
    return lines


def _describe(routed: Routed) -> str:
    teacher = f"the teacher, {routed.teacher.name}" if routed.teacher else "no teacher is set, so those are refused"
    if routed.student is None or routed.policy == "teacher":
        return teacher
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
