"""`journeyman extract --ladder`: its table, its JSON and its picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from journeyman.cli.extract_scores import figure_json, scores_json, write_figure
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.canonical import Json
from journeyman.core.files import disk_errors

if TYPE_CHECKING:
    from journeyman.flows.extract_ladder import DocumentLadder, Step
    from journeyman.knowledge.extract.scores import FieldScore, Figure

HOW = {"base": "the base with the instruction", "teacher": "the teacher", "tuned": "tuned"}


def read_steps(said: str) -> list[int]:
    """Raises: BadParameter it is no list of whole numbers."""
    try:
        steps = [int(part) for part in said.split(",")]
    except ValueError:
        steps = []
    if not steps or min(steps) < 0:
        raise typer.BadParameter(f"--ladder takes whole numbers with commas, such as 0,5,10,25,50; not {said!r:.40}")
    return steps


def show_ladder(ladder: DocumentLadder, task: str, plot: Path | None, is_json: bool) -> None:
    if plot is not None:
        with disk_errors(plot):
            plot.write_text(draw_ladder(ladder, task), encoding="utf-8")
    if is_json:
        steps: list[Json] = [_step_json(step) for step in ladder.steps]
        print_json({"task": task, "labelled": ladder.labelled, "held": ladder.held, "steps": steps})
        return
    _print_ladder(ladder)
    print_lines(
        f"{ladder.held:,} held-out documents; F1 of all values with an interval from a bootstrap over documents, documents all right with exact ones, 95 %.",
        f"next: journeyman extract {task} FILES --rows rows.jsonl, then import, prepare and tune make a student of all that are labelled",
    )


def draw_ladder(ladder: DocumentLadder, task: str) -> str:
    from journeyman.knowledge.extract.curve import Line, draw_curve

    own = [step for step in ladder.steps if step.how != "teacher"]
    teacher = [step for step in ladder.steps if step.how == "teacher"]
    places = [str(step.documents) for step in own]
    lines = [Line("F1 of all values", [_f1(step) for step in own]), Line("all right", [_whole(step) for step in own])]
    if teacher:
        lines.append(Line("F1, teacher", [_f1(teacher[0])], is_level=True))
    return draw_curve(f"{task}: {ladder.held:,} held-out documents", places, lines)


def _print_ladder(ladder: DocumentLadder) -> None:
    from rich.table import Table

    table = Table("labelled", "how", "F1", "all right", "tuning, s", "s a document", "$ a document", "no answer")
    for step in ladder.steps:
        usd = f"{step.usd_per_document:.5f}" if step.usd_per_document is not None else ""
        table.add_row(
            str(step.documents),
            HOW[step.how],
            write_figure(_f1(step)),
            write_figure(_whole(step)),
            f"{step.tune_seconds:,.0f}" if step.how == "tuned" else "",
            f"{step.seconds_per_document:.2f}",
            usd,
            str(step.unread),
        )
    print_table(table)
    fields = Table("F1 of", *(_name(step) for step in ladder.steps))
    for name in _fields(ladder):
        fields.add_row(name, *(write_figure(_figure_of(step, name, lambda one: one.f1)) for step in ladder.steps))
    print_table(fields)


def _fields(ladder: DocumentLadder) -> list[str]:
    names = dict.fromkeys(one.field for step in ladder.steps for one in step.scores.fields)
    return [name for name in names if name != "*"]


def _name(step: Step) -> str:
    return "teacher" if step.how == "teacher" else str(step.documents)


def _f1(step: Step) -> Figure | None:
    return _figure_of(step, "*", lambda one: one.f1)


def _whole(step: Step) -> Figure | None:
    return step.scores.whole


def _figure_of(step: Step, name: str, choose: Callable[[FieldScore], Figure | None]) -> Figure | None:
    return next((choose(one) for one in step.scores.fields if one.field == name), None)


def _step_json(step: Step) -> dict[str, Json]:
    return {
        "labelled": step.documents,
        "how": step.how,
        "rows": step.rows,
        "f1": figure_json(_f1(step)),
        "scores": scores_json(step.scores),
        "unread": step.unread,
        "tune_seconds": round(step.tune_seconds, 1),
        "seconds_per_document": round(step.seconds_per_document, 3),
        "usd_per_document": step.usd_per_document,
        "student": step.student,
    }
