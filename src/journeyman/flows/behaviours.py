"""The behavioural tests of a task in `assess`: their cases read before anything is asked, their questions asked of the served student, each once.

Sealed rows give no more than their share away: what fails on them is counted and never shown. Cases are shown, unless they are near copies of sealed rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.example import Example
from journeyman.data.dataset import find_leaks
from journeyman.evaluation.behaviour import (
    Shown,
    Tried,
    Unit,
    check_reach,
    combine,
    draw_units,
    input_hash,
    judge,
    stand,
)
from journeyman.evaluation.cases import read_cases
from journeyman.evaluation.document import GatePart
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric
from journeyman.store.ledger import level as level_of
from journeyman.task.behaviour import BehaviourSpec
from journeyman.task.task import Task

Answered = Sequence[tuple[Row, Prediction]]
Ask = Callable[[Sequence[Row]], Awaitable[Predictions | None]]


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of a task by name; ``cases`` of those that have a file, ``near`` is the similarity from which a case is a copy of a sealed row."""

    task: Task
    metric: Metric
    cases: Mapping[str, Sequence[Unit]]
    near: float

    async def run(self, sealed: Answered, ask: Ask) -> tuple[Tried, ...]:
        """Ask what the answers to the sealed rows do not tell yet, and judge."""
        if not self.task.behaviour:
            return ()
        drawn = {name: self._units(name, spec, sealed) for name, spec in self.task.behaviour.items()}
        answers = {input_hash(row.input): said for row, said in sealed}
        inputs = [
            input for units, _skipped in drawn.values() for unit in units for input in (unit.input, *unit.changed)
        ]
        new = {input_hash(input): input for input in inputs}
        rows = [Row(name, input, None, None) for name, input in new.items() if name not in answers]
        said = await ask(rows)
        answers |= {item.row: item for item in said.items} if said else {}
        tried = [
            judge(self.task, name, spec, drawn[name][0], answers, self.metric, drawn[name][1])
            for name, spec in self.task.behaviour.items()
        ]
        return self._without_sealed(tried, sealed)

    def _units(self, name: str, spec: BehaviourSpec, sealed: Answered) -> tuple[Sequence[Unit], int]:
        return (self.cases[name], 0) if name in self.cases else draw_units(self.task, spec, sealed)

    def _without_sealed(self, tried: Sequence[Tried], sealed: Answered) -> tuple[Tried, ...]:
        """Without failures whose input, before or after the change, is a near copy of a sealed one: those would be seen through a case."""
        shown = [example for item in tried for failure in item.failures for example in _examples(failure)]
        if not shown:
            return tuple(tried)
        rows = [Example(input=row.input, target=None) for row, _said in sealed]
        copies = {leak.row_hash for leak in find_leaks(shown, rows, self.near)}

        def is_new(failure: Shown) -> bool:
            return not any(example.hash in copies for example in _examples(failure))

        return tuple(replace(item, failures=tuple(filter(is_new, item.failures))) for item in tried)


def _examples(shown: Shown) -> list[Example]:
    inputs = [shown.input, *([shown.changed] if shown.changed is not None else [])]
    return [Example(input=input, target=None) for input in inputs]


def load_tests(
    workspace: Workspace, task: Task, metric: Metric, sealed: Sequence[Row], dataset: str, release: str, rule: str
) -> Tests:
    """Read the files of cases, and see that every required test can be shown to hold at the level of the look to come, whose rule has the hash ``rule``.

    Raises:
        GateError: JM-640..JM-645.
    """
    tests = read_tests(workspace, task, metric)
    cases = tests.cases
    level = _level(workspace, task, dataset, release, rule)
    groups = len({row.group or row.hash for row in sealed})
    for name, spec in task.behaviour.items():
        check_reach(name, spec, len(cases[name]) if name in cases else min(spec.rows, groups), level)
    return tests


def read_tests(workspace: Workspace, task: Task, metric: Metric) -> Tests:
    """The tests with their cases. Raises: GateError: JM-640..JM-645 but the one about what can be shown."""
    cases = {
        name: read_cases(
            workspace.project.root / spec.cases, task, name, "output" if spec.kind == "minimum" else "changed"
        )
        for name, spec in task.behaviour.items()
        if spec.cases
    }
    return Tests(task, metric, cases, cast(float, workspace.project.number("prepare", "near_copy_jaccard")))


def _level(workspace: Workspace, task: Task, dataset: str, release: str, rule: str) -> float:
    """The level of this look, if it was begun before, else of the next."""
    looks = workspace.store.looks(task.name)
    known = [look.level for look in looks if (look.dataset, look.release, look.rule) == (dataset, release, rule)]
    return known[0] if known else level_of(len(looks) + 1)


def with_required(gate: GatePart, tried: Sequence[Tried]) -> GatePart:
    """The verdict of gate and required tests together, at the gate's level; as it is where no test is required."""
    parts = {item.name: stand(item, gate.level).verdict for item in tried if item.spec.required}
    if not parts:
        return gate
    unmet = {name: verdict for name, verdict in parts.items() if verdict != "pass"}
    verdict = combine(gate.verdict, list(parts.values()))
    return gate.model_copy(update={"verdict": verdict, "alone": gate.verdict, "unmet": unmet})
