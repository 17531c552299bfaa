"""What a task requires besides its gate, as far as dev can tell: whether a student's required tests look as if they would be shown to hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from journeyman.evaluation.behaviour import Tried
from journeyman.evaluation.ladder import foresee_test
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.asking import ask_student
from journeyman.flows.behaviours import Answered, Tests, read_tests
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric
from journeyman.task.task import Task


@dataclass(frozen=True, slots=True)
class Demands:
    """The required tests, on dev; on the sealed split they may draw from ``groups`` independent rows."""

    tests: Tests
    groups: int

    def unmet(self, workspace: Workspace, student: Student, path: Path, said: Answered, level: float) -> list[str]:
        """Those that do not look as if they would be shown to hold, in words."""

        async def ask(rows: Sequence[Row]) -> Predictions | None:
            if not rows:
                return None
            task, asked = self.tests.task, (rows, path)
            return (await asyncio.to_thread(ask_student, workspace, task, student, asked, with_confidence=False))[0]

        tried = asyncio.run(self.tests.run(said, ask))
        return [
            f"{item.name} held on {sum(item.held)} of {len(item.held)}"
            for item in tried
            if not foresee_test(item, self._units(item), level)
        ]

    def _units(self, item: Tried) -> int:
        """Cases are the same ones; of sealed rows as many can be changed as of these."""
        tried = len(item.held) + item.skipped
        return len(item.held) if item.spec.cases else min(item.spec.rows, self.groups * len(item.held) // max(tried, 1))


def read_demands(workspace: Workspace, task: Task, metric: Metric, sealed: Sequence[Row]) -> Demands:
    """Of the tests that count in the gate; ``sealed`` rows will be drawn from. Raises: GateError: JM-640..JM-645 a file of cases."""
    required = replace(task, behaviour={name: spec for name, spec in task.behaviour.items() if spec.required})
    return Demands(read_tests(workspace, required, metric), len({row.group or row.hash for row in sealed}))
