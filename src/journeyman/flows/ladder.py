"""`assess T --ladder`: the cheapest candidate that looks good enough on dev goes to the sealed split.

Rungs are tried in the order of what a call costs: the majority answer, patterns mined from the data, words with a linear head (these and the embedding head where
the output is a choice), the answer of the nearest example, an embedding head, the students that were tuned, the untuned base without and with examples, votes
over samples of the best of these. The climb ends at the first promising one, unless every rung is asked for. The teacher's
recorded answers stand beside them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError, ModelError, TuneError
from journeyman.data.dataset import read_manifest
from journeyman.evaluation.document import LadderPart
from journeyman.evaluation.gate import DRAWN, WANTED, Verdict, decide, describe_lack, fitting_rows, score_rows
from journeyman.evaluation.ladder import Rung, advise, choose_best, choose_rung, usd_per_1000
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.asking import ask_student
from journeyman.flows.classify import find_choice
from journeyman.flows.costs import Traffic, find_break_even, read_traffic
from journeyman.flows.demands import Demands, read_demands
from journeyman.flows.outlook import Outlooks, read_outlooks
from journeyman.flows.panel import Panel
from journeyman.flows.rows import read_rows
from journeyman.flows.runs import LADDER, NAMED, RunFolder
from journeyman.flows.student import Student
from journeyman.flows.students import finished_students, gate_rule, ladder_run
from journeyman.flows.tune import tune
from journeyman.flows.upstream import find_upstream
from journeyman.flows.voting import SAMPLES, can_vote
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.metrics import Metric
from journeyman.task.task import Task

CHEAP: tuple[tuple[str, Mapping[str, Json]], ...] = (
    ("the majority answer", {"kind": "head", "features": "none"}),
    ("patterns mined from the data", {"kind": "head", "features": "patterns"}),
    ("a linear head on words", {"kind": "head", "features": "words"}),
    ("the nearest example", {"kind": "nearest"}),
    ("a head on an embedding model", {"kind": "head"}),
)
SHOTS = (0, 4)
SLOW = ("prompt", "votes")  # a call reads the instruction and the examples, or draws several answers
SLOW_ROWS = 150  # of dev, that these are asked


@dataclass(frozen=True, slots=True)
class Ladder:
    """``rungs`` in the order of what a call costs, the teacher last; ``chosen`` is the one that goes to the sealed split."""

    rungs: tuple[Rung, ...]
    chosen: Rung | None
    advice: str


def climb(workspace: Workspace, task_name: str, *, is_whole: bool = False) -> Ladder:
    """Measure rungs on dev up to the first promising one (``is_whole``: all), and keep the choice for `assess`, `report` and `release`.

    Raises:
        GateError: JM-632 dev has no rows that the gate's rule looks at; what a rung's tuning and asking raise.
    """
    task = workspace.task(task_name)
    dataset, manifest = read_manifest(workspace.store, task_name)
    rows = read_rows(workspace.store, manifest)
    panel = Panel(workspace, task)
    panel.refuse_unmeasured()
    metric = find_metric(task, task.gate.metric, workspace.project.root, panel.metrics)
    dev, sealed = panel.gate_rows(rows.dev), panel.gate_rows(rows.sealed)
    outlooks = read_outlooks(workspace, task, metric, dataset, sealed, rows.heaviest)
    demands = read_demands(workspace, task, panel.right(metric), sealed)
    judge = _Judge(task, metric, dev, rows.heaviest, outlooks, demands)
    judge.check()
    run = ladder_run(workspace, task, dataset)
    rungs: list[Rung] = []
    with run.lock():
        for name, tuned_run, student in _candidates(workspace, task, dataset, rungs):
            try:
                rungs.append(_measure(workspace, judge, run, name, tuned_run, student))
            except (GateError, ModelError) as error:
                if error.retryable or error.code.startswith("JM-65"):  # of the judge, not of the rung
                    raise
                workspace.progress.note(f"left out: {name}: {error.what}")
                continue
            if rungs[-1].is_promising and not is_whole:
                break
        rungs.sort(key=lambda rung: rung.p50_ms or 0.0)
        traffic = read_traffic(workspace, task_name)
        rungs = [replace(rung, days=find_break_even(workspace, traffic, rung.run, rung.usd)) for rung in rungs]
        chosen = choose_rung(rungs)
        rungs += _teacher(workspace, task, traffic)
        ladder = Ladder(tuple(rungs), chosen, advise(chosen))
        seen = [tuned_run for tuned_run, _student in finished_students(workspace, task, dataset)]
        rule = content_hash(gate_rule(workspace, task))
        part = LadderPart.of(ladder.rungs, chosen, ladder.advice, seen, rule)
        run.write(LADDER, part.model_dump(mode="json"))
        (run.path / NAMED).unlink(missing_ok=True)
    return ladder


@dataclass(frozen=True, slots=True)
class _Judge:
    """The gate's rule on dev rows, and what the verdict on the sealed split would rest on."""

    task: Task
    metric: Metric
    rows: Sequence[Row]
    heaviest: float
    outlooks: Outlooks
    demands: Demands

    def check(self) -> None:
        fitting = fitting_rows(self.task.gate, self.rows)
        if len(fitting) < 2:
            raise GateError(
                "JM-632",
                "dev has too few rows that the gate's rule looks at to climb a ladder on",
                where=f"task {self.task.name}",
                expected=f"two or more {WANTED[self.task.gate.against]}",
                got=f"{len(fitting)} of {len(self.rows)}",
                hint="import more rows, or raise dev_share under [prepare] in journeyman.toml"
                if len(self.rows) < 2
                else describe_lack(self.task.gate, self.rows),
            )

    def unmet(
        self, workspace: Workspace, run: RunFolder, student: Student, answered: Predictions, level: float
    ) -> list[str]:
        """Required tests that stand in a promising rung's way."""
        said = list(zip(self.rows, answered.items, strict=True))
        path = run.path / f"behaviour-{student.hash[:16]}.jsonl"
        return self.demands.unmet(workspace, student, path, said, level)

    def decide(self, answered: Predictions) -> Verdict:
        """On dev, for its intervals."""
        scores = score_rows(self.task.gate, self.metric, self.rows, answered)
        return decide(self.task.gate, scores, DRAWN / 2, self.metric.kind, self.heaviest)


