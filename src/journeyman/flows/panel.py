"""The judges that a task's metrics name: which models they are, what they may cost, and their verdicts as a metric's scores. Beside them stand the task's
other metrics that are made here (`flows.measures`).

A score is that of the student's answer beside the expected one: 1 better, 0.5 tie, 0 worse. Equal answers tie and a missing or unreadable answer loses, both
without a call. Every verdict is kept in a run's folder of its own, by judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from journeyman.core.canonical import content_hash
from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.core.files import read_whole_lines
from journeyman.core.nodes import write_json
from journeyman.evaluation.document import JudgePart
from journeyman.evaluation.judge import EDITION, Contest, Judge, Verdict, judge, load_said, questions, read_verdicts
from journeyman.evaluation.judged import (
    LEAST_GROUPS,
    OBJECTIONS,
    Measurement,
    WhoPart,
    find_objection,
    load_measurement,
)
from journeyman.evaluation.run import Row
from journeyman.flows.measures import Measures
from journeyman.flows.runs import find_run
from journeyman.flows.upstream import Upstream, find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import METRICS, Metric, Pair, Part, call_values
from journeyman.models.catalog import ResolvedModel, resolve
from journeyman.models.gguf_header import read_fields
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Model
from journeyman.models.template import load_base_template
from journeyman.task.answer import arrange
from journeyman.task.prompt import user_text
from journeyman.task.task import CALL_KEYS, MetricSpec, Task

VERDICTS, FOLDER = "verdicts.jsonl", "judges"
CONTEXT = 8192  # tokens: a request and two answers
REMOTE_CALLS = 4  # in flight


@dataclass(frozen=True, slots=True)
class Found:
    """A judge of the task's metric ``metric``, and the model that it is."""

    metric: str
    spec: MetricSpec
    judge: Judge
    source: ResolvedModel | Upstream

    @property
    def name(self) -> str:
        """Of the model, for people."""
        return self.source.name if isinstance(self.source, Upstream) else Path(self.source.name).name

    @property
    def full_name(self) -> str:
        """With what proves it: verdicts are kept by it."""
        return (
            f"{self.name} at {self.source.url}"
            if isinstance(self.source, Upstream)
            else f"{self.name}@{self.source.sha256}"
        )

    @property
    def hash(self) -> str:
        proof = self.full_name if isinstance(self.source, Upstream) else self.source.sha256
        return content_hash({"model": proof, "asked": self.judge.hash, "edition": EDITION})

    @property
    def who(self) -> WhoPart:
        return WhoPart(
            model=self.name,
            sha256="" if isinstance(self.source, Upstream) else self.source.sha256,
            url=self.source.url if isinstance(self.source, Upstream) else "",
            rubric=content_hash(self.judge.rubric),
            prompt=EDITION,
            asked=self.judge.hash,
            hash=self.hash,
        )


def find_judge(workspace: Workspace, task: Task, metric: str) -> Found:
    """The judge that a metric names; nothing is loaded.

    Raises:
        ModelError: JM-401 to JM-404 no such local model.
    """
    spec = task.metrics[metric]
    asked = Judge(spec.rubric.strip(), task.instruction)
    if spec.model != "teacher":
        name = workspace.project.text("base", "model") if spec.model == "base" else spec.model
        return Found(metric, spec, asked, resolve(name, progress=workspace.progress))
    return Found(metric, spec, asked, find_upstream(workspace.project, task))


