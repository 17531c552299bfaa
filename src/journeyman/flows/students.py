"""The students of a dataset that can be assessed, and which of them goes to the sealed split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from journeyman.core.canonical import Json, content_hash, file_hash
from journeyman.core.errors import GateError
from journeyman.flows.measures import describe_measure
from journeyman.flows.panel import find_judge
from journeyman.flows.runs import LADDER, MATERIAL, NAMED, PARITY, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace
from journeyman.task.behaviour import BehaviourSpec, required_tests
from journeyman.task.task import MetricSpec, Task


def finished_students(workspace: Workspace, task: Task, dataset: str) -> list[tuple[str, Student]]:
    """Run and student of those whose export was compared with torch, of this dataset and of the task as it stands. What a student was tuned to answer is
    in its manifest."""
    wanted = task.answering()
    found = []
    for path in sorted(workspace.project.runs.glob(f"{task.name}-tune-*")):
        run = RunFolder(path)
        material, parity, result = run.read(MATERIAL), run.read(PARITY), run.read(RESULT)
        if material and parity and result and material["dataset"] == dataset:
            student = load_student(path / STUDENT)
            assert student is not None, "a run with a parity result has a student"
            if student.manifest.task == wanted:
                found.append((run.id, student))
    return found


def choose_student(workspace: Workspace, task_name: str, dataset: str) -> tuple[RunFolder, Student]:
    """The one that was named, else the ladder's choice, if nothing was tuned since; else the best on dev: the exact share decides, then the loss of a whole
    answer there.

    Raises:
        GateError: JM-630 there is none.
    """
    task = workspace.task(task_name)
    found = dict(finished_students(workspace, task, dataset))
    if not found:
        raise GateError(
            "JM-630",
            f"no student of {task_name} was tuned on its latest dataset for the task as its file says it now",
            where=f"dataset {dataset[:12]}",
            hint=f"journeyman tune {task_name}",
        )
    chosen = find_best(workspace, task, dataset, found)
    return RunFolder(workspace.project.runs / chosen), found[chosen]


def find_best(workspace: Workspace, task: Task, dataset: str, among: Iterable[str]) -> str:
    """The run of these that was named, or else that the ladder chose, if nothing was tuned since; else the best on dev."""
    names = list(among)
    for choice in (_read_choice(workspace, task, dataset, NAMED), read_ladder(workspace, task, dataset)):
        if choice and choice["chosen"] in names:
            return str(choice["chosen"])
    return max(names, key=lambda name: _dev_score(RunFolder(workspace.project.runs / name)))


def name_student(workspace: Workspace, task_name: str, dataset: str, run: str) -> None:
    """Keep that this run's student is the one to assess and release, until the next climb or until something else is tuned.

    Raises:
        GateError: JM-695 no such run.
    """
    task = workspace.task(task_name)
    there = [name for name, _student in finished_students(workspace, task, dataset)]
    if run not in there:
        raise GateError(
            "JM-695",
            "this is no finished run on the latest dataset, of the task as its file says it now",
            where=f"task {task_name}, dataset {dataset[:12]}",
            expected=", ".join(there[-5:]) or "a run of `journeyman tune`",
            got=run,
            hint="leave out --run, and the best on dev is taken",
        )
    folder, rule = ladder_run(workspace, task, dataset), content_hash(gate_rule(workspace, task))
    with folder.lock():
        folder.write(NAMED, {"chosen": run, "rule": rule, "seen": cast(list[Json], there)})


def read_ladder(workspace: Workspace, task: Task, dataset: str) -> dict[str, Json] | None:
    """What the last climb chose and saw; None where there was none, it chose nothing, the gate is another, students were tuned since, or another one was named."""
    named = _read_choice(workspace, task, dataset, NAMED)
    ladder = _read_choice(workspace, task, dataset, LADDER)
    return None if named and ladder and named["chosen"] != ladder["chosen"] else ladder


def _read_choice(workspace: Workspace, task: Task, dataset: str, name: str) -> dict[str, Json] | None:
    choice = ladder_run(workspace, task, dataset).read(name)
    if not choice or choice["rule"] != content_hash(gate_rule(workspace, task)):
        return None
    seen = set(cast(list[str], choice["seen"]))
    there = {run for run, _student in finished_students(workspace, task, dataset)}
    return choice if choice["chosen"] in there and there <= seen else None


def read_rules(workspace: Workspace, task: Task) -> dict[str, Json]:
    """What an evaluation depends on besides answers: the gate's rule, the promise that is asked for, and the metrics that are shown."""
    metrics: dict[str, Json] = {name: _describe(workspace, task, name, spec) for name, spec in task.metrics.items()}
    rules = gate_rule(workspace, task) | {"cascade": task.cascade.to_json(), "metrics": metrics}
    return rules | ({"behaviour": describe_tests(workspace, task.behaviour)} if task.behaviour else {})


def gate_rule(workspace: Workspace, task: Task) -> dict[str, Json]:
    """What a verdict depends on besides answers; another one of these is another look. Behavioural tests are in it where some are required: rules from before
    there were any keep their hash."""
    name, required = task.gate.metric, required_tests(task.behaviour)
    metric = _describe(workspace, task, name, task.metrics[name]) if name in task.metrics else None
    rule: dict[str, Json] = {"gate": task.gate.to_json(), "metric": metric}
    return rule | ({"behaviour": describe_tests(workspace, required)} if required else {})


def _describe(workspace: Workspace, task: Task, name: str, spec: MetricSpec) -> dict[str, Json]:
    """With the content of a function's file: what it imports is the user's to keep. Or with what proves a judge or an encoder, or prices."""
    if spec.kind == "judge":
        return spec.to_json() | {"judge": find_judge(workspace, task, name).hash}
    file = workspace.project.root / spec.function.rpartition(":")[0]
    described = spec.to_json() | describe_measure(workspace, spec)
    return described | ({"sha256": file_hash(file)} if spec.function and file.is_file() else {})


def describe_tests(workspace: Workspace, tests: Mapping[str, BehaviourSpec]) -> dict[str, Json]:
    """With the content of a file of cases."""
    described: dict[str, Json] = {}
    for name, spec in tests.items():
        file = workspace.project.root / spec.cases
        described[name] = spec.to_json() | ({"sha256": file_hash(file)} if spec.cases and file.is_file() else {})
    return described


def ladder_run(workspace: Workspace, task: Task, dataset: str) -> RunFolder:
    """One folder of dev answers for a task and a dataset."""
    return find_run(workspace.project.runs, task.name, "ladder", {"task": task.answering(), "dataset": dataset})


def _dev_score(run: RunFolder) -> tuple[float, float]:
    result = run.read(RESULT) or {}
    return cast(float, result["dev_exact"] or 0.0), -cast(float, result["dev_row_loss"] or 0.0)
