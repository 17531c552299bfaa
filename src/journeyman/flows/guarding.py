"""The guards of a project: those of its tasks, and those of calls that are no task's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from journeyman.core.errors import TaskError
from journeyman.flows.workspace import Workspace
from journeyman.gateway.guard_asking import has_text_alone
from journeyman.guards.finders import Guard, compile_guards
from journeyman.task.closed import choices_among, closed_answers
from journeyman.task.file import load_guards
from journeyman.task.guard import GuardSpec
from journeyman.task.task import Task


def open_guards(workspace: Workspace, specs: Sequence[GuardSpec], where: str) -> tuple[Guard, ...]:
    """Raises: TaskError JM-265 a pattern is not taken, JM-266 a task cannot be a guard as it is described."""
    for spec in specs:
        if spec.kind == "task":
            _check_task(workspace.tasks(), spec, where)
    try:
        return compile_guards(specs)
    except ValueError as error:
        raise TaskError(
            "JM-265",
            "a guard's list is not taken",
            where=where,
            expected="patterns in RE2's syntax that match no empty text, and known kinds of personal data",
            got=str(error),
            hint="correct the pattern: look-around and references back are not part of it",
        ) from None


def open_project_guards(workspace: Workspace) -> tuple[Guard, ...]:
    """Raises: TaskError, as a task file's guards do."""
    name = workspace.project.text("serve", "guards")
    return open_guards(workspace, load_guards(workspace.project.root / name), name) if name else ()


def asked_tasks(workspace: Workspace, task: Task) -> list[Task]:
    """Tasks that are guards of this one."""
    names = {spec.task for spec in task.guards if spec.kind == "task"}
    return [item for item in workspace.tasks() if item.name in names and item.name != task.name]


def _check_task(tasks: Iterable[Task], spec: GuardSpec, where: str) -> None:
    found = next((task for task in tasks if task.name == spec.task), None)
    if found is None:
        raise _unfit(spec, where, "there is no such task", "a task of this project")
    if not has_text_alone(found.input):
        raise _unfit(spec, where, "it does not read one text", "a task with one input field, of type string")
    schema = found.schema or {}
    answers = closed_answers(schema)
    choices = {"": answers} if answers is not None and "properties" not in schema else dict(choices_among(schema))
    field = spec.field or (next(iter(choices), "") if len(choices) == 1 else "")
    if spec.answer not in (choices.get(field) or ()):
        raise _unfit(spec, where, f"{spec.answer!r} is none of its answers", _write_choices(choices))


def _write_choices(choices: Mapping[str, Sequence[object]]) -> str:
    return (
        "; ".join(f"{name or 'answer'}: {', '.join(map(str, values))}" for name, values in choices.items())
        or "a task with an answer to choose"
    )


def _unfit(spec: GuardSpec, where: str, what: str, expected: str) -> TaskError:
    return TaskError(
        "JM-266",
        f"{spec.task} cannot be a guard: {what}",
        where=where,
        expected=expected,
        got=f"task: {spec.task}, field: {spec.field}, answer: {spec.answer}",
        hint="correct task, field or answer of this guard",
    )