def _candidates(
    workspace: Workspace, task: Task, dataset: str, measured: Sequence[Rung]
) -> Iterator[tuple[str, str, Student]]:
    """Name, run and student of each rung that can be released, the cheapest first as far as that is known beforehand. ``measured`` grows with the rungs."""
    tried: set[str] = set()
    try:
        find_choice(task)
        is_choice = True
    except TuneError:
        workspace.progress.note("the output is no choice, so there are no heads on the ladder")
        is_choice = False
    for name, given in CHEAP:
        if given["kind"] == "head" and not is_choice:
            continue
        try:
            result = tune(workspace, task.name, given)
        except (ModelError, TuneError) as error:
            workspace.progress.note(f"left out: {name}: {error.what}")
            continue
        tried.add(result.run.id)
        yield name, result.run.id, result.student
    tuned = [
        (run, student)
        for run, student in finished_students(workspace, task, dataset)
        if run not in tried and student.manifest.kind not in ("prompt", "votes")
    ]
    for run, student in sorted(tuned, key=lambda pair: _bytes(pair[1])):
        yield f"{student.manifest.base.name or 'words'}, {student.manifest.kind} ({run[-6:]})", run, student
    for shots in SHOTS:
        name = "the untuned base" + (f" with the {shots} nearest examples" if shots else "")
        try:
            result = tune(workspace, task.name, {"kind": "prompt"} | ({"shots": shots} if shots else {}))
        except ModelError as error:
            workspace.progress.note(f"left out: {name}: {error.what}")
            break
        tried.add(result.run.id)
        yield name, result.run.id, result.student
    for run, student in finished_students(workspace, task, dataset):
        if run not in tried and student.manifest.kind == "prompt":
            yield f"the base with a prompt of its own ({run[-6:]})", run, student
    yield from _votes(workspace, task, dataset, measured, is_choice)


def _votes(
    workspace: Workspace, task: Task, dataset: str, measured: Sequence[Rung], is_choice: bool
) -> Iterator[tuple[str, str, Student]]:
    """Samples of the language model that was best on dev so far, and votes that were made by hand."""
    note, own = workspace.progress.note, ""
    known = dict(finished_students(workspace, task, dataset))
    best = choose_best([rung for rung in measured if rung.run in known and can_vote(known[rung.run])])
    if is_choice:
        note("left out: votes: the output is a choice, whose likeliest value is what most samples would say")
    elif best is None:
        note("left out: votes: no language model could be measured that could be asked several times")
    else:
        result = tune(workspace, task.name, {"kind": "votes", "of": best.run})
        own = result.run.id
        yield f"{SAMPLES} votes of {best.name}", own, result.student
    for run, student in known.items():
        if run != own and (drawn := student.sampling):
            yield f"{drawn.samples} votes of the student {drawn.student[:6]} ({run[-6:]})", run, student


def _bytes(student: Student) -> int:
    """Of the weights that answer, as a first guess of what a call costs."""
    from journeyman.models.catalog import resolve_exactly

    if student.is_light:
        return 0
    if student.own_weights is not None:
        return student.own_weights.stat().st_size
    return resolve_exactly(student.manifest.base.name, student.manifest.base.sha256).path.stat().st_size


def _measure(workspace: Workspace, judge: _Judge, run: RunFolder, name: str, tuned_run: str, student: Student) -> Rung:
    workspace.progress.note(f"rung: {name}")
    if student.manifest.kind in SLOW:
        fitting = fitting_rows(judge.task.gate, judge.rows)
        judge = replace(judge, rows=sorted(fitting, key=lambda row: row.hash)[:SLOW_ROWS])
    path = run.path / f"dev-{student.hash[:16]}.jsonl"
    (answered,) = ask_student(workspace, judge.task, student, (judge.rows, path), with_confidence=False)
    p50 = statistics.median(answered.latencies_ms) if answered.latencies_ms else None
    verdict, outlook = judge.decide(answered), judge.outlooks.of(student)
    is_promising = judge.outlooks.is_promising(outlook, judge.rows, answered)
    unmet = judge.unmet(workspace, run, student, answered, outlook.level) if is_promising else []
    hourly = workspace.project.number("serve", "machine_usd_per_hour")
    return Rung(
        name=name,
        kind=student.manifest.kind,
        run=tuned_run,
        student=student.hash,
        verdict=verdict,
        p50_ms=p50,
        usd=usd_per_1000(p50, hourly) if p50 is not None and hourly is not None else None,
        is_promising=is_promising and not unmet,
        note="; ".join(unmet),
    )


def _teacher(workspace: Workspace, task: Task, traffic: Traffic) -> list[Rung]:
    """The recorded teacher, for its price: its answers are what others are compared with."""
    name = find_upstream(workspace.project, task).name or "the recorded teacher"
    if traffic.usd is None and traffic.p50_ms is None:
        return []
    return [Rung(name, "teacher", "", "", None, traffic.p50_ms, traffic.usd, note="as recorded")]
