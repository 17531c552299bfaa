"""`compare T GRID.yaml`: every cell of a grid on the same dev rows, through the real server.

Models are loaded one after another, each for all its cells. A cell whose model fails is shown as failed, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journeyman.core.errors import GateError, JourneymanError, ModelError, ServeError
from journeyman.evaluation.comparison import Comparison, describe_cell, describe_disagreement, name_cell
from journeyman.evaluation.gate import find_heaviest
from journeyman.evaluation.grid import (
    STUDENT,
    Cell,
    Difference,
    compare_cells,
    draw_rows,
    find_disagreements,
    make_cells,
    score_answers,
)
from journeyman.evaluation.run import Predictions, Row
from journeyman.flows.panel import Panel
from journeyman.flows.releases import find_release
from journeyman.flows.student import Student
from journeyman.flows.students import choose_student
from journeyman.flows.upstream import require_teacher
from journeyman.flows.variants import Ground, Paid, Source, Variant, find_ground, open_asker, with_instruction
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import metrics_of
from journeyman.models.catalog import resolve
from journeyman.models.manifest import load_manifest
from journeyman.task.grid import Grid

BASE, TEACHER = "base", "teacher"
MOST_CELLS = 64
MOST_SHOWN = 20
UNKNOWN = ("JM-402", "JM-404", "JM-435")  # of a model's name, not of a model


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of the cells, by number: answers, or why there are none; ``calls`` were paid for."""

    answered: Mapping[int, Predictions]
    failed: Mapping[int, str]
    calls: int


def compare(workspace: Workspace, task_name: str, grid: Grid, pair: tuple[int, int] | None = None) -> Comparison:
    """Ask what is missing and compare. ``pair``: the cells whose disagreements are shown, else the best one and the first.

    Raises:
        GateError: JM-662 to JM-668: rows, models, sizes and numbers that do not fit; JM-61x, JM-65x, JM-690 or JM-691 of a metric. DataError: JM-352 nothing prepared.
    """
    ground = find_ground(workspace, task_name)
    panel = Panel(workspace, ground.task)
    panel.refuse_unmeasured(is_teacher_asked=TEACHER in grid.model)
    metrics = metrics_of(ground.task, workspace.project.root, panel.metrics)
    rows = draw_rows(ground.dev, grid.rows)
    refuse_few(ground, rows, 2)
    cells = make_cells(grid)
    _check_size(grid, cells)
    _check_pair(cells, pair)
    sources = {model: _find_source(workspace, ground, grid, model) for model in grid.model}
    variants = _variants(ground, grid, cells, sources)
    with ground.run.lock():
        _check_calls(workspace, ground, grid, variants, rows)
        asked = asyncio.run(_ask(workspace, ground, cells, sources, variants, rows))
    if not asked.answered:
        raise GateError(
            "JM-667",
            "no cell of the grid could be measured",
            where=f"task {task_name}",
            got=next(iter(asked.failed.values())),
            hint="mend the models, then run the same command again",
        )
    metric = metrics[ground.task.gate.metric]
    scores = {number: score_answers(metric, rows, answered) for number, answered in asked.answered.items()}
    baseline = min(scores)
    differences = compare_cells(
        metric, rows, scores, baseline, find_heaviest([Row.from_example(row) for row in ground.train])
    )
    parts = tuple(
        describe_cell(cell, metrics, rows, asked.answered[cell.number], differences.get(cell.number))
        if cell.number in asked.answered
        else name_cell(cell, asked.failed[cell.number])
        for cell in cells
    )
    comparison = Comparison(
        task=task_name,
        dataset=ground.dataset,
        metric=metric.name,
        rows=len(rows),
        groups=len({row.group or row.hash for row in rows}),
        baseline=baseline,
        instructions={
            name: ground.task.instruction if text is None else text for name, text in grid.instruction.items()
        },
        cells=parts,
        calls=asked.calls,
        judges=panel.parts(),
    )
    chosen = pair or _best_pair(differences, baseline)
    return _with_disagreements(comparison, ground, rows, asked, scores, chosen)


def refuse_few(ground: Ground, rows: Sequence[Row], least: int) -> None:
    """Raises: GateError: JM-666 fewer than ``least`` rows."""
    if len(rows) < least:
        raise GateError(
            "JM-666",
            "dev has too few rows with an expected answer to compare variants on",
            where=f"task {ground.task.name}",
            expected=f"at least {least}, and some hundreds for narrow intervals",
            got=f"{len(rows)} of {len(ground.dev)} rows",
            hint="import more rows with answers, or raise dev_share under [prepare] in journeyman.toml",
        )


def _check_size(grid: Grid, cells: Sequence[Cell]) -> None:
    if len(cells) > MOST_CELLS:
        raise GateError(
            "JM-664",
            "this grid has too many cells",
            where=grid.name,
            expected=f"at most {MOST_CELLS}: each more widens the interval of every other",
            got=str(len(cells)),
            hint="take values out of an axis, or compare in two grids",
        )


