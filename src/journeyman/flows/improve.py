"""`improve T`: a better instruction and better examples for a model as it is, picked on one half of dev and measured once on the other.

First what is shown (nothing, the nearest rows, fixed sets), then the instruction (edits that need no model, rewrites by the teacher if asked for): each race by
successive halving on the pick half. The winner's gain over the task's own instruction is then measured on rows that chose nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError
from journeyman.core.example import Example
from journeyman.core.progress import Silent
from journeyman.evaluation.comparison import DifferencePart
from journeyman.evaluation.document import Figure
from journeyman.evaluation.gate import find_heaviest
from journeyman.evaluation.grid import ERROR, compare_scores, draw_rows, score_answers, split_rows
from journeyman.evaluation.halving import keep_better, plan_rounds
from journeyman.evaluation.improvement import ArmPart, ChosenPart, Improvement
from journeyman.evaluation.pairs import make_pairs
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.budget import Budget, open_budget
from journeyman.flows.compare import refuse_few
from journeyman.flows.example_sets import Shown, find_sets
from journeyman.flows.examples import known_rows
from journeyman.flows.instructions import Edit, edit_instruction
from journeyman.flows.measures import describe_measure, find_gate_metric
from journeyman.flows.rewriting import rewrite
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.upstream import open_teacher, require_teacher
from journeyman.flows.variants import Asker, Ground, Variant, find_ground, open_asker, with_instruction
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Metric, estimate
from journeyman.models.catalog import resolve
from journeyman.store.ledger import level

Proposer = Literal["none", "teacher"]
Phase = Literal["examples", "instruction"]
KEY, IMPROVED, CHOSEN, LOOK = "key.json", "improved.json", "chosen.json", "look.json"
MOST_PICK = 128  # rows of a race
BLOCK = 16  # rows between two looks at the clock
TRAIN_ROWS, MOST_FAILURES = 24, 8  # that a proposer may see
SHOWN_UNTIL, PROPOSED_UNTIL, PICKED_UNTIL = 0.35, 0.5, 0.7  # of the budget; the rest is for measuring


@dataclass(frozen=True, slots=True)
class Options:
    """``budget_s`` in all, loading and earlier commands of the same search included; ``rewrites`` calls of the teacher where it proposes."""

    model: str = "base"
    budget_s: float = 600.0
    proposer: Proposer = "none"
    rewrites: int = 4


@dataclass(frozen=True, slots=True)
class _Arm:
    name: str
    variant: Variant


class _OutOfTimeError(Exception):
    """The budget's share is spent; what was answered is kept."""


def improve(
    workspace: Workspace,
    task_name: str,
    options: Options,
    clock: Callable[[], float] = time.monotonic,
    *,
    is_write: bool = False,
) -> Improvement:
    """Search and measure; the same command finds its finished result, or continues. ``is_write``: the result will be written into the task's file, so
    a finished search whose winner stands there already is this one, and not the search that would begin at it.

    Raises:
        DataError: JM-352 nothing prepared. GateError: JM-662, JM-666 dev that cannot measure, JM-602 a model that answers nothing, JM-61x, JM-690 or JM-691 of a metric.
        ModelError: JM-40x, JM-420 of the model. ServeError: JM-730 no teacher to propose.
    """
    started = clock()
    ground = find_ground(workspace, task_name)
    _refuse_judge(ground)
    metric = find_gate_metric(workspace, ground.task)
    base = workspace.project.text("base", "model") if options.model == "base" else options.model
    source = resolve(base, progress=workspace.progress)
    pick, measure = (draw_rows(half, len(half)) for half in split_rows([row for row in ground.dev if row.expected]))
    refuse_few(ground, min(pick, measure, key=len), 2)
    key = _make_key(workspace, ground, source.sha256, options)
    run = find_run(workspace.project.runs, ground.task.name, "improve", key)
    if is_write and run.read(KEY) is None and run.read(IMPROVED) is None:
        run = _find_written(workspace, key) or run
        if run.read(IMPROVED):
            workspace.progress.note(
                "the task's file holds what an earlier search chose; without --write a new one begins"
            )
    with ground.run.lock(), run.lock():
        if stored := run.read(IMPROVED):
            return Improvement.model_validate(stored)
        if options.proposer == "teacher" and run.read(CHOSEN) is None:
            require_teacher(workspace, ground.task)
        run.decide(KEY, lambda: key)
        budget = open_budget(run, options.budget_s, clock, started)
        search = _Search(workspace, ground, metric, run, options, Variant(ground.task, source), budget)
        found = asyncio.run(search.run_all(pick[:MOST_PICK], measure))
        run.write(IMPROVED, found.model_dump(mode="json"))
    return found