class Panel:
    """All judges of a task, for one command."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self.workspace, self.task = workspace, task
        self.judges = {
            name: find_judge(workspace, task, name) for name, spec in task.metrics.items() if spec.kind == "judge"
        }
        self.measures = Measures(workspace, task, workspace.progress)
        self._threads: int | None = None

    @property
    def metrics(self) -> dict[str, Metric]:
        """For `measure.declared.metrics_of`: scoring asks what was not asked before."""
        judged = {name: Metric(name, "graded", partial(self._score, found)) for name, found in self.judges.items()}
        return judged | self.measures.metrics

    @property
    def is_comparing(self) -> bool:
        """Whether the gate's metric says by itself how alike two answers are."""
        spec = self.task.metrics.get(self.task.gate.metric)
        return spec is None or spec.kind not in ("judge", *CALL_KEYS)

    def right(self, metric: Metric) -> Metric:
        """What a promise and a minimum count: with a judge, an answer that is no worse than the expected one is right; with a latency or a cost, one that
        is as expected."""
        spec = self.task.metrics.get(metric.name)
        if spec is not None and spec.kind in CALL_KEYS:
            return METRICS["exact_match"]
        if metric.name not in self.judges:
            return metric
        return Metric(metric.name, "binary", lambda pairs: [(float(top >= 0.5), 1.0) for top, _ in metric.score(pairs)])

    def gate_rows(self, rows: Sequence[Row]) -> list[Row]:
        """The rows as the gate sees them: against the teacher a judge compares directly with what the teacher said, and needs no gold."""
        if self.task.gate.against == "teacher" and self.task.gate.metric in self.judges:
            return [replace(row, gold=row.teacher) for row in rows]
        return list(rows)

    def refuse_unmeasured(self, is_teacher_asked: bool = False) -> None:
        """Before anything is asked.

        Raises:
            GateError: JM-690, JM-691 as `Measures.refuse_missing`; JM-651 the gate's judge was not measured, JM-652 on too few pairs, JM-653 it agrees too little with people; JM-658. JM-656,
            JM-659 a judge that is shown could not be asked at all.
        """
        self.measures.refuse_missing(is_teacher_asked)
        for each in self.judges.values():
            self._refuse_absent(each)
        found = self.judges.get(self.task.gate.metric)
        if found is None:
            return
        least = found.spec.least_kappa
        code, got = find_objection(self.measurement(found), least)
        if code:
            what, hint = OBJECTIONS[code]
            raise GateError(
                code,
                what,
                where=f"task {self.task.name}, metric {found.metric}, judge {found.name}",
                expected=f"kappa with people shown to be {least:g} or more (lower end of its 95 % interval) on {LEAST_GROUPS} pairs at least",
                got=got,
                hint=f"{hint.replace('TASK', self.task.name)} --metric {found.metric}",
            )

    def refuse_ceiling(self) -> None:
        """Raises: GateError: JM-679 the gate's metric is a judge, which would be asked about every pair of the teacher's answers; JM-692 it compares no
        answers."""
        if not self.is_comparing and self.task.gate.metric not in self.judges:
            raise GateError(
                "JM-692",
                "what a call takes does not tell how often the teacher agrees with itself",
                where=f"task {self.task.name}",
                expected="a gate metric that compares answers",
                got=self.task.gate.metric,
                hint="leave --ceiling out",
            )
        if self.task.gate.metric in self.judges:
            raise GateError(
                "JM-679",
                "a judge does not tell how often the teacher agrees with itself",
                where=f"task {self.task.name}",
                expected="a gate metric that asks no model",
                got=self.task.gate.metric,
                hint="leave --ceiling out",
            )

    def parts(self) -> tuple[JudgePart, ...]:
        """For the evaluation's document."""
        return tuple(self._part(found) for found in self.judges.values())

    def _part(self, found: Found) -> JudgePart:
        known = self.measurement(found)
        _code, objection = find_objection(known, found.spec.least_kappa)
        kappa = known.kappa if known else None
        return JudgePart(metric=found.metric, model=found.name, judge=found.hash, kappa=kappa, objection=objection)

    def measurement(self, found: Found) -> Measurement | None:
        """Of exactly this judge. Raises: GateError JM-658, it cannot be read."""
        known = load_measurement(self.measurement_path(found))
        return known if known and known.judge.hash == found.hash else None

    def measurement_path(self, found: Found) -> Path:
        return self.workspace.project.root / FOLDER / f"{self.task.name}-{found.metric}-{found.hash[:12]}.json"

    def verdicts(self, found: Found, contests: Sequence[Contest]) -> list[Verdict]:
        """Ask what no earlier command has asked; the engine is started for it alone.

        Raises:
            GateError: JM-656 it would cost more than is allowed, JM-657 calls failed, JM-659 the teacher is not set, JM-602.
        ModelError: JM-420 not loadable.
        """
        run = find_run(self.workspace.project.runs, self.task.name, "judge", {"judge": found.hash})
        path = run.path / VERDICTS
        with run.lock():
            said, calls = load_said(found.full_name, found.judge, contests, path), len(questions(contests))
            if len(said) == calls:
                return read_verdicts(contests, said)
            self._allow(found, len(contests), calls - len(said), len(read_whole_lines(path)))
            return asyncio.run(self._ask(found, contests, path))

    async def _ask(self, found: Found, contests: Sequence[Contest], path: Path) -> list[Verdict]:
        async with AsyncExitStack() as stack:
            return await judge(
                await self._open(stack, found),
                found.judge,
                contests,
                cache_path=path,
                requests_in_flight=REMOTE_CALLS if isinstance(found.source, Upstream) else 1,
                progress=self.workspace.progress,
            )

    async def _open(self, stack: AsyncExitStack, found: Found) -> Model:
        if isinstance(found.source, Upstream):
            remote = found.source.open(found.full_name)
            stack.push_async_callback(remote.close)
            return remote
        path = found.source.path
        engine = await LlamaCpp.start(path, threads=self._threads, context=_context(path))
        stack.push_async_callback(engine.close)
        self._threads = engine.threads.value
        return LocalModel(engine, load_base_template(path), found.full_name)

    def _refuse_absent(self, found: Found) -> None:
        if isinstance(found.source, Upstream) and not found.source.is_ready:
            raise GateError(
                "JM-659",
                f"the judge of the metric {found.metric} is the teacher, and there is none to ask",
                where=f"task {self.task.name}",
                expected="teacher.model in journeyman.toml and its key in the environment",
                got=found.source.describe(),
                hint=f"set the teacher, or write model: base under metrics.{found.metric} in the task file",
            )
        self._refuse_costly(found, 0, 0)

    def _allow(self, found: Found, pairs: int, calls: int, before: int) -> None:
        """Say what it takes; refuse what was not allowed to cost anything. ``before``: answers that this judge ever gave."""
        self._refuse_absent(found)
        self.workspace.progress.note(f"judge {found.metric}: {found.name} is asked {calls} times for {pairs} pairs")
        self._refuse_costly(found, calls, before)

    def _refuse_costly(self, found: Found, calls: int, before: int) -> None:
        if not isinstance(found.source, Upstream):
            return
        most = self.workspace.project.number("judge", "most_calls")
        if (most is None and not found.source.is_local) or (most is not None and before + calls > most):
            raise GateError(
                "JM-656",
                f"the judge {found.name} would be asked more often than is allowed",
                where=f"metric {found.metric}",
                expected=f"at most {most:g} calls in all" if most is not None else "judge.most_calls, which is not set",
                got=f"{calls} calls, after {before}" if calls else "",
                hint=f"set most_calls = {before + calls or 'N'} under [judge] in journeyman.toml",
            )

    def _score(self, found: Found, pairs: Sequence[Pair]) -> list[Part]:
        places = [place for place, pair in enumerate(pairs) if pair.got is not None]
        contests = [make_contest(self.task, pair) for pair in pairs if pair.got is not None]
        scores = [0.0] * len(pairs)
        for place, verdict in zip(places, self.verdicts(found, contests), strict=True):
            scores[place] = verdict.score
        return [(score, 1.0) for score in scores]


def _context(path: Path) -> int:
    """What the model was made for, if that is less: beyond it the engine takes no prompt."""
    fields = read_fields(path)
    return min(CONTEXT, cast(int, fields.get(f"{fields['general.architecture']}.context_length", CONTEXT)))


def make_contest(task: Task, pair: Pair) -> Contest:
    """The answer that was got, beside the expected one."""
    assert pair.got is not None, "a missing answer loses without a judge"
    return Contest(user_text(task, pair.input), shown(task, pair.got), shown(task, pair.expected))


def shown(task: Task, target: Target) -> str:
    """An answer as a judge reads it."""
    if target.kind == "text":
        return target.text
    if target.kind == "tool_calls":
        return write_json(call_values(target))
    if target.kind == "abstain":
        return ""
    return write_json(arrange(target.value, task.schema) if task.schema is not None else target.value)