def _check_pair(cells: Sequence[Cell], pair: tuple[int, int] | None) -> None:
    numbers = [cell.number for cell in cells]
    if pair is not None and (pair[0] == pair[1] or not set(pair) <= set(numbers)):
        raise GateError(
            "JM-668",
            "these are not two cells of the grid",
            expected=f"two numbers from 1 to {len(cells)}",
            got=" ".join(map(str, pair)),
            hint="the table numbers the cells",
        )


def _check_calls(
    workspace: Workspace, ground: Ground, grid: Grid, variants: Mapping[int, Variant], rows: Sequence[Row]
) -> None:
    """Say and bound what a paid model will be asked, before it is."""
    paid = [variant for variant in variants.values() if isinstance(variant.source, Paid)]
    calls = sum(ground.missing(variant, rows) for variant in paid)
    if paid:
        workspace.progress.note(f"{calls} calls to the teacher {ground.teacher[0]} (at most {grid.most_calls})")
    if calls > grid.most_calls:
        raise GateError(
            "JM-665",
            "the grid would ask the teacher more often than it allows",
            where=grid.name,
            expected=f"most_calls: {calls} or more",
            got=f"{calls} calls with most_calls: {grid.most_calls}",
            hint="raise most_calls in the grid file if that may be paid for, or lower rows",
        )


def _find_source(workspace: Workspace, ground: Ground, grid: Grid, model: str) -> Source | JourneymanError:
    """What answers, or why nothing does.

    Raises:
        GateError: JM-663 a name that stands for no model.
    """
    try:
        if model == TEACHER:
            require_teacher(workspace, ground.task)
            return Paid(grid.most_calls)
        if model == STUDENT:
            return _find_student(workspace, ground)
        name = workspace.project.text("base", "model") if model == BASE else model
        return resolve(name, progress=workspace.progress)
    except (GateError, ModelError, ServeError) as error:
        if error.code not in UNKNOWN:
            return error
        raise GateError(
            "JM-663",
            f"the grid names a model that is not there: {error.what}",
            where=grid.where(model),
            expected=f"{BASE}, {STUDENT}, {TEACHER}, or {error.expected}",
            got=model,
            hint=error.hint,
        ) from None


def _find_student(workspace: Workspace, ground: Ground) -> Student:
    """The one that `assess` would take, else the live release."""
    try:
        return choose_student(workspace, ground.task.name, ground.dataset)[1]
    except GateError as error:
        if workspace.store.alias(ground.task.name) is None:
            raise error from None
    folder = find_release(workspace, ground.task.name)
    return Student(folder, load_manifest(folder))


def _variants(
    ground: Ground, grid: Grid, cells: Sequence[Cell], sources: Mapping[str, Source | JourneymanError]
) -> dict[int, Variant]:
    found = {}
    for cell in cells:
        source = sources[cell.model]
        if not isinstance(source, JourneymanError):
            task = with_instruction(ground.task, grid.instruction.get(cell.instruction))
            found[cell.number] = Variant(task, source, cell.shots, temperature=cell.temperature)
    return found


async def _ask(
    workspace: Workspace,
    ground: Ground,
    cells: Sequence[Cell],
    sources: Mapping[str, Source | JourneymanError],
    variants: Mapping[int, Variant],
    rows: Sequence[Row],
) -> _Asked:
    answered, failed, calls = dict[int, Predictions](), dict[int, str](), 0
    for model, source in sources.items():
        mine = [cell for cell in cells if cell.model == model]
        try:
            if isinstance(source, JourneymanError):
                raise source
            async with open_asker(workspace, ground, source) as asker:
                for cell in mine:
                    workspace.progress.note(f"cell {cell.number}: {cell.name}")
                    try:
                        answered[cell.number] = await asker.ask(variants[cell.number], rows)
                    except (GateError, ModelError, ServeError) as error:
                        failed[cell.number] = str(error)
                    calls = max(calls, asker.calls)
        except (GateError, ModelError, ServeError) as error:
            failed |= {cell.number: str(error) for cell in mine if cell.number not in answered}
    for number, why in failed.items():
        workspace.progress.note(f"cell {number} failed: {why.splitlines()[0]}")
    return _Asked(answered, failed, calls)


def _best_pair(differences: Mapping[int, Difference], baseline: int) -> tuple[int, int] | None:
    """The baseline and the best of the others."""
    if not differences:
        return None
    return baseline, max(differences, key=lambda number: (differences[number].value, -number))


def _with_disagreements(
    comparison: Comparison,
    ground: Ground,
    rows: Sequence[Row],
    asked: _Asked,
    scores: Mapping[int, Sequence[float]],
    pair: tuple[int, int] | None,
) -> Comparison:
    if pair is None or not set(pair) <= asked.answered.keys():
        return comparison
    first, second = pair
    found = find_disagreements(rows, asked.answered[first], asked.answered[second], (scores[first], scores[second]))
    shown = tuple(describe_disagreement(ground.task, item) for item in found[:MOST_SHOWN])
    return comparison.model_copy(update={"pair": pair, "disagreed": len(found), "disagreements": shown})