def _refuse_judge(ground: Ground) -> None:
    """Raises: GateError: JM-669 the gate's metric asks a model, which a race would ask for every answer."""
    spec = ground.task.metrics.get(ground.task.gate.metric)
    if spec is not None and spec.kind == "judge":
        raise GateError(
            "JM-669",
            "a search cannot be decided by a judge",
            where=f"task {ground.task.name}",
            expected="a metric that asks no model, such as exact_match or row_f1",
            got=f"{ground.task.gate.metric}, a judge",
            hint=f"journeyman compare {ground.task.name} GRID.yaml compares prompts by a judge",
        )


def _make_key(workspace: Workspace, ground: Ground, model: str, options: Options) -> dict[str, Json]:
    """What decides a search."""
    spec = ground.task.metrics.get(ground.task.gate.metric)
    measured = describe_measure(workspace, spec) if spec else {}
    key: dict[str, Json] = {
        "task": ground.task.to_json(),
        "dataset": ground.dataset,
        "model": model,
        "budget_s": options.budget_s,
        "proposer": [options.proposer, options.rewrites if options.proposer == "teacher" else 0],
    }
    return key | ({"measured": measured} if measured else {})


def _find_written(workspace: Workspace, key: Mapping[str, Json]) -> RunFolder | None:
    """The latest finished search that has ``key`` once its own winner is written into the task's file."""
    name = cast(Mapping[str, Json], key["task"])["name"]
    found = []
    for path in workspace.project.runs.glob(f"{name}-improve-*/{IMPROVED}"):
        run = RunFolder(path.parent)
        begun, ended = run.read(KEY), run.read(IMPROVED)
        if begun is None or ended is None:
            continue
        instruction = Improvement.model_validate(ended).chosen.instruction.strip("\n")
        task = cast(dict[str, Json], begun["task"]) | {"instruction": instruction}
        if content_hash(begun | {"task": task}) == content_hash(dict(key)):
            found.append(run)
    return max(found, key=lambda run: (run.path / IMPROVED).stat().st_mtime, default=None)


