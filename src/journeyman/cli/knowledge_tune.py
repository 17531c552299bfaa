"""`journeyman knowledge tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.knowledge import Name
from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.canonical import Json
from journeyman.core.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from journeyman.evaluation.gate import Verdict
    from journeyman.flows.knowledge_tune import Change, Retuned

WORDS = {
    "right_first": "the right passage comes first",
    "right_found": "a right passage among the first {top}",
    "reciprocal_rank": "1 / rank of the first right one",
    "recall": "share of the answer's text",
}


def tune(
    questions: Annotated[
        Path | None,
        typer.Argument(
            help="JSONL as `knowledge eval` reads it; some hundreds are needed to show a gain.", show_default=False
        ),
    ] = None,
    name: Name = "documents",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many passages tasks will read.")] = 5,
    undo: Annotated[bool, typer.Option("--undo", help="Forget what was learned: search as before.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Learn from questions whose answers are known how an index is searched best, and keep it only if questions that it has not seen are answered better.

    Half of the questions, by the documents that answer them, are sealed: the gate decides on them. Exit status 0 when it is kept, 1 when the index stays as it was.

    Example: journeyman knowledge tune questions.jsonl --name handbook
    """
    from journeyman.flows.knowledge_tune import tune_retriever, undo_tuning

    if (questions is None) != undo:
        raise KnowledgeError(
            "JM-974",
            "tuning takes a file of questions, or --undo",
            expected="one of both",
            got="neither" if questions is None else "both",
            hint=f"journeyman knowledge tune questions.jsonl --name {name}",
        )
    with working(project, is_json) as workspace:
        if questions is None:
            undone = undo_tuning(workspace, name)
            if is_json:
                print_json({"name": name, "undone": undone})
            else:
                print_lines(f"{name} is searched as before." if undone else f"{name} had learned nothing.")
            return 0
        done = tune_retriever(workspace, questions, name, top)
    if is_json:
        print_json({"name": name, **_to_json(done)})
    else:
        _print(done, name)
    return 0 if done.kept else 1


def _print(done: Retuned, name: str) -> None:
    from rich.table import Table

    unusable = f"; {done.unusable:,} are answered by no chunk and were left out" if done.unusable else ""
    print_lines(
        f"{done.fitted:,} questions to learn from, {done.sealed:,} sealed, split by the {done.unit} that answers{unusable}."
    )
    if done.tuned is None or done.changes is None:
        print_lines(
            "Nothing was learned: on the questions to learn from, each judged without itself, the default is as good. No sealed question was looked at.",
            "The index stays as it was.",
        )
        return
    table = Table("on sealed questions", "before", "after", "difference (95 %)")
    for key, change in done.changes.items():
        low, high = change.interval.low, change.interval.high
        table.add_row(
            WORDS[key].format(top=done.top),
            f"{change.before:.3f}",
            f"{change.after:.3f}",
            f"{change.difference:+.3f} ({low:+.3f} to {high:+.3f})",
        )
    print_table(table)
    learned = "a map of questions' vectors, " if done.tuned.turn is not None else ""
    print_lines(
        f"Learned: {learned}a share of {done.tuned.dense_weight:g} for the vectors{_describe_order(done.by_order)}.",
        f"A question takes {done.median_ms[0]:.0f} ms before and {done.median_ms[1]:.0f} ms after, its embedding apart.",
    )
    for said, verdict in (("first more often", done.first), ("found as often, less 2 points at most", done.found)):
        if verdict is not None:
            print_lines(f"Gate, {said}: {_describe(verdict)}")
    print_lines(
        f"Kept. Undo: journeyman knowledge tune --undo --name {name}"
        if done.kept
        else f"Not kept: the index stays as it was. Look {done.looks} at sealed questions; the next is decided at half the level.",
    )


def _describe_order(by_order: Mapping[str, Change] | None) -> str:
    if by_order is None:
        return ""
    first = by_order["right_first"]
    low, high = first.interval.low, first.interval.high
    return (
        f", and an order of the first hits, which alone adds {first.difference:+.3f} ({low:+.3f} to {high:+.3f}) first"
    )


def _describe(verdict: Verdict) -> str:
    more = f", about {verdict.needed:,} more sealed questions would decide" if verdict.needed else ""
    return f"{verdict.verdict}{more} ({verdict.difference:+.3f}, one-sided bound {verdict.low:+.3f} at {verdict.level:g}, n = {verdict.n:,})"


def _to_json(done: Retuned) -> dict[str, Json]:
    from journeyman.knowledge.retrieve.rerank import write_order

    order = write_order(done.tuned.order) if done.tuned and done.tuned.order else {}
    return {
        "kept": done.kept,
        "fitted": done.fitted,
        "sealed": done.sealed,
        "unusable": done.unusable,
        "split_by": done.unit,
        "top": done.top,
        "order": {**order} or None,
        "has_map": done.tuned is not None and done.tuned.turn is not None,
        "pull": done.pull,
        "dense_weight": done.tuned.dense_weight if done.tuned else None,
        "questions": done.tuned.questions if done.tuned else None,
        "looks": done.looks,
        "level": done.level,
        "gates": {
            key: {
                "verdict": gate.verdict,
                "difference": gate.difference,
                "low": gate.low,
                "n": gate.n,
                "groups": gate.groups,
                "needed": gate.needed,
                "method": gate.method,
            }
            for key, gate in (("right_first", done.first), ("right_found", done.found))
            if gate is not None
        },
        "changes": _changes_json(done.changes, done.sealed),
        "by_order": _changes_json(done.by_order, done.sealed),
        "median_ms": {"before": done.median_ms[0], "after": done.median_ms[1]},
    }


def _changes_json(changes: Mapping[str, Change] | None, n: int) -> dict[str, Json]:
    return {
        key: {
            "before": change.before,
            "after": change.after,
            "difference": change.difference,
            "low": change.interval.low,
            "high": change.interval.high,
            "n": n,
        }
        for key, change in (changes or {}).items()
    }
