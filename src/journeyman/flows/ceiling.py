"""How often the teacher agrees with itself: more agreement with it cannot be asked of a student.

Told from inputs that were recorded twice, or by asking the configured teacher dev rows again. Nothing is decided by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError
from journeyman.core.example import Example, Target
from journeyman.data.candidates import hash_input
from journeyman.data.dataset import read_manifest, read_split
from journeyman.data.imports import split_suffix
from journeyman.data.intake import settle
from journeyman.evaluation.document import CeilingPart
from journeyman.evaluation.run import Row, evaluate, load_predictions
from journeyman.flows.costs import OF_TEACHER, is_teachers
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric, Pair, estimate
from journeyman.models.protocol import Model
from journeyman.task.task import Task

AGAIN = "teacher-again.jsonl"
SEED = "rows that the teacher is asked again"


def find_ceiling(workspace: Workspace, task: Task, metric: Metric) -> CeilingPart | None:
    """By the dev rows that the teacher was asked again, else by inputs that were recorded twice; None where there are neither. Nothing is asked."""
    teacher = find_upstream(workspace.project, task)
    path = _run(workspace, task, teacher.name, teacher.url).path / AGAIN
    known = load_predictions(teacher.name, task, _dev_rows(workspace, task.name), path, prompt="teacher")
    asked = [Pair(row.teacher, item.target, 1, row.input) for row, item in known if row.teacher is not None]
    if asked:
        return _part(metric, asked, "asked")
    recorded = _recorded_pairs(workspace, task)
    return _part(metric, recorded, "recorded") if recorded else None


def ask_ceiling(workspace: Workspace, task: Task, most: int) -> None:
    """Ask the configured teacher ``most`` dev rows again, at the most; answers are kept as they come, and a larger number asks the further ones.

    Raises:
        GateError: JM-679 no teacher to ask, no dev row with a recorded answer, or calls that failed.
    """
    teacher = find_upstream(workspace.project, task)
    if not teacher.is_ready:
        raise _no_ceiling(
            task,
            "there is no teacher to ask again",
            "teacher.model in journeyman.toml and its key in the environment",
            teacher.describe(),
            "set the teacher, or leave --ceiling out",
        )
    rows = _dev_rows(workspace, task.name)[:most]
    if not rows:
        raise _no_ceiling(
            task,
            "no dev row has a recorded answer of the teacher",
            "rows to ask again",
            "none",
            "import recorded calls, or leave --ceiling out",
        )
    run = _run(workspace, task, teacher.name, teacher.url)
    with run.lock():
        errors = asyncio.run(_ask(workspace, task, teacher.open(), rows, run.path / AGAIN))
    if errors:
        raise _no_ceiling(
            task,
            f"{len(errors):,} of {len(rows):,} calls to the teacher failed",
            "an answer to each",
            errors[0],
            "run the same command again: answers are kept, and only what is missing is asked",
        )


async def _ask(workspace: Workspace, task: Task, model: Model, rows: Sequence[Row], path: Path) -> list[str]:
    """What went wrong, by call."""
    try:
        answered = await evaluate(
            model,
            task,
            rows,
            requests_in_flight=4,
            cache_path=path,
            progress=workspace.progress,
            prompt="teacher",
        )
    finally:
        await model.close()
    return [item.error for item in answered.items if item.error]


def _recorded_pairs(workspace: Workspace, task: Task) -> list[Pair]:
    """The first two answers of one model to each input that it was asked more than once. The same call, imported for two splits, is one."""
    first: dict[str, Target] = {}
    pairs: dict[str, Pair] = {}
    seen: set[str] = set()
    for trace in workspace.store.traces(task.name, origins=OF_TEACHER):
        key = trace.row_key.removesuffix(split_suffix(trace.split)) or trace.id
        is_other = trace.instruction_hash != task.instruction_hash or not is_teachers(trace)
        if trace.output is None or is_other or key in seen:
            continue
        seen.add(key)
        answer, problem = settle(trace.output, task.schema)
        name = trace.model + hash_input(Example(trace.input, None, passages=trace.passages))
        if name in pairs:
            continue
        if name in first:
            pairs[name] = Pair(first[name], None if problem else answer, 1, trace.input)
        elif not problem:  # an answer that breaks the output is a wrong one: what it is compared with must not be
            first[name] = answer
    return list(pairs.values())


def _dev_rows(workspace: Workspace, task_name: str) -> list[Row]:
    """Dev rows with a recorded answer, in an order of no meaning that stays."""
    _dataset, manifest = read_manifest(workspace.store, task_name)
    rows = [Row.from_example(row) for row in read_split(workspace.store, manifest, "dev")]
    return sorted((row for row in rows if row.teacher is not None), key=lambda row: content_hash([SEED, row.hash]))


def _run(workspace: Workspace, task: Task, name: str, url: str) -> RunFolder:
    """One folder for a task and a teacher."""
    key: dict[str, Json] = {"task": task.answering(), "teacher": name, "url": url}
    return find_run(workspace.project.runs, task.name, "ceiling", key)


def _part(metric: Metric, pairs: Sequence[Pair], how: Literal["recorded", "asked"]) -> CeilingPart:
    found = estimate(metric, pairs)
    return CeilingPart(value=found.value, low=found.low, high=found.high, n=found.n, how=how)


def _no_ceiling(task: Task, what: str, expected: str, got: str, hint: str) -> GateError:
    return GateError("JM-679", what, where=f"task {task.name}", expected=expected, got=got, hint=hint)