class _Search:
    """One search: its arms, its clock, its rows."""

    def __init__(
        self,
        workspace: Workspace,
        ground: Ground,
        metric: Metric,
        run: RunFolder,
        options: Options,
        own: Variant,
        budget: Budget,
    ) -> None:
        self.workspace, self.ground, self.metric, self.run, self.options = workspace, ground, metric, run, options
        self.own, self.budget = own, budget
        self.arms: dict[tuple[Phase, str], ArmPart] = {}
        self.is_cut = False
        self.problem, self.rewrites = "", 0

    async def run_all(self, pick: Sequence[Row], measure: Sequence[Row]) -> Improvement:
        async with open_asker(self.workspace, self.ground, self.own.source) as asker:
            stored = self.run.read(CHOSEN)
            found = Improvement.model_validate(stored) if stored else await self._choose(asker, pick)
            if not stored:
                self.run.write(CHOSEN, found.model_dump(mode="json"))
            if (found.chosen.instruction, found.chosen.shots) == (self.ground.task.instruction, 0):
                return found
            return await self._measure(asker, found, measure)

    async def _choose(self, asker: Asker, pick: Sequence[Row]) -> Improvement:
        """Race what is shown, then the instruction; the gain on the rows of the race."""
        known = known_rows(self.ground.train)
        sets = find_sets([row.hash for row in known], self.ground.examples) if known else [Shown("no examples")]
        arms = [_Arm(shown.name, replace(self.own, shots=shown.shots, chosen=shown.chosen)) for shown in sets]
        best = await self._race(asker, "examples", arms, pick, SHOWN_UNTIL)
        edits = [*edit_instruction(self.ground.task, known), *await self._propose(asker, known)]
        arms = [
            _Arm(edit.name, replace(best.variant, task=with_instruction(self.ground.task, edit.text))) for edit in edits
        ]
        winner = await self._race(asker, "instruction", arms, pick, PICKED_UNTIL)
        variant = winner.variant
        picked: DifferencePart | None = None
        if variant != self.own:
            answers = [await self._answers(asker, item, pick, PICKED_UNTIL) for item in (variant, self.own)]
            rows = pick[: min(len(item.items) for item in answers)]
            picked = self._compare(rows, answers, ERROR) if len(rows) > 1 else None
        return Improvement(
            task=self.ground.task.name,
            dataset=self.ground.dataset,
            metric=self.metric.name,
            model=self.options.model,
            arms=tuple(self.arms.values()),
            chosen=ChosenPart(
                name=f"{winner.name}, {best.name}",
                instruction=variant.task.instruction,
                shots=variant.shots,
                examples=variant.chosen,
            ),
            picked=picked,
            budget_s=self.options.budget_s,
            is_cut=self.is_cut,
            rewrites=self.rewrites,
            problem=self.problem,
        )

    async def _measure(self, asker: Asker, found: Improvement, rows: Sequence[Row]) -> Improvement:
        """The chosen variant and the task's own instruction on rows that chose nothing, as many as the budget has time for, in an order fixed before."""
        look = self._look()
        chosen = found.chosen
        task = with_instruction(self.ground.task, chosen.instruction)
        variant = replace(self.own, task=task, shots=chosen.shots, chosen=chosen.examples)
        count = min(self.ground.answered(item, rows) for item in (variant, self.own))
        self.workspace.progress.start("measuring", total=len(rows) - count, unit="rows")
        while count < len(rows) and (not count or self.budget.has_time()):
            step = min(BLOCK, len(rows) - count)
            count += step
            for item in (variant, self.own):
                await self._ask(asker, item, rows[:count])
            self.workspace.progress.advance(step)
        self.workspace.progress.finish()
        seen = rows[:count]
        answers = [await self._ask(asker, item, seen) for item in (variant, self.own)]
        figures = [self._figure(seen, item) for item in answers]
        return found.model_copy(
            update={
                "measured": self._compare(seen, answers, 2 * level(look)),
                "improved": figures[0],
                "own": figures[1],
                "look": look,
                "is_cut": found.is_cut or count < len(rows),
            }
        )

    def _look(self) -> int:
        """Which look at the measuring half of this dataset this is; the same one when it is continued."""
        earlier = [
            RunFolder(path).read(LOOK)
            for path in self.workspace.project.runs.glob(f"{self.ground.task.name}-improve-*")
            if path != self.run.path
        ]
        count = sum(look["dataset"] == self.ground.dataset for look in earlier if look)
        decided = self.run.decide(LOOK, lambda: {"dataset": self.ground.dataset, "look": count + 1})
        return int(str(decided["look"]))

    async def _race(self, asker: Asker, phase: Phase, arms: Sequence[_Arm], rows: Sequence[Row], until: float) -> _Arm:
        """The arm that is left. When time is out, the best of the last whole round, or, where there was none, of those that were asked in the first; of equal
        ones the earlier wins, and the first is the one that is there already.

        Raises:
            GateError: JM-602 the task's own prompt has no answers. ModelError: the model does not load.
        """
        best, is_first = arms[0], True
        for count in plan_rounds(len(arms), len(rows)):
            self.workspace.progress.start(f"{phase}, {count} rows", total=len(arms), unit="variants")
            scores = list[float]()
            try:
                for arm in arms:
                    scores.append(await self._score(asker, phase, arm, rows[:count], until))
                    self.workspace.progress.advance(1, arm.name)
            except _OutOfTimeError:
                self.is_cut = True
                self.workspace.progress.finish("the time for this is out")
                return arms[scores.index(max(scores))] if is_first and scores else best
            self.workspace.progress.finish()
            best, is_first = arms[scores.index(max(scores))], False
            arms = [arms[place] for place in keep_better(scores)]
        return best

    async def _score(self, asker: Asker, phase: Phase, arm: _Arm, rows: Sequence[Row], until: float) -> float:
        """The arm's mean on these rows; a variant that none of them can be asked of (its prompt is too long) is out of the race."""
        try:
            answered = await self._answers(asker, arm.variant, rows, until)
        except GateError as error:
            if error.code != "JM-602" or arm.variant == self.own:
                raise
            part = ArmPart(phase=phase, name=arm.name, rows=len(rows), score=None, failed=str(error))
            self.arms[phase, arm.name] = part
            return float("-inf")
        if len(answered.items) < len(rows):
            raise _OutOfTimeError
        scores = score_answers(self.metric, rows, answered)
        total = sum(row.count for row in rows)
        mean = sum(score * row.count for score, row in zip(scores, rows, strict=True)) / total
        self.arms[phase, arm.name] = ArmPart(phase=phase, name=arm.name, rows=len(rows), score=mean)
        return mean

    async def _answers(self, asker: Asker, variant: Variant, rows: Sequence[Row], until: float) -> Predictions:
        """Answers to as many of the first rows as there is time for, those that are there already at the least."""
        done = self.ground.answered(variant, rows)
        while done < len(rows) and self.budget.has_time(until):
            done = min(done + BLOCK, len(rows))
            await self._ask(asker, variant, rows[:done])
        return await self._ask(asker, variant, rows[:done]) if done else Predictions("", ())

    async def _ask(self, asker: Asker, variant: Variant, rows: Sequence[Row]) -> Predictions:
        return await asker.ask(variant, rows, Silent())

    async def _propose(self, asker: Asker, known: Sequence[Example]) -> list[Edit]:
        """Rewrites by the teacher, which sees train rows that the model answers wrong with the task's own instruction."""
        if self.options.proposer == "none":
            return []
        teacher = open_teacher(self.workspace, self.ground.task)
        self.workspace.progress.note(f"{self.options.rewrites} calls to the teacher {teacher.name} at the most")
        try:
            failures = await self._failures(asker, known)
            edits, self.problem = await rewrite(
                teacher, self.ground.task, failures, self.options.rewrites, self.run, self._may_propose
            )
        finally:
            await teacher.close()
        if self.problem:
            self.workspace.progress.note(f"the teacher failed, so it proposes no more: {self.problem.splitlines()[0]}")
        self.rewrites = len(edits)
        return edits

    def _may_propose(self) -> bool:
        is_in_time = self.budget.has_time(PROPOSED_UNTIL)
        self.is_cut |= not is_in_time
        return is_in_time

    async def _failures(self, asker: Asker, known: Sequence[Example]) -> list[tuple[Example, str]]:
        """Of the train rows that there is time to ask."""
        rows = [Row.from_example(example) for example in known[:TRAIN_ROWS]]
        answered = await self._answers(asker, self.own, rows, PROPOSED_UNTIL)
        scores = score_answers(self.metric, rows[: len(answered.items)], answered)
        wrong = [
            (example, item.text)
            for example, item, score in zip(known, answered.items, scores, strict=False)
            if score < 1
        ]
        return wrong[:MOST_FAILURES]

    def _compare(self, rows: Sequence[Row], answers: Sequence[Predictions], error: float) -> DifferencePart:
        """The first less the second."""
        scores = [score_answers(self.metric, rows, replace(item, items=item.items[: len(rows)])) for item in answers]
        heaviest = find_heaviest([Row.from_example(row) for row in self.ground.train])
        return DifferencePart.of(compare_scores(self.metric, rows, scores[0], scores[1], error, heaviest))

    def _figure(self, rows: Sequence[Row], answered: Predictions) -> Figure:
        return Figure.of(estimate(self.metric, make_pairs(zip(rows, answered.items, strict=True))))
