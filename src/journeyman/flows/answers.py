"""`ask` and typed functions: one question to the live release, or to the teacher while there is none; recorded either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from journeyman.core.canonical import Json
from journeyman.core.trace import Origin
from journeyman.data.intake import hash_source
from journeyman.flows.auditor import Auditor
from journeyman.flows.guarding import asked_tasks
from journeyman.flows.retrieving import Shelves
from journeyman.flows.routing import open_registry
from journeyman.flows.serving import load_students, loadable, open_budgets
from journeyman.flows.student import Student
from journeyman.flows.upstream import require_teacher
from journeyman.flows.workspace import Workspace
from journeyman.gateway.answer import Answer, Answerer, Call, Wishes
from journeyman.gateway.callers import Budgets
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.router import Router
from journeyman.task.task import Task

PATIENCE_S = 10.0
"""For audits under way when the program ends."""


@dataclass(frozen=True)
class Desk:
    """Answers one task's questions; made by ``open_desk``."""

    name: str
    registry: Registry
    router: Router
    budgets: Budgets

    async def ask(
        self, fields: Mapping[str, Json], origin: Origin, wishes: Wishes | None = None, source: str = ""
    ) -> Answer:
        """``source``: the document or conversation that the question comes from, which is never split over train and test.

        Raises:
            TaskError wrong fields, ServeError JM-720 no valid answer, JM-731 no teacher where one is needed, ModelError.
        """
        routed = self.registry.find_task(self.name)
        meter = self.budgets.meter(routed.task)
        meta: Mapping[str, Json] = {"group": hash_source(self.name.partition("@")[0], source)} if source else {}
        call = Call(routed.model, input=fields, wishes=wishes or Wishes(), origin=origin, meter=meter, meta=meta)
        return await self.router.answer(routed, call)


async def open_desk(stack: AsyncExitStack, workspace: Workspace, task: Task, release: str = "") -> Desk:
    """The task's live release (or ``release``) on the local engine, and its teacher.

    Raises:
        ServeError: JM-730 neither a release nor a teacher. ModelError: what loading says.
    """
    students, asked = loadable(workspace, task.name), asked_tasks(workspace, task)
    guarding = [student for item in asked for student in loadable(workspace, item.name)]
    if not students:
        require_teacher(workspace, task)
    return await _open(stack, workspace, [task, *asked], [*students, *guarding], release)


async def open_measured(stack: AsyncExitStack, workspace: Workspace, task: Task, student: Student | None) -> Desk:
    """A student that need be no release, or (None) the teacher, whatever is live. Raises: as `open_desk`."""
    if student is None:
        require_teacher(workspace, task)
    return await _open(
        stack, workspace, [task], [student] if student is not None else [], student.hash if student is not None else ""
    )


async def _open(
    stack: AsyncExitStack, workspace: Workspace, tasks: Sequence[Task], students: Sequence[Student], release: str
) -> Desk:
    task = tasks[0]
    recorder = Recorder(workspace.store)
    stack.callback(recorder.close)
    served = await load_students(stack, students)
    registry = open_registry(stack, workspace, served, tasks)
    budgets = await open_budgets(stack, workspace, [task])  # before the router, whose audits it pays for to the end
    shelves = stack.enter_context(Shelves(workspace))
    router = Router(Answerer(recorder), Auditor(workspace).hear, find=registry.find_task, knower=shelves)
    stack.push_async_callback(router.close, PATIENCE_S)
    return Desk(f"{task.name}@{release}" if release else task.name, registry, router, budgets)
